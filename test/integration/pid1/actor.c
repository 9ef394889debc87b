/* A program that does what a test writes, one step an argument:
 *
 *   say:TEXT      a line on stdout; "%" stands for its pid
 *   send:PAYLOAD  a datagram to NOTIFY_SOCKET; send-hex:0AFF… of any bytes; send-fds:PAYLOAD with ten descriptors
 *   flood:N       N datagrams STATUS=1…, each waiting for room
 *   fork          the child goes on, the parent waits (for ever: see `stay`)
 *   leave         the child goes on, the parent exits with 0
 *   child         the parent goes on, the child waits
 *   setsid, reap  the system calls; `reap` waits for one child
 *   spin:MS       uses MS of CPU time
 *   shutdown:FD   shutdown(2) of a socket that it inherited
 *   stay          waits for a signal that ends it
 *   exit:CODE
 *
 * Before the first step every disposition is the default, but SIGTERM is ignored after `deaf`. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE_S = 60 }; /* what a failed test leaves behind ends by itself */

static void stay(void)
{
    sleep(PATIENCE_S);
    _exit(3);
}

static void send_payload(const void *payload, size_t size, int descriptors)
{
    const char *address = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    union {
        char bytes[CMSG_SPACE(10 * sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    struct iovec vector = {(void *)payload, size};
    struct msghdr message = {.msg_name = &to, .msg_iov = &vector, .msg_iovlen = 1};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (!address || *address != '@')
        _exit(4);
    memcpy(to.sun_path + 1, address + 1, strlen(address) - 1);
    message.msg_namelen = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(address));
    if (descriptors) {
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(descriptors * sizeof(int));
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(descriptors * sizeof(int));
        for (int i = 0; i < descriptors; i++)
            memcpy(CMSG_DATA(head) + i * sizeof(int), &(int){open("/dev/null", O_RDONLY | O_CLOEXEC)}, sizeof(int));
    }
    if (sendmsg(fd, &message, MSG_NOSIGNAL) < 0) {
        perror("sendmsg");
        _exit(5);
    }
    close(fd);
    if (descriptors)
        for (int i = 0; i < descriptors; i++) {
            int sent;
            memcpy(&sent, CMSG_DATA(CMSG_FIRSTHDR(&message)) + i * sizeof(int), sizeof sent);
            close(sent);
        }
}

static void send_hex(const char *hex)
{
    static unsigned char bytes[8192];
    size_t size = 0;

    for (; hex[0] && hex[1]; hex += 2) {
        char digits[] = {hex[0], hex[1], 0};
        bytes[size++] = (unsigned char)strtol(digits, NULL, 16);
    }
    send_payload(bytes, size, 0);
}

static void spin(long ms)
{
    struct timespec used;

    do
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    while (used.tv_sec * 1000 + used.tv_nsec / 1000000 < ms);
}

static void say(const char *text)
{
    char line[256];
    size_t length = 0;

    for (; *text && length < sizeof line - 16; text++)
        if (*text == '%')
            length += (size_t)sprintf(line + length, "%d", (int)getpid());
        else
            line[length++] = *text;
    line[length++] = '\n';
    if (write(1, line, length) < 0)
        _exit(6);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *step = argv[i], *colon = strchr(step, ':'), *argument = colon ? colon + 1 : "";
        size_t length = colon ? (size_t)(colon - step) : strlen(step);
#define IS(name) (length == sizeof name - 1 && !memcmp(step, name, length))
        if (IS("say"))
            say(argument);
        else if (IS("send"))
            send_payload(argument, strlen(argument), 0);
        else if (IS("send-hex"))
            send_hex(argument);
        else if (IS("send-fds"))
            send_payload(argument, strlen(argument), 10);
        else if (IS("flood"))
            for (int n = 1; n <= atoi(argument); n++) {
                char text[32];
                send_payload(text, (size_t)sprintf(text, "STATUS=%d", n), 0);
            }
        else if (IS("fork")) {
            if (fork())
                stay();
        } else if (IS("leave")) {
            if (fork())
                _exit(0);
        } else if (IS("child")) {
            if (!fork())
                stay();
        } else if (IS("setsid"))
            setsid();
        else if (IS("reap"))
            wait(NULL);
        else if (IS("deaf"))
            signal(SIGTERM, SIG_IGN);
        else if (IS("spin"))
            spin(atol(argument));
        else if (IS("shutdown"))
            shutdown(atoi(argument), SHUT_RDWR);
        else if (IS("stay"))
            stay();
        else if (IS("exit"))
            _exit(atoi(argument));
        else
            _exit(2);
    }
    return 0;
}
