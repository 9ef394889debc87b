/* signal_sender ROUNDS PID FIFO PID FIFO …
 *
 * Sends SIGUSR1 to each PID in turn and takes the time until the signal_child behind it has it. A pause before each, so
 * that everybody sleeps: a signal to a container comes out of the blue. */
#include "bench.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <unistd.h>

enum { CONTENDERS_MAX = 16, PAUSE_US = 300, PATIENCE_MS = 2000, UP_TRIES = 50, UP_MS = 100 };

static struct contender {
    pid_t pid;
    int fifo;
} contenders[CONTENDERS_MAX];

static bool arrived(const struct contender *contender, int timeout_ms, int64_t *at)
{
    struct pollfd poll_fd = {.fd = contender->fifo, .events = POLLIN};

    return poll(&poll_fd, 1, timeout_ms) == 1 && read(contender->fifo, at, sizeof *at) == sizeof *at;
}

static int64_t send_one(const struct contender *contender)
{
    int64_t at;

    nanosleep(&(struct timespec){.tv_nsec = PAUSE_US * 1000L}, NULL);
    int64_t sent = now_ns();
    if (kill(contender->pid, SIGUSR1))
        err(1, "cannot send to pid %d", (int)contender->pid);
    if (!arrived(contender, PATIENCE_MS, &at))
        errx(1, "a signal to pid %d did not arrive", (int)contender->pid);
    return at - sent;
}

/* The child may be up before its init passes signals on to it. */
static void warm_up(const struct contender *contender)
{
    int64_t at;

    for (int i = 0; i < UP_TRIES; i++)
        if (!kill(contender->pid, SIGUSR1) && arrived(contender, UP_MS, &at)) {
            while (arrived(contender, UP_MS, &at))
                ;
            return;
        }
    errx(1, "pid %d passes no signal on", (int)contender->pid);
}

int main(int argc, char **argv)
{
    int64_t samples[CONTENDERS_MAX];
    int count = (argc - 2) / 2;

    if (argc < 4 || argc % 2 || count > CONTENDERS_MAX)
        errx(1, "usage: signal_sender ROUNDS PID FIFO PID FIFO …");
    for (int i = 0; i < count; i++) {
        contenders[i] = (struct contender){.pid = atoi(argv[2 + 2 * i]), .fifo = open(argv[3 + 2 * i], O_RDWR)};
        if (contenders[i].fifo < 0)
            err(1, "%s", argv[3 + 2 * i]);
        warm_up(&contenders[i]);
    }
    for (int round = 0; round < atoi(argv[1]); round++) {
        for (int i = 0; i < count; i++) {
            int turn = (round + i) % count;
            samples[turn] = send_one(&contenders[turn]);
        }
        print_round(samples, count);
    }
    return 0;
}
