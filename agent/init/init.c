/* The role `init`: PID 1 alone, for images that want what tini and dumb-init do and no more. One child is started,
 * signals are passed on to it, whatever dies is reaped, and the child's end is ours. No Node, no socket, no
 * allocation, no tick: between two signals this process does not run at all. */
#include "exec.h"
#include "init_options.h"
#include "roles.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char help[] =
    "Usage: baton init [OPTIONS] [--] COMMAND [ARGUMENTS]\n"
    "\n"
    "Runs COMMAND as its child: passes signals on, reaps zombies, exits as COMMAND does.\n"
    "\n"
    "  -g             Send signals to the child's process group, not to the child alone.\n"
    "  -e CODE        Exit 0 where the child's exit code is CODE (0..255). Repeatable.\n"
    "  -p SIGNAL      Receive SIGNAL when the parent dies.\n"
    "  -w             Say which processes are reaped other than the child.\n"
    "  -v             Say more: what happens; -vv: every signal and reaped process.\n"
    "  -s             Nothing: a child subreaper it is by itself wherever it is not PID 1.\n"
    "  --setsid       Start the child in a session of its own, with the terminal, signal its whole\n"
    "                 group, and stop along with it: as dumb-init does.\n"
    "  --rewrite A:B  When signal A arrives send B, or nothing where B is 0. Repeatable.\n"
    "  -l             Show the licence.\n"
    "  -h             Show this help.\n"
    "  --version      Show the version.\n"
    "\n"
    "Environment: TINI_KILL_PROCESS_GROUP (as -g), TINI_VERBOSITY (0..3, default 1), TINI_SUBREAPER (as -s).\n";

static const char license[] = "Baton: Apache License, Version 2.0, https://www.apache.org/licenses/LICENSE-2.0\n";
static const char version[] = "baton 0.1.0, init (tini 0.19)\n";

static struct init_options options;

/* Speaks where the verbosity is at least `level`. Always on stderr: stdout is the child's. */
#define SAY(level, ...)                    \
    do {                                   \
        if (options.verbosity >= (level))  \
            say(__VA_ARGS__);              \
    } while (0)

enum { WARNING = 1, INFO, DEBUG };

static int print(const char *text)
{
    return write(STDOUT_FILENO, text, strlen(text)) < 0;
}

