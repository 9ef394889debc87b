#include "agent.h"
#include "events.h"
#include "node.h"
#include "processes.h"
#include "signals.h"
#include "termination.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    BACKOFF_FIRST_MS = 50,
    BACKOFF_LAST_MS = 2000,
    STILLBORN_MAX = 8, /* some five seconds */
    HEALTHY_AFTER_MS = 10000, /* an agent that lived this long starts the backoff anew */
    PING_PERIOD_MS = 1000,
    PINGS_MISSED = 5,
    PINGS_SUSPICIOUS = 3,
    /* Before it attaches Node is still starting: long in a container throttled to a tenth of a CPU. */
    BOOT_PERIODS = 120,

    /* Every answer has its room in agent_out, whatever waits there. The late ones to `spawn`, of all processes at once: */
    SPAWN_ROOM = 160 * 1024,
    /* and those to a request, of which the one to `list` is the longest (128 KiB kept, 256 processes, 64 listeners). */
    ANSWER_ROOM = SPAWN_ROOM + 224 * 1024,
};

static char in_memory[FRAME_HEADER + FRAME_MAX], out_memory[ANSWER_ROOM + EVENTS_SIZE];
static struct reader in = {.memory = in_memory, .capacity = sizeof in_memory};
struct buffer agent_out = {.memory = out_memory, .capacity = sizeof out_memory};

static char **arguments;
static const char *working_directory;
static int pages_fd;

static pid_t agent;
static int wire = -1;
static bool attached, ever_attached;
static unsigned long losses;
static int stillborn; /* ended before any had attached */
static bool halted; /* frames were left in `in` for lack of room for their answers */
static int64_t detached_since, started, start_at, period_ends;
static int backoff = BACKOFF_FIRST_MS;
/* Silence is counted in periods that this process saw pass, not in time: after the whole container was paused, or the machine stood
 * still, the clock has jumped though the agent had no chance to ping. */
static int silent_periods;

/* Node makes the standard streams non-blocking, which is a pipe's flag and not a descriptor's (open(2)): the program, which
 * has the same ones, would lose output to EAGAIN. So the agent opens the pipe anew; O_NONBLOCK keeps one that nobody reads
 * from holding us up. What cannot be opened (a socket, or a pipe of another user's) stays shared. */
static void unshare_pipe(int fd, const char *path, int mode)
{
    struct stat stat;

    if (fstat(fd, &stat) || !S_ISFIFO(stat.st_mode))
        return;
    int own = open(path, mode | O_NONBLOCK | O_CLOEXEC);
    if (own < 0)
        return;
    dup2(own, fd);
    close(own);
}

static void exec_agent(int ours, int theirs)
{
    /* Both are moved out of the way first: each may stand where the other belongs. What is closed on the way makes the room,
     * when PID 1 has no other descriptor left. All else is CLOEXEC. */
    close(ours);
    int their_wire = fcntl(theirs, F_DUPFD_CLOEXEC, 5);
    close(theirs);
    int their_pages = fcntl(pages_fd, F_DUPFD_CLOEXEC, 5);
    setsid();
    if (dup2(their_wire, 3) != 3 || dup2(their_pages, 4) != 4 || chdir(working_directory)) {
        say("cannot start the agent: %s", errno_name(errno));
        _exit(EXIT_CANNOT_EXEC);
    }
    unshare_pipe(STDIN_FILENO, "/dev/null", O_RDONLY);
    unshare_pipe(STDOUT_FILENO, "/proc/self/fd/1", O_WRONLY);
    unshare_pipe(STDERR_FILENO, "/proc/self/fd/2", O_WRONLY);
    signals_reset();
    _exit(node_exec(arguments));
}

static void start(int64_t now)
{
    int ends[2] = {-1, -1};

    start_at = 0;
    started = now;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) || (agent = fork()) < 0) {
        say("cannot start the agent: %s; trying again", errno_name(errno));
        if (ends[0] >= 0) {
            close(ends[0]);
            close(ends[1]);
        }
        agent = 0;
        start_at = now + BACKOFF_LAST_MS;
        return;
    }
    if (!agent)
        exec_agent(ends[0], ends[1]);
    close(ends[1]);
    wire = ends[0];
    fcntl(wire, F_SETFL, O_NONBLOCK);
    silent_periods = 0;
    period_ends = now + PING_PERIOD_MS;
    in.start = in.end = in.skip = 0;
    halted = false;
    agent_out.start = agent_out.end = 0;
    events_rewind();
}

void agent_start(char **argv, const char *directory, int pages, int64_t now)
{
    arguments = argv;
    working_directory = directory;
    pages_fd = pages;
    detached_since = now;
    start(now);
}

