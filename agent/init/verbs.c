#include "verbs.h"
#include "agent.h"
#include "control.h"
#include "events.h"
#include "health.h"
#include "listeners.h"
#include "signals.h"
#include "spawn.h"
#include "stop.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

enum { WIRE_VERSION = 1, KEPT_MAX = 128 * 1024, ARGUMENTS_MAX = 4096, ROUTED_MAX = PROCESSES_MAX };

struct verb_context verb_context;
bool exit_asked;
int exit_code_asked;

static char kept[KEPT_MAX + 1];
static signal_set routed_signals;
static pid_t routed_pids[ROUTED_MAX];
static size_t routed_count;

static const char no_id[] = "-";
static const char *id; /* of the request that is being answered */

static void ok_open(void)
{
    frame_open(&agent_out, "ok");
    frame_text(&agent_out, id);
}

static void ok(void)
{
    ok_open();
    frame_close(&agent_out);
}

static void error(const char *name, const char *text)
{
    frame_open(&agent_out, "error");
    frame_text(&agent_out, id);
    frame_text(&agent_out, name);
    frame_text(&agent_out, text);
    frame_close(&agent_out);
}

static void malformed(const char *text)
{
    error("EPROTO", text);
}

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
        malformed("list has no fields");
        return;
    }
    inventory();
    ok();
}

static void attach(struct fields *request)
{
    long version;
    if (!field_number(request, WIRE_VERSION, WIRE_VERSION, &version) || !fields_end(request)) {
        malformed("this PID 1 speaks version 1 of the wire");
        return;
    }
    agent_attached();
    inventory();
    /* Before the answer, so that the agent knows what is about to be told again when it takes stock. */
    agent_tell();
    ok();
}

static void listen_verb(struct fields *request)
{
    const char *name = field_next(request), *address = field_next(request), *option, *why = "";
    long backlog = SOCKET_BACKLOG;

    if (!name || !address) {
        malformed("listen takes a name and an address");
        return;
    }
    while ((option = field_next(request)))
        if (strncmp(option, "backlog=", 8) || !parse_number(option + 8, 1, INT32_MAX, &backlog)) {
            malformed("listen has one option, backlog=1..2147483647");
            return;
        }
    const struct listener *listener = listener_open(name, address, (int)backlog, &why);
    if (!listener) {
        error(errno_name(errno), why);
        return;
    }
    ok_open();
    frame_number(&agent_out, (long long)socket_inode(listener->fd));
    frame_text(&agent_out, listener->bound);
    frame_close(&agent_out);
}

static void close_verb(struct fields *request)
{
    const char *name = field_next(request);
    if (!name || !fields_end(request)) {
        malformed("close takes one name");
        return;
    }
    struct listener *listener = listener_find(name);
    if (!listener) {
        error("ENOENT", "no socket of this name is held");
        return;
    }
    listener_close(listener);
    ok();
}

/* Everything of a spawn request that must outlive its parsing. */
static struct {
    struct spawn_request spawn;
    struct spawn_descriptor descriptors[LISTENERS_MAX];
    struct identity identity;
    char *argv[ARGUMENTS_MAX + 1], *environment[SPAWN_ENVIRONMENT_MAX + 1];
    const char *user, *group;
    bool inherit;
} asked;

/* The entry of this name among the first `count`, or NULL. */
static char **entry_of(char **entries, size_t count, const char *entry)
{
    size_t name = strcspn(entry, "=");

    for (size_t i = 0; i < count; i++)
        if (!strncmp(entries[i], entry, name) && (entries[i][name] == '=' || !entries[i][name]))
            return &entries[i];
    return NULL;
}

/* The container's own environment, byte for byte as PID 1 got it, and over it what the request has; or the latter alone. */
static bool take_environment(struct fields *request)
{
    size_t own = 0;
    char *entry;

    for (char **inherited = environ; asked.inherit && *inherited && own < SPAWN_ENVIRONMENT_MAX; inherited++)
        asked.environment[own++] = *inherited;
    size_t count = own;
    while (count < SPAWN_ENVIRONMENT_MAX && (entry = field_next(request))) {
        char **same = entry_of(asked.environment, own, entry);
        *(same ? same : &asked.environment[count++]) = entry;
    }
    asked.environment[count] = NULL;
    return fields_end(request);
}

static bool take_listeners(char *names)
{
    for (char *name = names; *name;) {
        size_t length = strcspn(name, ",");
        char *next = name + length + (name[length] == ',');
        name[length] = 0;
        const struct listener *listener = listener_find(name);
        if (!listener || asked.spawn.descriptor_count == LISTENERS_MAX)
            return false;
        asked.descriptors[asked.spawn.descriptor_count++] =
            (struct spawn_descriptor){.fd = listener->fd, .name = listener->name, .address = listener->bound};
        name = next;
    }
    return true;
}

