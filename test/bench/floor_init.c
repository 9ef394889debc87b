/* The least that an init can be: start a child, wait for it. Handles no signal and reaps no orphan: the floor that the
 * kernel and a static musl start set, not a contender. */
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    int status;

    (void)argc;
    pid_t child = fork();
    if (child < 0)
        return 1;
    if (!child) {
        execv(argv[1], argv + 1);
        _exit(127);
    }
    while (waitpid(child, &status, 0) != child)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
