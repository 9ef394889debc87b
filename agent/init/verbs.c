#include "verbs.h"
#include "agent.h"
#include "answers.h"
#include "control.h"
#include "events.h"
#include "health.h"
#include "listeners.h"
#include "signals.h"
#include "spawn_verb.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIRE_VERSION = 1, KEPT_MAX = 128 * 1024, ROUTED_MAX = PROCESSES_MAX };

struct verb_context verb_context;
bool exit_asked;
int exit_code_asked;

static char kept[KEPT_MAX + 1];
static signal_set routed_signals;
static pid_t routed_pids[ROUTED_MAX];
static size_t routed_count;

static void inventory(void)
{
    FOR_EACH_PROCESS(process) {
        if (*process->request)
            continue;
        frame_open(&agent_out, "process");
        frame_number(&agent_out, process->pid);
        frame_text(&agent_out, process->name);
        frame_text(&agent_out, process->exited ? "exited" : "running");
        frame_number(&agent_out, process->started);
        frame_close(&agent_out);
    }
    FOR_EACH_LISTENER(listener) {
        frame_open(&agent_out, "listener");
        frame_text(&agent_out, listener->name);
        frame_text(&agent_out, listener->bound);
        frame_number(&agent_out, (long long)socket_inode(listener->fd));
        frame_close(&agent_out);
    }
    frame_open(&agent_out, "kept");
    frame_text(&agent_out, kept);
    frame_close(&agent_out);
}

static void list(struct fields *request)
{
    if (!fields_end(request)) {
        answer_malformed("list has no fields");
        return;
    }
    inventory();
    answer_ok();
}

static void attach(struct fields *request)
{
    long version;
    if (!field_number(request, WIRE_VERSION, WIRE_VERSION, &version) || !fields_end(request)) {
        answer_malformed("this PID 1 speaks version 1 of the wire");
        return;
    }
    agent_attached();
    inventory();
    /* Before the answer, so that the agent knows what is about to be told again when it takes stock. */
    agent_tell();
    answer_ok();
}

static void listen_verb(struct fields *request)
{
    const char *name = field_next(request), *address = field_next(request), *option, *why = "";
    long backlog = SOCKET_BACKLOG;

    if (!name || !address) {
        answer_malformed("listen takes a name and an address");
        return;
    }
    while ((option = field_next(request)))
        if (strncmp(option, "backlog=", 8) || !parse_number(option + 8, 1, INT32_MAX, &backlog)) {
            answer_malformed("listen has one option, backlog=1..2147483647");
            return;
        }
    const struct listener *listener = listener_open(name, address, (int)backlog, &why);
    if (!listener) {
        answer_error(errno_name(errno), why);
        return;
    }
    answer_open();
    frame_number(&agent_out, (long long)socket_inode(listener->fd));
    frame_text(&agent_out, listener->bound);
    frame_close(&agent_out);
}

static void close_verb(struct fields *request)
{
    const char *name = field_next(request);
    if (!name || !fields_end(request)) {
        answer_malformed("close takes one name");
        return;
    }
    struct listener *listener = listener_find(name);
    if (!listener) {
        answer_error("ENOENT", "no socket of this name is held");
        return;
    }
    listener_close(listener);
    answer_ok();
}

static void kill_verb(struct fields *request)
{
    long pid, signal;
    if (!field_number(request, 1, INT32_MAX, &pid) || !field_number(request, 0, SIGNAL_MAX, &signal)) {
        answer_malformed("kill takes a pid and a signal, 0..64");
        return;
    }
    const char *scope = field_next(request);
    if (!scope || (strcmp(scope, "process") && strcmp(scope, "group")) || !fields_end(request)) {
        answer_malformed("the scope of kill is process or group");
        return;
    }
    const struct process *process = process_find((pid_t)pid);
    errno = ESRCH;
    if (!process || !process_kill(process, (int)signal, !strcmp(scope, "group")))
        answer_error(errno_name(errno), "no such process of ours");
    else
        answer_ok();
}

static void oom(struct fields *request)
{
    long pid, score;
    if (!field_number(request, 1, INT32_MAX, &pid) || !field_number(request, -1000, 1000, &score) ||
        !fields_end(request)) {
        answer_malformed("oom takes a pid and a score, -1000..1000");
        return;
    }
    const struct process *process = process_find((pid_t)pid);
    errno = ESRCH;
    if (!process || process->exited)
        answer_error(errno_name(errno), "no such process of ours");
    else if (!process_set_oom_score(process, (int)score))
        answer_error(errno_name(errno), "the kernel does not let oom_score_adj be set");
    else
        answer_ok();
}

