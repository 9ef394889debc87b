/* PID 1 with an agent: one loop over the signals, the wire, the notify socket and the control socket. It holds the sockets and
 * the processes, and takes no decision but those that cannot wait for an agent that is dead. */
#include "agent.h"
#include "control.h"
#include "events.h"
#include "health.h"
#include "listeners.h"
#include "node.h"
#include "notify.h"
#include "pages.h"
#include "processes.h"
#include "roles.h"
#include "signals.h"
#include "spawn_verb.h"
#include "stop.h"
#include "termination.h"
#include "verbs.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    /* How long a stop waits for an agent to make it, and how many agents it may cost. */
    AGENT_GRACE_MS = 2000,
    STOP_AGENTS_MAX = 3,
    POLLS_MAX = 3 + CONTROL_POLLS + PROCESSES_MAX + LISTENERS_MAX,
    /* At most so much is taken in one round, so that no flood keeps the rest waiting. */
    SIGNAL_READS_MAX = 64,
    NOTIFICATIONS_MAX = 1024,
    POLL_FAILED_MS = 10,
};

static int signal_fd, notify_fd = -1, pages_fd;
static void *pages;
/* When the first stop signal came, 0 before it, and how many agents had been lost then. A stop is never taken back: no
 * configuration gives these signals another meaning. */
static int64_t stop_since;
static unsigned long stop_losses;
/* How the program ended, for the exit code of a stop without an agent. */
static int last_status;

/* The terminal went away. */
static bool is_hangup(const struct signalfd_siginfo *info)
{
    return info->ssi_signo == SIGHUP && info->ssi_code == SI_KERNEL;
}

static bool means_stop(const struct signalfd_siginfo *info)
{
    return info->ssi_signo == SIGTERM || info->ssi_signo == SIGINT || info->ssi_signo == SIGQUIT || is_hangup(info);
}

static bool routed(int number)
{
    pid_t pids[PROCESSES_MAX];
    bool sent = false;

    for (size_t i = route_of(number, pids); i-- > 0;) {
        const struct process *process = process_find(pids[i]);
        if (process && process_kill(process, number, false))
            sent = true;
    }
    return sent;
}

static void take_signal(const struct signalfd_siginfo *info)
{
    int number = (int)info->ssi_signo;

    /* Ours, of a log line that could not be written, is no business of the program's. */
    if ((number == SIGPIPE || number == SIGXFSZ) && (pid_t)info->ssi_pid == getpid())
        return;
    if (!is_hangup(info) && routed(number))
        return;
    event_signal(number, info->ssi_code == SI_KERNEL, (pid_t)info->ssi_pid, info->ssi_uid);
    if (means_stop(info) && !stop_since) {
        stop_since = now_ms();
        stop_losses = agent_losses();
    }
}

