/* What the tests put under an init, or before it:
 *
 *   witness signals LAST     says "ready PID", then the number of each signal that arrives, and exits after LAST
 *   witness exec-blocked SIGNAL COMMAND…  blocks every signal, ignores HUP and CHLD, sends itself SIGNAL, executes COMMAND:
 *                            the signal is pending from the new program's first instruction on
 *
 * Raw system calls, as libc hides the signals that it uses itself (32 to 34). */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const uint64_t all = ~UINT64_C(0);
static const struct timespec patience = {.tv_sec = 60}; /* what a failed test leaves behind ends by itself */

static int tell_signals(int last)
{
    printf("ready %d\n", (int)getpid());
    fflush(stdout);
    for (;;) {
        int number = (int)syscall(SYS_rt_sigtimedwait, &all, NULL, &patience, sizeof all);
        if (number < 0 && errno == EAGAIN)
            return 3;
        if (number < 0)
            continue;
        printf("%d\n", number);
        fflush(stdout);
        if (number == last)
            return 0;
    }
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, sizeof all);
    if (!strcmp(argv[1], "signals"))
        return tell_signals(atoi(argv[2]));
    if (strcmp(argv[1], "exec-blocked") || argc < 4)
        return 2;
    signal(SIGHUP, SIG_IGN);
    signal(SIGCHLD, SIG_IGN);
    kill(getpid(), atoi(argv[2]));
    execvp(argv[3], argv + 3);
    perror(argv[3]);
    return 127;
}
