/* probe COUNT PATH PORT…
 *
 * Asks the health endpoints on 127.0.0.1 as a kubelet does: a new connection for each probe, one after the other, the
 * ports in turn. A line a round, two columns a port: nanoseconds from before the connect to the end of the answer, and the
 * status. */
#include "bench.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PORTS_MAX = 8 };

static const char *path;

static void probe(const char *port, int64_t *took, int64_t *status)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char request[256], answer[4096];
    size_t received = 0;
    ssize_t n;

    at.sin_port = htons((uint16_t)atoi(port));
    int length = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n", path);
    int64_t start = now_ns();
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof at) || write(fd, request, (size_t)length) != length)
        err(1, "cannot ask port %s", port);
    while ((n = read(fd, answer + received, sizeof answer - 1 - received)) > 0)
        received += (size_t)n;
    *took = now_ns() - start;
    close(fd);
    if (n < 0 || received < 12)
        errx(1, "no answer from port %s", port);
    answer[received] = '\0';
    *status = atoi(answer + 9);
}

int main(int argc, char **argv)
{
    int64_t samples[2 * PORTS_MAX];
    int count = argc - 3;

    if (count < 1 || count > PORTS_MAX)
        errx(1, "usage: probe COUNT PATH PORT… (at most %d)", PORTS_MAX);
    path = argv[2];
    for (int round = 0; round < atoi(argv[1]); round++) {
        for (int i = 0; i < count; i++)
            probe(argv[3 + i], &samples[2 * i], &samples[2 * i + 1]);
        print_round(samples, 2 * count);
    }
    return 0;
}
