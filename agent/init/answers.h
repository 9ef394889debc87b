/* What PID 1 answers to a request of the agent: `ok` or `error`, exactly one each (docs/wire.md). They go to agent_out. */
#ifndef BATON_ANSWERS_H
#define BATON_ANSWERS_H

/* The id of the request that is answered from here on; NULL where it has none that can be used. */
void answer_to(const char *id);
const char *answer_id(void);

/* An `ok` with fields: they are written to agent_out, and then frame_close. */
void answer_open(void);
void answer_ok(void);
/* `name` is the symbol of an errno, `text` a sentence. */
void answer_error(const char *name, const char *text);
/* EPROTO. */
void answer_malformed(const char *text);

#endif
