/* A service in one epoll loop that drains without resetting anyone. Its listening socket is descriptor 3 (LISTEN_FDS).
 * GET only: a request ends at its empty line. Compile with -D_GNU_SOURCE and -DVERSION=\"…\", which the first line of the
 * file $CONFIG replaces. */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { LISTENER = 3, OPEN_MAX = 1000, CONNECTIONS = OPEN_MAX + 24, REQUEST_MAX = 4096, SLOW_LENGTH = 65536, SLICES = 20 };
enum { MEBIBYTE = 1 << 20 };

struct connection {
    bool open, answering, last; /* last: the answer says Connection: close */
    int64_t since;              /* ms; answering: when that began, else: idle since */
    long duration;              /* ms over which the body is streamed */
    const char *body;
    size_t head_length, length, sent; /* length and sent: head and body together */
    size_t request_length;
    char request[REQUEST_MAX], head[512];
};

static struct connection connections[CONNECTIONS]; /* by descriptor */
static char version[64] = VERSION, slow_body[SLOW_LENGTH], root_body[512];
static int epoll_fd, open_count, fd_end; /* fd_end: above every descriptor that was ever used */
static bool draining, full;
static int64_t draining_since;
static long grace; /* ms */

static int64_t now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * INT64_C(1000) + time.tv_nsec / 1000000;
}

static void watch(int operation, int fd, uint32_t events)
{
    if (epoll_ctl(epoll_fd, operation, fd, &(struct epoll_event){.events = events, .data.fd = fd}))
        err(1, "cannot watch descriptor %d", fd);
}

/* The table of connections being full, the rest wait in the kernel's queue. */
static void set_full(bool on)
{
    if (full != on && !draining)
        watch(EPOLL_CTL_MOD, LISTENER, on ? 0 : EPOLLIN);
    full = on;
}

static void hang_up(int fd)
{
    close(fd);
    connections[fd].open = false;
    open_count--;
    set_full(false);
}

static void begin_answer(struct connection *c, const char *status, const char *body, size_t length, long duration)
{
    c->last |= draining;
    c->head_length = (size_t)snprintf(c->head, sizeof c->head,
                                      "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
                                      "X-Version: %s\r\nX-Pid: %d\r\n%s\r\n",
                                      status, length, version, (int)getpid(), c->last ? "Connection: close\r\n" : "");
    c->answering = true;
    c->since = now();
    c->duration = duration;
    c->body = body;
    c->length = c->head_length + length;
    c->sent = 0;
}

/* Takes one whole request off the buffer and begins its answer; false while it is not whole. */
static bool take_request(struct connection *c)
{
    char *end = memmem(c->request, c->request_length, "\r\n\r\n", 4);
    long duration = 20000;

    if (!end)
        return false;
    end[2] = '\0';
    c->last = strcasestr(c->request, "\r\nConnection: close\r\n") != NULL;
    if (!strncmp(c->request, "GET /slow", 9)) {
        sscanf(c->request, "GET /slow?ms=%ld", &duration);
        begin_answer(c, "200 OK", slow_body, SLOW_LENGTH, duration);
    } else if (!strncmp(c->request, "GET /healthz ", 13)) {
        begin_answer(c, "200 OK", "ok\n", 3, 0);
    } else if (!strncmp(c->request, "GET /", 5)) {
        begin_answer(c, "200 OK", root_body, strlen(root_body), 0);
    } else {
        c->last = true; /* there may be a body, which nobody here reads */
        begin_answer(c, "405 Method Not Allowed", "", 0, 0);
    }
    c->request_length -= (size_t)(end + 4 - c->request);
    memmove(c->request, end + 4, c->request_length);
    return true;
}

/* The bytes of the answer that may be sent by now. */
static size_t due(const struct connection *c)
{
    int64_t slice = c->duration > 0 ? (now() - c->since) * SLICES / c->duration : SLICES;

    return slice >= SLICES ? c->length : c->head_length + SLOW_LENGTH / SLICES * (size_t)slice;
}

/* Sends what is due; true when the socket took it all. */
static bool send_due(int fd, struct connection *c)
{
    size_t limit = due(c);

    while (c->sent < limit) {
        bool head = c->sent < c->head_length;
        const char *from = head ? c->head + c->sent : c->body + (c->sent - c->head_length);
        size_t size = (head ? c->head_length : limit) - c->sent;
        /* MSG_MORE: head and body in one packet. A broken connection is found by EPOLLERR. */
        ssize_t n = send(fd, from, size, MSG_NOSIGNAL | (head && limit > c->head_length ? MSG_MORE : 0));

        if (n < 0)
            return false;
        c->sent += (size_t)n;
    }
    return true;
}