/* NULL, or what is wrong with the option. */
static const char *take_option(char *option, struct process *process)
{
    char *value = strchr(option, '=');
    long number;

    if (!value)
        return "a spawn option is key=value";
    *value++ = 0;
    if (!strcmp(option, "listeners"))
        return take_listeners(value) ? NULL : "listeners= names a socket that is not held";
    if (!strcmp(option, "user"))
        asked.user = value;
    else if (!strcmp(option, "group"))
        asked.group = value;
    else if (!strcmp(option, "directory"))
        asked.spawn.directory = value;
    else if (!strcmp(option, "path"))
        asked.spawn.path = value;
    else if (!strcmp(option, "inherit"))
        asked.inherit = true;
    else if (!strcmp(option, "scope") && (!strcmp(value, "process") || !strcmp(value, "group")))
        process->stop_group = !strcmp(value, "group");
    else if (!strcmp(option, "stop-signal") && parse_number(value, 1, SIGNAL_MAX, &number))
        process->stop_signal = (int)number;
    else if (!strcmp(option, "stop-timeout") && parse_number(value, 0, INT32_MAX, &number))
        process->stop_timeout = number;
    else if (!strcmp(option, "stop-grace") && parse_number(value, 0, INT32_MAX, &number))
        process->stop_grace = number;
    else
        return "unknown spawn option, or a value out of its range";
    return NULL;
}

static void spawn(struct fields *request)
{
    const char *name = field_next(request);
    struct process *process = process_slot();
    char *field;
    long argc;

    asked.spawn = (struct spawn_request){.argv = asked.argv, .environment = asked.environment, .descriptors = asked.descriptors,
                                         .notify_socket = verb_context.notify_address};
    asked.user = asked.group = NULL;
    asked.inherit = false;
    if (!process) {
        error("EAGAIN", "256 processes run already");
        return;
    }
    if (!name || !*name || strlen(name) >= NAME_SIZE) {
        malformed("spawn takes a name of 1 to 64 characters");
        return;
    }
    process->stop_signal = SIGTERM;
    process->stop_timeout = 20000;
    process->stop_grace = STOP_GRACE_NONE;
    while ((field = field_next(request)) && *field) {
        const char *wrong = take_option(field, process);
        if (wrong) {
            malformed(wrong);
            return;
        }
    }
    if (!field || !field_number(request, 1, ARGUMENTS_MAX, &argc)) {
        malformed("spawn: an empty field and argc, 1..4096, follow the options");
        return;
    }
    for (long i = 0; i < argc; i++)
        if (!(asked.argv[i] = field_next(request))) {
            malformed("spawn: fewer arguments than argc says");
            return;
        }
    asked.argv[argc] = NULL;
    if (!take_environment(request)) {
        error("E2BIG", "the environment has more than 4096 entries");
        return;
    }
    if (asked.user || asked.group) {
        const char *why;
        if (!user_resolve(asked.user, asked.group, &asked.identity, &why)) {
            char text[512];
            snprintf(text, sizeof text, "user %s%s%s: %s", asked.user ? asked.user : "", asked.group ? ":" : "",
                     asked.group ? asked.group : "", why);
            error(errno_name(errno), text);
            return;
        }
        asked.spawn.identity = &asked.identity;
    }

    pid_t pid = spawn_process(&asked.spawn, &process->exec_fd);
    if (pid < 0) {
        error(errno_name(errno), "cannot start a process");
        return;
    }
    process->pid = pid;
    process->started = now_ms();
    strcpy(process->name, name);
    strcpy(process->request, id);
}

void verb_spawn_progress(struct process *process)
{
    static struct spawn_failure failure;
    enum spawn_state state = spawn_poll(process->exec_fd, &failure);

    if (state == SPAWN_PENDING)
        return;
    close(process->exec_fd);
    process->exec_fd = -1;
    if (!*process->request) {
        /* The agent that asked is dead, and its successor knows the process as one that runs: a failure is its exit. */
        if (state == SPAWN_FAILED)
            say("%s", failure.text);
        return;
    }
    id = process->request;
    if (state == SPAWN_FAILED) {
        error(errno_name(failure.error), failure.text);
        process->pid = 0;
    } else {
        ok_open();
        frame_number(&agent_out, process->pid);
        frame_close(&agent_out);
    }
    *process->request = 0;
}

void verbs_agent_lost(void)
{
    FOR_EACH_PROCESS(process)
        *process->request = 0;
}

static void kill_verb(struct fields *request)
{
    long pid, signal;
    if (!field_number(request, 1, INT32_MAX, &pid) || !field_number(request, 0, SIGNAL_MAX, &signal)) {
        malformed("kill takes a pid and a signal, 0..64");
        return;
    }
    const char *scope = field_next(request);
    if (!scope || (strcmp(scope, "process") && strcmp(scope, "group")) || !fields_end(request)) {
        malformed("the scope of kill is process or group");
        return;
    }
    const struct process *process = process_find((pid_t)pid);
    errno = ESRCH;
    if (!process || !process_kill(process, (int)signal, !strcmp(scope, "group")))
        error(errno_name(errno), "no such process of ours");
    else
        ok();
}

