#include "answers.h"
#include "agent.h"

static const char no_id[] = "-";
static const char *id = no_id;

void answer_to(const char *request)
{
    id = request ? request : no_id;
}

const char *answer_id(void)
{
    return id;
}

void answer_open(void)
{
    frame_open(&agent_out, "ok");
    frame_text(&agent_out, id);
}

void answer_ok(void)
{
    answer_open();
    frame_close(&agent_out);
}

void answer_error(const char *name, const char *text)
{
    frame_open(&agent_out, "error");
    frame_text(&agent_out, id);
    frame_text(&agent_out, name);
    frame_text(&agent_out, text);
    frame_close(&agent_out);
}

void answer_malformed(const char *text)
{
    answer_error("EPROTO", text);
}