static void detach(void)
{
    if (wire < 0)
        return;
    close(wire);
    wire = -1;
    if (attached) {
        detached_since = now_ms();
        losses++;
    }
    attached = false;
}

static bool answers_have_room(void)
{
    return buffer_room(&agent_out) >= ANSWER_ROOM;
}

bool agent_poll(struct pollfd *poll)
{
    if (wire < 0)
        return false;
    *poll = (struct pollfd){.fd = wire};
    if (answers_have_room())
        poll->events |= POLLIN;
    if (!buffer_empty(&agent_out))
        poll->events |= POLLOUT;
    return true;
}

/* An agent without a wire is of no use: its successor asks what runs and carries on. */
static void lose_wire(void)
{
    detach();
    kill(agent, SIGKILL);
}

bool agent_receive(void)
{
    if (wire < 0 || !answers_have_room())
        return false;
    ssize_t n = frame_fill(&in, wire);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        lose_wire();
    return n > 0;
}

enum frame_status agent_next(struct fields *fields)
{
    halted = wire >= 0 && !answers_have_room();
    return wire < 0 || halted ? FRAME_NONE : frame_next(&in, fields);
}

bool agent_has_backlog(void)
{
    return wire >= 0 && halted && answers_have_room();
}

void agent_tell(void)
{
    events_deliver(&agent_out, SPAWN_ROOM);
}

void agent_flush(void)
{
    if (attached)
        agent_tell();
    /* A peer that does not read any more is lost in agent_receive, once all is read that it still said. */
    if (wire >= 0 && !buffer_drain(&agent_out, wire))
        agent_out.start = agent_out.end = 0;
}

void agent_attached(void)
{
    attached = ever_attached = true;
    silent_periods = 0;
}

bool agent_is_attached(void)
{
    return attached;
}

bool agent_is_silent(void)
{
    return silent_periods >= PINGS_SUSPICIOUS;
}

int64_t agent_detached_since(void)
{
    return detached_since;
}

unsigned long agent_losses(void)
{
    return losses;
}

pid_t agent_pid(void)
{
    return agent;
}

void agent_pinged(void)
{
    silent_periods = 0;
}

/* Node.js says nothing that helps, or nothing at all. */
static const char *stillborn_advice(int signal)
{
    if (signal == SIGKILL)
        return "if it was the kernel, for want of memory, raise the limit";
#ifdef SYS_clone3
    /* Without arguments it is EINVAL where it may be called. glibc takes nothing but ENOSYS as a reason to use clone(2). */
    if (syscall(SYS_clone3, NULL, 0) && errno == EPERM)
        return "the seccomp profile forbids clone3, as that of Docker before 20.10.10 does: update it";
#endif
    return "Node.js needs a few threads and files, raise the limits (pids, nofile, stack)";
}

/* An end before anything runs, where starting the agent again cannot help: the code to exit with, or -1. */
static int verdict_on(int status)
{
    int code = exit_code_of(status);

    if (ever_attached)
        return -1;
    if (WIFEXITED(status)) {
        if (code)
            termination_write("the agent exited with %d before it ran anything: the log says why", code);
        return code;
    }
    if (++stillborn < STILLBORN_MAX)
        return -1;
    int signal = WTERMSIG(status);
    termination_say("the agent was killed by %s, the %dth time, before it ran anything: %s", signal_name(signal), stillborn,
                    stillborn_advice(signal));
    return code;
}

bool agent_reaped(pid_t pid, int status, int64_t now, int *code)
{
    if (!agent || pid != agent)
        return false;
    detach();
    agent = 0;
    *code = verdict_on(status);
    if (*code >= 0)
        return true;
    if (now - started >= HEALTHY_AFTER_MS)
        backoff = BACKOFF_FIRST_MS;
    say("the agent %s %d; starting it again in %d ms, %s", WIFSIGNALED(status) ? "was killed by signal" : "exited with",
        WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), backoff,
        ever_attached ? "the service goes on" : "nothing runs yet");
    start_at = now + backoff;
    backoff = backoff * 2 < BACKOFF_LAST_MS ? backoff * 2 : BACKOFF_LAST_MS;
    return true;
}

int64_t agent_tick(int64_t now)
{
    if (!agent) {
        if (start_at && start_at <= now)
            start(now);
        return agent ? period_ends : start_at;
    }
    if (period_ends <= now) {
        period_ends = now + PING_PERIOD_MS;
        if (++silent_periods > (attached ? PINGS_MISSED : BOOT_PERIODS)) {
            say("the agent has been silent for %d s: killing it", silent_periods - 1);
            kill(agent, SIGKILL);
            silent_periods = 0;
        }
    }
    return period_ends;
}

void agent_kill(void)
{
    detach();
    start_at = 0;
    if (agent)
        kill(agent, SIGKILL);
    agent = 0;
}