/* False when the connection is over. */
static bool serve(int fd, bool readable)
{
    struct connection *c = &connections[fd];
    uint32_t wanted = EPOLLIN;

    if (readable) {
        ssize_t n = recv(fd, c->request + c->request_length, REQUEST_MAX - 1 - c->request_length, 0);
        if (n == 0 || (n < 0 && errno != EAGAIN))
            return false;
        c->request_length += n > 0 ? (size_t)n : 0;
        c->request[c->request_length] = '\0';
    }
    while (c->answering || take_request(c)) {
        /* A further request waits in the kernel until this one is answered. */
        wanted = send_due(fd, c) ? 0 : EPOLLOUT;
        if (c->sent < c->length)
            break;
        if (c->last)
            return false;
        c->answering = false;
        c->since = now();
        wanted = EPOLLIN;
    }
    watch(EPOLL_CTL_MOD, fd, wanted);
    return c->request_length < REQUEST_MAX - 1;
}

static void accept_all(void)
{
    int fd;

    while (!full && (fd = accept4(LISTENER, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        connections[fd] = (struct connection){.open = true, .since = now()};
        open_count++;
        fd_end = fd >= fd_end ? fd + 1 : fd_end;
        watch(EPOLL_CTL_ADD, fd, EPOLLIN);
        set_full(open_count == OPEN_MAX); /* descriptors are given out lowest first: below CONNECTIONS */
    }
}

/* What time brings: slices that are due, idle connections whose grace is over. Returns ms until there is more, or -1. */
static int tick(void)
{
    int64_t time = now(), next = INT64_MAX;

    for (int fd = 0; fd < fd_end; fd++) {
        struct connection *c = &connections[fd];
        int64_t at = INT64_MAX;

        if (c->open && c->answering && c->duration > 0) {
            at = time + c->duration / SLICES + 1;
            if (!serve(fd, false))
                hang_up(fd);
        } else if (c->open && !c->answering && draining) {
            at = (c->since > draining_since ? c->since : draining_since) + grace;
            if (at <= time)
                hang_up(fd);
        }
        if (c->open && at < next)
            next = at;
    }
    return next == INT64_MAX ? -1 : (int)(next - time);
}

static void drain(int signal_fd)
{
    draining = true;
    draining_since = now();
    watch(EPOLL_CTL_DEL, LISTENER, 0);
    watch(EPOLL_CTL_DEL, signal_fd, 0);
    dup2(signal_fd, LISTENER); /* closes this process's copy of the socket; no connection may get its number */
}

static void read_config(const char *path)
{
    FILE *file = fopen(path, "re");

    if (!file || !fgets(version, sizeof version, file))
        err(1, "cannot read %s", path);
    version[strcspn(version, "\n")] = '\0';
    fclose(file);
}

int main(void)
{
    struct epoll_event events[64];
    sigset_t signals;
    int signal_fd;

#if defined EXITS_AT_ONCE
    return 3;
#elif defined NEVER_READY
    return pause();
#elif defined FILLS_MEMORY
    for (char *at; (at = malloc(MEBIBYTE));)
        explicit_bzero(at, MEBIBYTE);
#elif defined CRASHES_AFTER_START
    ualarm(500000, 0); /* nobody handles it */
#endif
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    grace = atol(getenv("DRAIN_GRACE_MS") ? getenv("DRAIN_GRACE_MS") : "1000");
    for (size_t i = 0; i < SLOW_LENGTH; i++)
        slow_body[i] = "0123456789abcdef"[i % 16];
    if (getenv("CONFIG"))
        read_config(getenv("CONFIG"));
    snprintf(root_body, sizeof root_body, "{\"app\":\"c\",\"version\":\"%s\",\"pid\":%d,\"payload\":\"%.256s\"}\n",
             version, (int)getpid(), slow_body);

    signal_fd = signalfd(-1, &signals, SFD_CLOEXEC);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    watch(EPOLL_CTL_ADD, signal_fd, EPOLLIN);
    /* Non-blocking: another process on the same socket may take the connection first. Not EPOLLEXCLUSIVE: one process
     * alone would be woken for a connection, which would wait for ever if that one stops accepting just then. */
    fcntl(LISTENER, F_SETFL, O_NONBLOCK);
    watch(EPOLL_CTL_ADD, LISTENER, EPOLLIN);

    for (;;) {
        int timeout = tick(), count;

        if (draining && open_count == 0)
            return 0;
        count = epoll_wait(epoll_fd, events, 64, timeout);
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;

            if (fd == signal_fd)
                drain(signal_fd);
            else if (fd == LISTENER)
                accept_all();
            else if (events[i].events & (EPOLLERR | EPOLLHUP) || !serve(fd, events[i].events & EPOLLIN))
                hang_up(fd);
        }
    }
}
