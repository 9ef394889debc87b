/* exec_launcher ROUNDS INIT ARGUMENT… , INIT ARGUMENT… ,
 *
 * Starts each init in turn, as PID 1 of a PID namespace of its own, and takes the time from just before its execve to the
 * first line of main of exec_child, which it runs. The turns interleave, and each round begins with another contender, so
 * that neither a slow minute of the machine nor the place in the round favours one. */
#include "bench.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int64_t *started; /* shared: a pipe would wake this process while the init starts */

static int64_t launch(char **command)
{
    /* In a user namespace where only that gives the right to make a PID namespace (user_namespaces(7)). */
    long flags = CLONE_NEWPID | SIGCHLD | (geteuid() ? CLONE_NEWUSER : 0);
    int64_t in_main;
    int ends[2], status;

    if (pipe2(ends, O_CLOEXEC))
        err(1, "pipe");
    pid_t pid = (pid_t)syscall(SYS_clone, flags, 0, 0, 0, 0);
    if (pid < 0)
        err(1, "cannot make a PID namespace");
    if (!pid) {
        dup2(ends[1], STAMP_FD);
        *started = now_ns();
        execv(command[0], command);
        _exit(127);
    }
    close(ends[1]);
    if (read(ends[0], &in_main, sizeof in_main) != sizeof in_main)
        errx(1, "%s did not run its child", command[0]);
    close(ends[0]);
    if (waitpid(pid, &status, 0) != pid || status)
        errx(1, "%s ended with status %d", command[0], status);
    return in_main - *started;
}

int main(int argc, char **argv)
{
    char **commands[COMMANDS_MAX];
    int64_t samples[COMMANDS_MAX];

    if (argc < 3)
        errx(1, "usage: exec_launcher ROUNDS INIT ARGUMENT… , INIT ARGUMENT… ,");
    int rounds = atoi(argv[1]), count = split_commands(argv + 2, commands);
    started = mmap(NULL, sizeof *started, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (started == MAP_FAILED)
        err(1, "mmap");
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < count; i++) {
            int turn = (round + i) % count;
            samples[turn] = launch(commands[turn]);
        }
        print_round(samples, count);
    }
    return 0;
}
