#include "notify.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int notify_open(char *address, size_t size)
{
    snprintf(address, size, "@baton-notify/%llu/%d", (unsigned long long)mount_namespace(), (int)getpid());

    struct sockaddr_un at = {.sun_family = AF_UNIX};
    size_t length = strlen(address);
    memcpy(at.sun_path + 1, address + 1, length - 1);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int on = 1;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) ||
        bind(fd, (struct sockaddr *)&at, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length))) {
        int error = errno;
        if (fd >= 0)
            close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

bool notify_check(char *payload, size_t size)
{
    while (size && (payload[size - 1] == '\n' || payload[size - 1] == 0))
        size--;
    payload[size] = 0;
    if (!size || strlen(payload) != size)
        return false;
    for (const char *line = payload; line; line = strchr(line, '\n')) {
        line += line != payload;
        size_t key = strspn(line, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
        if (!key || line[key] != '=')
            return false;
    }
    return true;
}

bool notify_says_ready(const char *payload)
{
    static const char ready[] = "READY=1";
    size_t length = sizeof ready - 1;

    for (const char *line = payload; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (!strncmp(line, ready, length) && (!line[length] || line[length] == '\n'))
            return true;
    }
    return false;
}

bool notify_receive(int fd, struct notification *notification)
{
    union {
        char bytes[CMSG_SPACE(sizeof(struct ucred))];
        struct cmsghdr align;
    } control;
    struct iovec payload = {notification->payload, NOTIFY_MAX};
    struct msghdr message = {.msg_iov = &payload,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    struct ucred sender = {0};

    /* There is room for the credentials alone: descriptors that come along are closed by the kernel (unix(7)). */
    ssize_t n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
    if (n < 0)
        return false;
    const struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    if (head && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_CREDENTIALS &&
        !(message.msg_flags & MSG_TRUNC) && notify_check(notification->payload, (size_t)n))
        memcpy(&sender, CMSG_DATA(head), sizeof sender);
    notification->sender = sender.pid;
    return true;
}