static void route(struct fields *request)
{
    const char *numbers = field_next(request);
    pid_t pids[ROUTED_MAX];
    signal_set signals = 0;
    size_t count = 0;
    long pid;

    if (!numbers) {
        answer_malformed("route takes signals and pids");
        return;
    }
    for (const char *at = numbers; *at;) {
        char *end;
        unsigned long number = strtoul(at, &end, 10);
        if (end == at || number < 1 || number > SIGNAL_MAX || number == SIGCHLD) {
            answer_malformed("route: signals are numbers 1..64, separated by commas");
            return;
        }
        signals |= SIGNAL_BIT(number);
        at = end + (*end == ',');
    }
    while (!fields_end(request)) {
        if (count == ROUTED_MAX || !field_number(request, 1, INT32_MAX, &pid)) {
            answer_malformed("route: at most 256 pids");
            return;
        }
        pids[count++] = (pid_t)pid;
    }
    routed_signals = signals;
    routed_count = count;
    memcpy(routed_pids, pids, count * sizeof *pids);
    answer_ok();
}

size_t route_of(int signal, pid_t *pids)
{
    if (!(routed_signals & SIGNAL_BIT(signal)))
        return 0;
    memcpy(pids, routed_pids, routed_count * sizeof *pids);
    return routed_count;
}

static void keep(struct fields *request)
{
    const char *bytes = field_next(request);
    if (!bytes || !fields_end(request)) {
        answer_malformed("keep takes one field");
        return;
    }
    if (strlen(bytes) > KEPT_MAX) {
        answer_error("EMSGSIZE", "at most 128 KiB are kept");
        return;
    }
    strcpy(kept, bytes);
    answer_ok();
}

static void done(struct fields *request)
{
    long seq;
    if (!field_number(request, 1, INT64_MAX, &seq) || !fields_end(request))
        answer_malformed("done takes an event's number");
    else if (!event_done((uint64_t)seq))
        answer_error("ENOENT", "no such event waits");
    else
        answer_ok();
}

static void reply(struct fields *request)
{
    long seq, code;
    const char *text = "", *kind;

    if (!field_number(request, 1, INT64_MAX, &seq) || !(kind = field_next(request))) {
        answer_malformed("reply takes a request's number");
        return;
    }
    bool last = !strcmp(kind, "last");
    if ((last && !field_number(request, 0, 255, &code)) || (!last && strcmp(kind, "more")) ||
        !(text = field_next(request)) || !fields_end(request)) {
        answer_malformed("reply takes more TEXT, or last CODE TEXT");
        return;
    }
    char number[8] = "";
    if (last) {
        snprintf(number, sizeof number, "%ld", code);
        event_done((uint64_t)seq);
    }
    if (control_reply((uint64_t)seq, last, number, text))
        answer_ok();
    else
        answer_error("EPIPE", "whoever asked has left");
}

static void health(struct fields *request)
{
    char bound[ADDRESS_TEXT_SIZE];
    const char *address = field_next(request), *why = "";
    if (!address || !fields_end(request))
        answer_malformed("health takes an address, or off");
    else if (!health_open(address, verb_context.pages_fd, bound, sizeof bound, &why))
        answer_error(errno_name(errno), why);
    else {
        answer_open();
        frame_text(&agent_out, bound);
        frame_close(&agent_out);
    }
}

static void control(struct fields *request)
{
    const char *path = field_next(request), *why = "";
    if (!path || !fields_end(request))
        answer_malformed("control takes one path");
    else if (!control_open(path, &why))
        answer_error(errno_name(errno), why);
    else
        answer_ok();
}

static void ping(struct fields *request)
{
    if (!fields_end(request)) {
        answer_malformed("ping has no fields");
        return;
    }
    agent_pinged();
    answer_open();
    frame_number(&agent_out, (long long)verb_context.reaped);
    frame_number(&agent_out, (long long)events_dropped());
    FOR_EACH_LISTENER(listener) {
        long queue = socket_queue(listener->fd);
        if (queue < 0)
            continue;
        frame_text(&agent_out, listener->name);
        frame_number(&agent_out, queue);
    }
    frame_close(&agent_out);
}

static void exit_verb(struct fields *request)
{
    long code;
    if (!field_number(request, 0, 255, &code) || !fields_end(request)) {
        answer_malformed("exit takes a code, 0..255");
        return;
    }
    exit_code_asked = (int)code;
    exit_asked = true;
}

static const struct {
    const char *name;
    void (*perform)(struct fields *request);
} verbs[] = {
    {"attach", attach}, {"list", list}, {"listen", listen_verb}, {"close", close_verb}, {"spawn", spawn_verb},
    {"kill", kill_verb}, {"oom", oom},  {"route", route},        {"keep", keep},        {"done", done},
    {"reply", reply}, {"health", health}, {"control", control},  {"ping", ping},        {"exit", exit_verb},
};

void verb_perform(struct fields *request)
{
    const char *verb = field_next(request), *id = field_next(request);

    if (!id || !*id || strlen(id) >= ID_SIZE) {
        answer_to(NULL);
        answer_malformed("a request has a verb and an id of 1 to 23 characters");
        return;
    }
    answer_to(id);
    for (size_t i = 0; i < COUNT(verbs); i++)
        if (!strcmp(verb, verbs[i].name)) {
            verbs[i].perform(request);
            return;
        }
    answer_malformed("unknown verb");
}

void verb_refuse_frame(void)
{
    answer_to(NULL);
    answer_malformed("not a frame: empty, too long, or not ended by NUL");
}
