/* signal_child FIFO: writes to FIFO when each SIGUSR1 arrived. Says "up" once none can be lost. */
#include "bench.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    sigset_t set;

    if (argc != 2)
        errx(1, "usage: signal_child FIFO");
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int fifo = open(argv[1], O_RDWR);
    if (fifo < 0)
        err(1, "%s", argv[1]);
    if (write(STDOUT_FILENO, "up\n", 3) != 3)
        return 1;
    for (;;) {
        if (sigwaitinfo(&set, NULL) != SIGUSR1)
            continue;
        int64_t now = now_ns();
        if (write(fifo, &now, sizeof now) != sizeof now)
            err(1, "%s", argv[1]);
    }
}