/* Orphans come to us whether we are PID 1 or not. */
static void adopt_orphans(void)
{
    if (getpid() != 1 && prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
        SAY(WARNING, "init: cannot become a child subreaper: %s; zombies will not be reaped unless it is PID 1",
            strerror(errno));
}

/* Lets go of the terminal, so that the child's session can take it. A session leader that does so is sent SIGHUP and
 * SIGCONT by the kernel before the ioctl returns (tty_ioctl(4)): they are about our own deed, not for the child. */
static void leave_terminal(void)
{
    static const struct timespec at_once = {0};
    signal_set own = SIGNAL_BIT(SIGHUP) | SIGNAL_BIT(SIGCONT);

    if (!ioctl(STDIN_FILENO, TIOCNOTTY) && getsid(0) == getpid())
        while (syscall(SYS_rt_sigtimedwait, &own, NULL, &at_once, sizeof own) > 0)
            ;
}

/* In the child, where every signal is still blocked: from a background group tcsetpgrp(3) would else stop us with
 * SIGTTOU. Done here and not by the parent, as otherwise an init that runs an init could give the terminal to the
 * wrong one of the two groups. No terminal is no error, and neither is a closed stdin. */
static bool isolate(void)
{
    if (options.session) {
        if (setsid() < 0) {
            say("init: setsid failed: %s", strerror(errno));
            return false;
        }
        ioctl(STDIN_FILENO, TIOCSCTTY, 0);
        return true;
    }
    if (setpgid(0, 0)) {
        say("init: setpgid failed: %s", strerror(errno));
        return false;
    }
    if (tcsetpgrp(STDIN_FILENO, getpid()) && errno != ENOTTY && errno != ENXIO && errno != EBADF) {
        say("init: cannot give the terminal to the child: %s", strerror(errno));
        return false;
    }
    return true;
}

__attribute__((noreturn)) static void run_child(void)
{
    int code = 1;

    if (isolate()) {
        signals_reset();
        exec_command(options.command);
        code = errno == ENOENT ? EXIT_NOT_FOUND : errno == EACCES ? EXIT_CANNOT_EXEC : 1;
        say("init: exec %s failed: %s", options.command[0], strerror(errno));
    }
    _exit(code);
}

/* vfork(2): no page table is copied, and no signal can reach the child before it is in its own group, because we
 * run again only after its exec. The child shares our memory until then and writes none of it that we read. */
static pid_t spawn(void)
{
    pid_t child = vfork();

    if (child == 0)
        run_child();
    return child;
}

static void forward(pid_t child, int received)
{
    int number = options.becomes[received];
    bool group = options.group || options.session;

    SAY(DEBUG, "init: received %s", signal_name(received));
    /* No such group: the child has moved to another one. It is not reaped yet, so its own pid is still its. */
    if (number && kill(group ? -child : child, number) && (!group || errno != ESRCH || kill(child, number)))
        SAY(WARNING, "init: cannot send %s to pid %d: %s", signal_name(number), (int)child, strerror(errno));
    /* So that the shell that started us sees its job stop. PID 1 cannot be stopped, and this does nothing. */
    if (options.session && (received == SIGTSTP || received == SIGTTIN || received == SIGTTOU))
        kill(getpid(), SIGSTOP);
}

/* Reaps whatever is dead. The exit code once the child is among it, else -1. */
static int reap(pid_t child)
{
    int code = -1, status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid == child) {
            code = init_exit_code(&options, status);
            SAY(INFO, WIFSIGNALED(status) ? "init: the child was ended by signal %d" : "init: the child exited with %d",
                WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        } else {
            SAY(options.warn_reaped ? WARNING : DEBUG, "init: reaped zombie process with pid %d", (int)pid);
        }
    }
    return code;
}

int init_main(int argc, char **argv)
{
    switch (init_options_parse(&options, argc, argv, getenv("TINI_KILL_PROCESS_GROUP"), getenv("TINI_VERBOSITY"))) {
    case INIT_HELP:
        return print(help);
    case INIT_LICENSE:
        return print(license);
    case INIT_VERSION:
        return print(version);
    case INIT_ERROR:
        say("%s", options.error);
        return 1;
    case INIT_RUN:
        break;
    }

    signals_set_mask(options.collected);
    /* Inherited as ignored, it would make the kernel reap for us, and the exit code would be lost (waitpid(2)). */
    signal(SIGCHLD, SIG_DFL);
    if (options.parent_death_signal && prctl(PR_SET_PDEATHSIG, options.parent_death_signal, 0, 0, 0)) {
        say("init: cannot ask for %s at the parent's death: %s", signal_name(options.parent_death_signal),
            strerror(errno));
        return 1;
    }
    adopt_orphans();
    if (options.session)
        leave_terminal();
    pid_t child = spawn();
    if (child < 0) {
        say("init: cannot start the child: %s", strerror(errno));
        return 1;
    }
    /* ---- From here on the container lives: nothing may end this process but the end of its child. ---- */

    SAY(INFO, "init: started %s as pid %d", options.command[0], (int)child);
    if (chdir("/")) /* the working directory is the child's: we pin none */
        SAY(DEBUG, "init: cannot change to /: %s", strerror(errno));
    for (;;) {
        int received = (int)syscall(SYS_rt_sigtimedwait, &options.collected, NULL, NULL, sizeof options.collected);
        if (received == SIGCHLD) {
            int code = reap(child);
            if (code < 0)
                continue;
            /* What is left of the session is asked to end, as dumb-init does; the number that it knows TERM by. */
            if (options.session && options.becomes[SIGTERM])
                kill(-child, options.becomes[SIGTERM]);
            return code;
        }
        if (received > 0) /* else EINTR: stopped and continued */
            forward(child, received);
    }
}
