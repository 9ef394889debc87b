#include "spawn_verb.h"
#include "agent.h"
#include "answers.h"
#include "listeners.h"
#include "signals.h"
#include "spawn.h"
#include "stop.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

enum { ARGUMENTS_MAX = 4096 };

const char *spawn_notify_address;

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

void spawn_verb(struct fields *request)
{
    const char *name = field_next(request);
    struct process *process = process_slot();
    char *field;
    long argc;

    asked.spawn = (struct spawn_request){.argv = asked.argv, .environment = asked.environment, .descriptors = asked.descriptors,
                                         .notify_socket = spawn_notify_address};
    asked.user = asked.group = NULL;
    asked.inherit = false;
    if (!process) {
        answer_error("EAGAIN", "256 processes run already");
        return;
    }
    if (!name || !*name || strlen(name) >= NAME_SIZE) {
        answer_malformed("spawn takes a name of 1 to 64 characters");
        return;
    }
    process->stop_signal = SIGTERM;
    process->stop_timeout = 20000;
    process->stop_grace = STOP_GRACE_NONE;
    while ((field = field_next(request)) && *field) {
        const char *wrong = take_option(field, process);
        if (wrong) {
            answer_malformed(wrong);
            return;
        }
    }
    if (!field || !field_number(request, 1, ARGUMENTS_MAX, &argc)) {
        answer_malformed("spawn: an empty field and argc, 1..4096, follow the options");
        return;
    }
    for (long i = 0; i < argc; i++)
        if (!(asked.argv[i] = field_next(request))) {
            answer_malformed("spawn: fewer arguments than argc says");
            return;
        }
    asked.argv[argc] = NULL;
    if (!take_environment(request)) {
        answer_error("E2BIG", "the environment has more than 4096 entries");
        return;
    }
    if (asked.user || asked.group) {
        const char *why;
        if (!user_resolve(asked.user, asked.group, &asked.identity, &why)) {
            char text[512];
            snprintf(text, sizeof text, "user %s%s%s: %s", asked.user ? asked.user : "", asked.group ? ":" : "",
                     asked.group ? asked.group : "", why);
            answer_error(errno_name(errno), text);
            return;
        }
        asked.spawn.identity = &asked.identity;
    }

    pid_t pid = spawn_process(&asked.spawn, &process->exec_fd);
    if (pid < 0) {
        answer_error(errno_name(errno), "cannot start a process");
        return;
    }
    process->pid = pid;
    process->started = now_ms();
    strcpy(process->name, name);
    strcpy(process->request, answer_id());
}

void spawn_verb_progress(struct process *process)
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
    answer_to(process->request);
    if (state == SPAWN_FAILED) {
        answer_error(errno_name(failure.error), failure.text);
        process->pid = 0;
    } else {
        answer_open();
        frame_number(&agent_out, process->pid);
        frame_close(&agent_out);
    }
    *process->request = 0;
}

void spawn_verb_unanswered(void)
{
    FOR_EACH_PROCESS(process)
        *process->request = 0;
}
