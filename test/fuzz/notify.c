/* Any datagram: what is accepted is lines of KEY=VALUE, and the socket takes the same as the pure check. */
#include "notify.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void require_lines(const char *text)
{
    require(*text);
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        size_t key = strcspn(line, "=\n");
        require(key && line[key] == '=');
        for (size_t i = 0; i < key; i++)
            require((line[i] >= 'A' && line[i] <= 'Z') || (line[i] >= '0' && line[i] <= '9') || line[i] == '_');
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct notification notification;
    static int fd = -1, to = -1;
    char address[108];

    if (fd < 0) {
        struct sockaddr_un at = {.sun_family = AF_UNIX};
        fd = notify_open(address, sizeof address);
        to = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        memcpy(at.sun_path + 1, address + 1, strlen(address) - 1);
        socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(address));
        require(!connect(to, (struct sockaddr *)&at, length));
    }
    /* The memory ends where the datagram does, so that AddressSanitizer sees any excess. */
    char *payload = malloc(size + 1);
    if (size)
        memcpy(payload, data, size);
    bool accepted = notify_check(payload, size);
    if (accepted) {
        require(strlen(payload) <= size);
        require_lines(payload);
    }
    if (send(to, data, size, 0) == (ssize_t)size) {
        require(notify_receive(fd, &notification));
        require(notification.sender == (accepted && size <= NOTIFY_MAX ? getpid() : 0));
        require(!notification.sender || !strcmp(notification.payload, payload));
        require(!notify_receive(fd, &notification));
    }
    free(payload);
    return 0;
}
