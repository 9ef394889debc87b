/* What surrounds PID 1:
 *
 *   stage terminal COMMAND…  executes COMMAND as leader of a session with a terminal; says "terminal PID", the process
 *                            whose end closes the terminal's other end
 *   stage mute COMMAND…      executes COMMAND with a stderr that nobody reads
 *   stage lease FILE         holds a write lease (fcntl(2)): whoever opens FILE, be it to execute it, waits; says "held"
 *                            at once and "asked" when somebody waits; stdin's end releases it */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

static int fail(const char *what)
{
    perror(what);
    return 1;
}

static int with_terminal(char **command)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0 || grantpt(master) || unlockpt(master))
        return fail("ptmx");
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    if (slave < 0)
        return fail("pts");
    pid_t holder = fork();
    if (!holder) {
        close(slave);
        sleep(60);
        _exit(0);
    }
    close(master);
    if (setsid() < 0 || ioctl(slave, TIOCSCTTY, 0))
        return fail("TIOCSCTTY");
    dup2(slave, 0);
    close(slave);
    printf("terminal %d\n", (int)holder);
    fflush(stdout);
    execvp(command[0], command);
    return fail(command[0]);
}

static int with_mute_stderr(char **command)
{
    int ends[2];
    if (pipe(ends))
        return fail("pipe");
    dup2(ends[1], 2);
    close(ends[0]);
    close(ends[1]);
    execvp(command[0], command);
    return fail(command[0]);
}

static int hold_lease(const char *path)
{
    sigset_t set;
    int file = open(path, O_RDONLY | O_CLOEXEC);

    sigemptyset(&set);
    sigaddset(&set, SIGIO);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int asked = signalfd(-1, &set, SFD_CLOEXEC);
    if (file < 0 || fcntl(file, F_SETLEASE, F_WRLCK))
        return fail(path);
    puts("held");
    fflush(stdout);
    for (;;) {
        struct pollfd polls[] = {{.fd = 0, .events = POLLIN}, {.fd = asked, .events = POLLIN}};
        struct signalfd_siginfo info;
        poll(polls, 2, -1);
        if (polls[1].revents && read(asked, &info, sizeof info) > 0) {
            puts("asked");
            fflush(stdout);
        }
        if (polls[0].revents)
            return 0;
    }
}

int main(int argc, char **argv)
{
    if (argc > 2 && !strcmp(argv[1], "terminal"))
        return with_terminal(argv + 2);
    if (argc > 2 && !strcmp(argv[1], "mute"))
        return with_mute_stderr(argv + 2);
    if (argc == 3 && !strcmp(argv[1], "lease"))
        return hold_lease(argv[2]);
    return 2;
}
