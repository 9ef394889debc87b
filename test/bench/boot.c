/* boot ROUNDS COMMAND ARGUMENT…
 *
 * How long a service takes by itself, from its exec to the answer of a request that waited in the queue of the socket
 * that it inherits as descriptor 3. Nothing of Baton is in it. */
#include "bench.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LISTENER = 3 };

static const char request[] = "GET /healthz HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n";

static int64_t *started;

static int64_t boot(const struct sockaddr_in *at, char **command)
{
    char answer[1024];
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (client < 0 || connect(client, (const struct sockaddr *)at, sizeof *at) ||
        write(client, request, sizeof request - 1) != (ssize_t)sizeof request - 1)
        err(1, "cannot ask");
    pid_t pid = fork();
    if (pid < 0)
        err(1, "fork");
    if (!pid) {
        char own[16];
        snprintf(own, sizeof own, "%d", (int)getpid());
        setenv("LISTEN_FDS", "1", 1);
        setenv("LISTEN_PID", own, 1);
        *started = now_ns();
        execv(command[0], command);
        _exit(127);
    }
    ssize_t n = read(client, answer, sizeof answer);
    int64_t took = now_ns() - *started;
    if (n < 12 || memcmp(answer + 9, "200", 3))
        errx(1, "%s gave no answer", command[0]);
    close(client);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return took;
}

int main(int argc, char **argv)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;

    if (argc < 3)
        errx(1, "usage: boot ROUNDS COMMAND ARGUMENT…");
    signal(SIGPIPE, SIG_IGN);
    started = mmap(NULL, sizeof *started, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (started == MAP_FAILED || listener < 0 || bind(listener, (struct sockaddr *)&at, sizeof at) ||
        listen(listener, 16) || getsockname(listener, (struct sockaddr *)&at, &size))
        err(1, "cannot listen");
    if (listener != LISTENER && dup2(listener, LISTENER) != LISTENER)
        err(1, "dup2");
    for (int round = 0; round < atoi(argv[1]); round++)
        print_round(&(int64_t){boot(&at, argv + 2)}, 1);
    return 0;
}
