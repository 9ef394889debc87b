#include "notify.h"

#include "check.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* The memory ends where the text does. */
static bool check(const void *bytes, size_t size, const char *expected)
{
    char *payload = malloc(size + 1);
    memcpy(payload, bytes, size);
    bool accepted = notify_check(payload, size);
    bool same = !accepted || (expected && !strcmp(payload, expected));
    free(payload);
    return accepted && same;
}

#define ACCEPTED(text, expected) CHECK(check(text, sizeof text - 1, expected))
#define REFUSED(text) CHECK(!check(text, sizeof text - 1, NULL))

static void test_payloads(void)
{
    ACCEPTED("READY=1", "READY=1");
    ACCEPTED("READY=1\n", "READY=1");
    ACCEPTED("READY=1\n\n\0\n", "READY=1"); /* some libraries send the NUL too */
    ACCEPTED("READY=1\nSTATUS=a = b\nX_1=", "READY=1\nSTATUS=a = b\nX_1=");
    ACCEPTED("STATUS=\xff\xfe", "STATUS=\xff\xfe"); /* a value is the program's own */
    REFUSED("");
    REFUSED("\n");
    REFUSED("\0");
    REFUSED("READY");
    REFUSED("=1");
    REFUSED("ready=1");
    REFUSED(" READY=1");
    REFUSED("READY =1");
    REFUSED("READY=1\0X=2");
    REFUSED("READY=1\n\nX=2");
    REFUSED("READY=1\nX");
    REFUSED("\x7f" "ELF=");
}

static int sender_to(const char *address)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

    memcpy(at.sun_path + 1, address + 1, strlen(address) - 1);
    CHECK(!connect(fd, (struct sockaddr *)&at, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(address))));
    return fd;
}

static void test_socket(void)
{
    static struct notification notification;
    static char longest[NOTIFY_MAX + 2];
    char address[108];
    int fd = notify_open(address, sizeof address);
    int flags = fcntl(fd, F_GETFL);

    CHECK(fd >= 0 && (flags & O_NONBLOCK) && fcntl(fd, F_GETFD) == FD_CLOEXEC);
    CHECK(!strncmp(address, "@baton-notify/", 14));
    CHECK(!notify_receive(fd, &notification) && errno == EAGAIN);
    CHECK(notify_open(address, sizeof address) < 0 && errno == EADDRINUSE);

    int to = sender_to(address);
    CHECK(send(to, "READY=1\nMAINPID=1", 17, 0) == 17);
    CHECK(notify_receive(fd, &notification));
    CHECK(notification.sender == getpid() && !strcmp(notification.payload, "READY=1\nMAINPID=1"));

    CHECK(send(to, "junk", 4, 0) == 4 && send(to, "", 0, 0) == 0);
    memset(longest, 'X', sizeof longest);
    longest[1] = '=';
    CHECK(send(to, longest, NOTIFY_MAX + 1, 0) == NOTIFY_MAX + 1 && send(to, longest, NOTIFY_MAX, 0) == NOTIFY_MAX);
    for (int i = 0; i < 3; i++) /* consumed, with nobody to take it from */
        CHECK(notify_receive(fd, &notification) && notification.sender == 0);
    CHECK(notify_receive(fd, &notification) && notification.sender == getpid());
    CHECK(strlen(notification.payload) == NOTIFY_MAX);
    CHECK(!notify_receive(fd, &notification));

    pid_t child = fork();
    if (!child)
        _exit(send(to, "X=1", 3, 0) != 3);
    waitpid(child, NULL, 0);
    CHECK(notify_receive(fd, &notification) && notification.sender == child);
    close(to);
    close(fd);
}

int main(void)
{
    test_payloads();
    test_socket();
    return check_report();
}
