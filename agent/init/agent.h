/* The agent's process and the wire to it: started, watched, started again. */
#ifndef BATON_AGENT_H
#define BATON_AGENT_H

#include "wire.h"

#include <poll.h>

/* Starts the agent with the arguments of this process and `directory` as its working directory. */
void agent_start(char **argv, const char *directory, int pages_fd, int64_t now);

/* What waits to be sent to it. There is always room for the answer to a frame that agent_next returned. */
extern struct buffer agent_out;

/* Fills `poll`; false while there is no wire. */
bool agent_poll(struct pollfd *poll);

/* Reads what is there; true when that was something. */
bool agent_receive(void);

/* The next frame it sent; FRAME_NONE also while its answers are not taken. */
enum frame_status agent_next(struct fields *fields);

/* True when frames that were read can be taken now, which no poll would tell. */
bool agent_has_backlog(void);

/* Puts the events it has not been told of into agent_out, as far as there is room. */
void agent_tell(void);

/* Sends what the socket takes, events included once it is attached. */
void agent_flush(void);

/* It said `attach`: events flow. */
void agent_attached(void);
bool agent_is_attached(void);
/* It has not been heard of for some seconds: it may hang. */
bool agent_is_silent(void);
/* Since when there is no attached agent (ms, CLOCK_MONOTONIC). */
int64_t agent_detached_since(void);
/* How many attached agents were lost so far. */
unsigned long agent_losses(void);
/* Its process, 0 when there is none. */
pid_t agent_pid(void);

/* It said `ping`. */
void agent_pinged(void);

/* True when the reaped process was the agent; *code is ≥ 0 when it ended by itself before any ever attached, where starting
 * it again cannot help: a verdict of its configuration, say. Or when every one was killed. Else it is started again after a
 * pause. */
bool agent_reaped(pid_t pid, int status, int64_t now, int *code);

/* Starts it again when its pause is over, kills it when it hangs; when that is due next (ms, CLOCK_MONOTONIC). */
int64_t agent_tick(int64_t now);

/* Ends it for good. */
void agent_kill(void);

#endif
