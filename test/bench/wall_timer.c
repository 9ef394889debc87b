/* wall_timer ROUNDS COMMAND ARGUMENT… , COMMAND ARGUMENT… ,
 *
 * The wall time of whole commands, from before the fork to their end, interleaved. Each has to exit with 0. */
#include "bench.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

static int64_t time_one(char **command)
{
    int status;
    int64_t start = now_ns();
    pid_t pid = fork();

    if (pid < 0)
        err(1, "fork");
    if (!pid) {
        dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDOUT_FILENO);
        execv(command[0], command);
        _exit(127);
    }
    if (waitpid(pid, &status, 0) != pid || status)
        errx(1, "%s ended with status %d", command[0], status);
    return now_ns() - start;
}

int main(int argc, char **argv)
{
    char **commands[COMMANDS_MAX];
    int64_t samples[COMMANDS_MAX];

    if (argc < 3)
        errx(1, "usage: wall_timer ROUNDS COMMAND ARGUMENT… , COMMAND ARGUMENT… ,");
    int rounds = atoi(argv[1]), count = split_commands(argv + 2, commands);
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < count; i++) {
            int turn = (round + i) % count;
            samples[turn] = time_one(commands[turn]);
        }
        print_round(samples, count);
    }
    return 0;
}