static bool post_exit(const struct process *process)
{
    int status = process->status;
    struct buffer *event = event_open("exit");

    frame_number(event, process->pid);
    frame_text(event, process->name);
    frame_number(event, WIFEXITED(status) ? WEXITSTATUS(status) : 0);
    frame_number(event, WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    frame_number(event, process->user_time);
    frame_number(event, process->system_time);
    frame_number(event, process->max_rss);
    return event_close(EVENT_VITAL);
}

static bool post_gone(const struct process *process)
{
    struct buffer *event = event_open("gone");

    frame_number(event, process->pid);
    frame_text(event, process->name);
    return event_close(EVENT_VITAL);
}

/* Makes events of the ends of processes as far as there is room for them; the table keeps the others. A group is empty
 * once its last member is reaped, by whoever: it is looked at in each round. */
static void tell_ends(void)
{
    FOR_EACH_PROCESS(process) {
        if (!process->exited)
            continue;
        if (!process->told)
            process->told = post_exit(process);
        if (process->told && process_gone(process) && post_gone(process))
            process->pid = 0;
    }
}

static void take_notifications(void)
{
    static struct notification notification;

    for (int i = 0; i < NOTIFICATIONS_MAX && notify_fd >= 0 && notify_receive(notify_fd, &notification); i++) {
        const struct process *process = process_of_session(notification.sender);
        if (!process)
            continue;
        struct buffer *event = event_open("notify");
        frame_number(event, process->pid);
        frame_number(event, notification.sender);
        frame_text(event, notification.payload);
        event_close(notify_says_ready(notification.payload) ? EVENT_DROPPABLE : EVENT_CHATTER);
    }
}

static bool take_requests(void)
{
    struct fields request;
    enum frame_status status;
    bool received = agent_receive();

    while ((status = agent_next(&request)) != FRAME_NONE) {
        if (status == FRAME_READY)
            verb_perform(&request);
        else
            verb_refuse_frame();
    }
    return received;
}

/* What the agent asked for before it died counts: `keep`, `done`, `exit`. Nobody reads the answers. */
static void take_last_requests(void)
{
    do
        agent_out.start = agent_out.end = 0;
    while (take_requests());
}

static int64_t microseconds(struct timeval time)
{
    return (int64_t)time.tv_sec * 1000000 + time.tv_usec;
}

/* Returns the code to exit with, when there is nothing to go on for, or -1. */
static int reap(void)
{
    int verdict = -1;

    for (;;) {
        siginfo_t dead = {0};
        struct rusage usage;
        int status, code;

        if (waitid(P_ALL, 0, &dead, WEXITED | WNOHANG | WNOWAIT) || !dead.si_pid)
            break;
        /* Before its exit is told comes what it said, and while its pid still says whose word that was. */
        pid_t pid = dead.si_pid;
        take_notifications();
        if (pid == agent_pid())
            take_last_requests();
        if (wait4(pid, &status, WNOHANG, &usage) != pid)
            break;
        verb_context.reaped++;
        if (agent_reaped(pid, status, now_ms(), &code)) {
            spawn_verb_unanswered();
            verdict = code;
            continue;
        }
        if (health_reaped(pid, now_ms()))
            continue;
        struct process *process = process_find(pid);
        if (!process)
            continue;
        if (process->exec_fd >= 0)
            spawn_verb_progress(process); /* it was a failed exec: that is the answer to `spawn`, not an exit */
        if (!process->pid)
            continue;
        process->exited = true;
        process->status = last_status = status;
        process->user_time = microseconds(usage.ru_utime);
        process->system_time = microseconds(usage.ru_stime);
        process->max_rss = usage.ru_maxrss;
    }
    return verdict;
}

/* Returns the code to exit with, or -1. */
static int take_signals(void)
{
    struct signalfd_siginfo infos[16];
    bool children = false;
    int reads = 0;
    ssize_t n;

    do {
        n = read(signal_fd, infos, sizeof infos);
        for (size_t i = 0; n > 0 && i < (size_t)n / sizeof *infos; i++) {
            if (infos[i].ssi_signo == SIGCHLD)
                children = true;
            else
                take_signal(&infos[i]);
        }
    } while (n == sizeof infos && ++reads < SIGNAL_READS_MAX);
    return children ? reap() : -1;
}

/* A stop signal that no agent takes up is carried out here; when that is due (0: it is not). */
static int64_t stop_without_agent(int64_t now)
{
    if (!stop_since || stop_begun())
        return 0;
    /* Whoever stops the container may not wait long, and the processes need some of that time. */
    int64_t grace = stop_grace();
    int64_t latest = stop_since + grace - (grace / 2 < AGENT_GRACE_MS ? grace / 2 : AGENT_GRACE_MS);
    bool hangs = agent_is_attached() && agent_is_silent() && now >= latest;
    if (agent_is_attached() && !hangs)
        return 0;
    int64_t since = stop_since > agent_detached_since() ? stop_since : agent_detached_since();
    int64_t due = since + AGENT_GRACE_MS < latest ? since + AGENT_GRACE_MS : latest;
    /* Agents that attach and die, one after the other, perhaps of this very stop, do not put it off for ever. */
    if (!hangs && now < due && agent_losses() - stop_losses < STOP_AGENTS_MAX)
        return due;
    termination_say("%s: stopping the service without it", hangs ? "the agent hangs" : "no agent to make the stop");
    pages_set_draining(pages);
    agent_kill();
    stop_begin(stop_since, now);
    return 0;
}

static int64_t earliest(int64_t a, int64_t b)
{
    return !a || (b && b < a) ? b : a;
}

/* Does what is due; when something is due next (ms, CLOCK_MONOTONIC; 0: nothing). */
static int64_t tick(void)
{
    int64_t now = now_ms();
    int64_t next = stop_begun() ? 0 : agent_tick(now);

    next = earliest(next, stop_without_agent(now));
    next = earliest(next, health_tick(now));
    next = earliest(next, control_expire(now));
    return earliest(next, stop_tick(now));
}

/* Waits until there is something to do; false when that is nothing but signals. */
static bool wait_until(int64_t due)
{
    struct pollfd polls[POLLS_MAX];
    size_t count = 0;

    polls[count++] = (struct pollfd){.fd = signal_fd, .events = POLLIN};
    if (notify_fd >= 0)
        polls[count++] = (struct pollfd){.fd = notify_fd, .events = POLLIN};
    if (agent_poll(&polls[count]))
        count++;
    count += control_polls(polls + count);
    FOR_EACH_PROCESS(process)
        if (process->exec_fd >= 0)
            polls[count++] = (struct pollfd){.fd = process->exec_fd, .events = POLLIN};

    /* Of a listening TCP socket POLLHUP, which needs no asking for, says that somebody has shut it down. */
    FOR_EACH_LISTENER(listener)
        if (listener->revivable)
            polls[count++] = (struct pollfd){.fd = listener->fd};

    int64_t now = now_ms();
    if (agent_has_backlog())
        due = now;
    int timeout = !due ? -1 : due <= now ? 0 : due - now > INT_MAX ? INT_MAX : (int)(due - now);
    /* ENOMEM, or EINVAL once somebody lowered RLIMIT_NOFILE: then without it, as everything else here can do. */
    int ready = poll(polls, count, timeout);
    if (ready < 0 && errno != EINTR)
        nanosleep(&(struct timespec){.tv_nsec = POLL_FAILED_MS * 1000000L}, NULL);
    return ready != 1 || !polls[0].revents || agent_has_backlog();
}

static int serve(void)
{
    for (;;) {
        int64_t due = tick();
        if (stop_begun() && stop_complete())
            return exit_code_of(last_status);
        bool more = wait_until(due);
        int verdict = take_signals();
        /* A signal that is passed on is the hot path: the program that gets it often waits for our processor. */
        if (more) {
            FOR_EACH_PROCESS(process)
                if (process->exec_fd >= 0)
                    spawn_verb_progress(process);
            take_notifications();
            take_requests();
            control_serve();
            FOR_EACH_LISTENER(listener)
                if (listener->revivable)
                    listener_revive(listener);
        }
        tell_ends();
        agent_flush();
        if (exit_asked)
            return exit_code_asked;
        if (verdict >= 0)
            return verdict;
    }
}

/* The value of a flag before `--`, else of the variable, else NULL. PID 1 reads no more of the configuration than these: where the
 * health endpoint and the control socket are must be known before there is an agent. */
static const char *early_option(char **argv, const char *flag, const char *variable)
{
    size_t length = strlen(flag);

    for (char **argument = argv + 1; *argument && strcmp(*argument, "--"); argument++) {
        if (strncmp(*argument, flag, length))
            continue;
        if ((*argument)[length] == '=')
            return *argument + length + 1;
        if (!(*argument)[length] && argument[1])
            return argument[1];
    }
    const char *value = getenv(variable);
    return value && *value ? value : NULL;
}

/* A configuration file may move the endpoint or turn it off: then the agent, which can read it, says where. */
static const char *early_health_address(char **argv)
{
    const char *address = early_option(argv, "--health", "BATON_HEALTH");
    if (address)
        return address;
    return early_option(argv, "--config", "BATON_CONFIG") || !access("/etc/baton.yaml", F_OK) ? NULL : ":9901";
}

/* `:9901` and `127.0.0.1:9901` are short for tcp://…, as in the configuration. */
static void open_health(const char *address)
{
    char full[ADDRESS_TEXT_SIZE], bound[ADDRESS_TEXT_SIZE];
    const char *why;
    bool short_form = strcmp(address, "off") && !strstr(address, "://") && strncmp(address, "unix:", 5);

    snprintf(full, sizeof full, "%s%s", short_form ? "tcp://" : "", address);
    /* What does not work is for the agent to tell, which will ask for the same. */
    health_open(full, pages_fd, bound, sizeof bound, &why);
}

/* So that no descriptor that is opened later becomes a standard stream. */
static void open_standard_streams(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

static bool open_all(char **argv)
{
    static char notify_address[108];
    const char *why = "";

    signal_fd = signals_open_fd(~UINT64_C(0), true);
    if (signal_fd < 0) {
        termination_say("signalfd: %s", errno_name(errno));
        return false;
    }
    pages_fd = pages_create();
    pages = pages_fd < 0 ? NULL : pages_map_writable(pages_fd);
    if (!pages) {
        termination_say("memfd for the health pages: %s", errno_name(errno));
        return false;
    }
    notify_fd = notify_open(notify_address, sizeof notify_address);
    if (notify_fd < 0)
        say("notify socket: %s; the program cannot use sd_notify", errno_name(errno));
    const char *control = early_option(argv, "--control", "BATON_CONTROL");
    control_begin(pages);
    if (!control_open(NULL, &why) && !control)
        say("control socket %s: %s, %s; `baton reload` and its like will not work: choose a file with --control",
            control_default_address(), errno_name(errno), why);
    if (control && !control_open(control, &why))
        say("control socket %s: %s, %s; clients will not find it", control, errno_name(errno), why);
    verb_context.pages_fd = pages_fd;
    spawn_notify_address = notify_fd < 0 ? NULL : notify_address;
    return true;
}

int supervisor_main(int argc, char **argv)
{
    static char directory[PATH_MAX];

    (void)argc;
    open_standard_streams();
    descriptors_close_from(STDERR_FILENO + 1);
    if (getpid() != 1 && prctl(PR_SET_CHILD_SUBREAPER, 1UL, 0UL, 0UL, 0UL))
        say("cannot become a child subreaper: %s; orphans of the program are left to PID 1", errno_name(errno));
    const char *missing = node_find();
    if (missing) {
        termination_say("%s", missing);
        return EXIT_NOT_FOUND;
    }
    if (!open_all(argv))
        return EXIT_FAILURE;
    /* Children start where PID 1 was started; PID 1 itself pins no mount. */
    if (!getcwd(directory, sizeof directory))
        strcpy(directory, "/");
    if (chdir("/"))
        say("chdir /: %s", errno_name(errno));
    /* The agent receives its role as the first argument, before the flags. */
    agent_start(argv - 1, directory, pages_fd, now_ms());
    const char *health = early_health_address(argv);
    if (health)
        open_health(health);

    /* From here on PID 1 ends only when the service has. */
    int code = serve();
    agent_kill();
    stop_reap_all();
    return code;
}