static void oom(struct fields *request)
{
    long pid, score;
    if (!field_number(request, 1, INT32_MAX, &pid) || !field_number(request, -1000, 1000, &score) ||
        !fields_end(request)) {
        malformed("oom takes a pid and a score, -1000..1000");
        return;
    }
    const struct process *process = process_find((pid_t)pid);
    errno = ESRCH;
    if (!process || process->exited)
        error(errno_name(errno), "no such process of ours");
    else if (!process_set_oom_score(process, (int)score))
        error(errno_name(errno), "the kernel does not let oom_score_adj be set");
    else
        ok();
}

static void route(struct fields *request)
{
    const char *numbers = field_next(request);
    pid_t pids[ROUTED_MAX];
    signal_set signals = 0;
    size_t count = 0;
    long pid;

    if (!numbers) {
        malformed("route takes signals and pids");
        return;
    }
    for (const char *at = numbers; *at;) {
        char *end;
        unsigned long number = strtoul(at, &end, 10);
        if (end == at || number < 1 || number > SIGNAL_MAX || number == SIGCHLD) {
            malformed("route: signals are numbers 1..64, separated by commas");
            return;
        }
        signals |= SIGNAL_BIT(number);
        at = end + (*end == ',');
    }
    while (!fields_end(request)) {
        if (count == ROUTED_MAX || !field_number(request, 1, INT32_MAX, &pid)) {
            malformed("route: at most 256 pids");
            return;
        }
        pids[count++] = (pid_t)pid;
    }
    routed_signals = signals;
    routed_count = count;
    memcpy(routed_pids, pids, count * sizeof *pids);
    ok();
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
        malformed("keep takes one field");
        return;
    }
    if (strlen(bytes) > KEPT_MAX) {
        error("EMSGSIZE", "at most 128 KiB are kept");
        return;
    }
    strcpy(kept, bytes);
    ok();
}

static void done(struct fields *request)
{
    long seq;
    if (!field_number(request, 1, INT64_MAX, &seq) || !fields_end(request))
        malformed("done takes an event's number");
    else if (!event_done((uint64_t)seq))
        error("ENOENT", "no such event waits");
    else
        ok();
}

static void reply(struct fields *request)
{
    long seq, code;
    const char *text = "", *kind;

    if (!field_number(request, 1, INT64_MAX, &seq) || !(kind = field_next(request))) {
        malformed("reply takes a request's number");
        return;
    }
    bool last = !strcmp(kind, "last");
    if ((last && !field_number(request, 0, 255, &code)) || (!last && strcmp(kind, "more")) ||
        !(text = field_next(request)) || !fields_end(request)) {
        malformed("reply takes more TEXT, or last CODE TEXT");
        return;
    }
    char number[8] = "";
    if (last) {
        snprintf(number, sizeof number, "%ld", code);
        event_done((uint64_t)seq);
    }
    if (control_reply((uint64_t)seq, last, number, text))
        ok();
    else
        error("EPIPE", "whoever asked has left");
}

static void health(struct fields *request)
{
    char bound[ADDRESS_TEXT_SIZE];
    const char *address = field_next(request), *why = "";
    if (!address || !fields_end(request))
        malformed("health takes an address, or off");
    else if (!health_open(address, verb_context.pages_fd, bound, sizeof bound, &why))
        error(errno_name(errno), why);
    else {
        ok_open();
        frame_text(&agent_out, bound);
        frame_close(&agent_out);
    }
}

static void control(struct fields *request)
{
    const char *path = field_next(request), *why = "";
    if (!path || !fields_end(request))
        malformed("control takes one path");
    else if (!control_open(path, &why))
        error(errno_name(errno), why);
    else
        ok();
}

static void ping(struct fields *request)
{
    if (!fields_end(request)) {
        malformed("ping has no fields");
        return;
    }
    agent_pinged();
    ok_open();
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
        malformed("exit takes a code, 0..255");
        return;
    }
    exit_code_asked = (int)code;
    exit_asked = true;
}

static const struct {
    const char *name;
    void (*perform)(struct fields *request);
} verbs[] = {
    {"attach", attach}, {"list", list}, {"listen", listen_verb}, {"close", close_verb}, {"spawn", spawn},
    {"kill", kill_verb}, {"oom", oom},  {"route", route},        {"keep", keep},        {"done", done},
    {"reply", reply}, {"health", health}, {"control", control},  {"ping", ping},        {"exit", exit_verb},
};

void verb_perform(struct fields *request)
{
    const char *verb = field_next(request);
    id = field_next(request);
    if (!id || !*id || strlen(id) >= ID_SIZE) {
        id = no_id;
        malformed("a request has a verb and an id of 1 to 23 characters");
        return;
    }
    for (size_t i = 0; i < COUNT(verbs); i++)
        if (!strcmp(verb, verbs[i].name)) {
            verbs[i].perform(request);
            return;
        }
    malformed("unknown verb");
}

void verb_refuse_frame(void)
{
    id = no_id;
    malformed("not a frame: empty, too long, or not ended by NUL");
}
