#include "signals.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { RT_MIN = 34 }; /* SIGRTMIN as glibc, musl and the shells count it */

static const char *const names[] = {
    [SIGHUP] = "SIGHUP",   [SIGINT] = "SIGINT",       [SIGQUIT] = "SIGQUIT", [SIGILL] = "SIGILL",
    [SIGTRAP] = "SIGTRAP", [SIGABRT] = "SIGABRT",     [SIGBUS] = "SIGBUS",   [SIGFPE] = "SIGFPE",
    [SIGKILL] = "SIGKILL", [SIGUSR1] = "SIGUSR1",     [SIGSEGV] = "SIGSEGV", [SIGUSR2] = "SIGUSR2",
    [SIGPIPE] = "SIGPIPE", [SIGALRM] = "SIGALRM",     [SIGTERM] = "SIGTERM", [SIGSTKFLT] = "SIGSTKFLT",
    [SIGCHLD] = "SIGCHLD", [SIGCONT] = "SIGCONT",     [SIGSTOP] = "SIGSTOP", [SIGTSTP] = "SIGTSTP",
    [SIGTTIN] = "SIGTTIN", [SIGTTOU] = "SIGTTOU",     [SIGURG] = "SIGURG",   [SIGXCPU] = "SIGXCPU",
    [SIGXFSZ] = "SIGXFSZ", [SIGVTALRM] = "SIGVTALRM", [SIGPROF] = "SIGPROF", [SIGWINCH] = "SIGWINCH",
    [SIGIO] = "SIGIO",     [SIGPWR] = "SIGPWR",       [SIGSYS] = "SIGSYS",
};

static const struct {
    const char *name;
    int number;
} aliases[] = {{"POLL", SIGIO}, {"IOT", SIGABRT}, {"CLD", SIGCHLD}};

void signals_set_mask(signal_set set)
{
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &set, NULL, sizeof set);
}

void signals_block_all(void)
{
    signals_set_mask(~UINT64_C(0));
}

void signals_reset(void)
{
    /* The kernel's struct sigaction, zeroed, is SIG_DFL without flags; 64 bytes cover it on every architecture. */
    static const uint64_t by_default[8];

    for (int number = 1; number <= SIGNAL_MAX; number++)
        if (number != SIGKILL && number != SIGSTOP)
            syscall(SYS_rt_sigaction, number, by_default, NULL, sizeof(signal_set));
    signals_set_mask(0);
}

int signals_open_fd(signal_set set, bool nonblocking)
{
    return (int)syscall(SYS_signalfd4, -1, &set, sizeof set, SFD_CLOEXEC | (nonblocking ? SFD_NONBLOCK : 0));
}

int signal_number(const char *name)
{
    long number;

    if (parse_number(name, 1, SIGNAL_MAX, &number))
        return (int)number;
    if (!strncasecmp(name, "SIG", 3))
        name += 3;
    for (size_t i = 1; i < COUNT(names); i++)
        if (names[i] && !strcasecmp(name, names[i] + 3))
            return (int)i;
    for (size_t i = 0; i < COUNT(aliases); i++)
        if (!strcasecmp(name, aliases[i].name))
            return aliases[i].number;
    if (!strcasecmp(name, "RTMIN"))
        return RT_MIN;
    if (!strcasecmp(name, "RTMAX"))
        return SIGNAL_MAX;
    if (!strncasecmp(name, "RTMIN+", 6) && parse_number(name + 6, 0, SIGNAL_MAX - RT_MIN, &number))
        return RT_MIN + (int)number;
    if (!strncasecmp(name, "RTMAX-", 6) && parse_number(name + 6, 0, SIGNAL_MAX - RT_MIN, &number))
        return SIGNAL_MAX - (int)number;
    return 0;
}

const char *signal_name(int number)
{
    static char text[16];

    if (number > 0 && (size_t)number < COUNT(names) && names[number])
        return names[number];
    if (number >= RT_MIN && number <= SIGNAL_MAX)
        snprintf(text, sizeof text, "SIGRTMIN+%d", number - RT_MIN);
    else
        snprintf(text, sizeof text, "signal %d", number);
    return text;
}
