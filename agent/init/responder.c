/* The health responder: serves the health pages over HTTP/1.1, in a process of its own that can do nothing else. It is
 * given a listening stream socket as descriptor 3 and the pages as descriptor 4. Single-threaded; all memory is mapped
 * once at the start, and what a slow reader made it touch is given back. */
#include "confine.h"
#include "http.h"
#include "pages.h"
#include "roles.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    LISTENER = 3,
    PAGES = 4,

    CONNECTIONS = 64,
    /* Per round of the loop; fewer than the table holds, so that none is closed again before it was once looked at. */
    ACCEPT_BURST = 16,
    /* 2, 3, the connections, the one that is accepted before another is closed for it, and a few to spare. */
    DESCRIPTORS = CONNECTIONS + 8,

    HEAD_MAX = 512, /* of a response */
    /* A multiple of every page size: what a slow reader is still owed shares no page with another's. */
    RESPONSE_MAX = PAGES_SLOT_SIZE + 64 * 1024,

    /* Milliseconds. */
    HEAD_TIMEOUT = 5000,    /* from the first byte of a request to the last of its head */
    IDLE_TIMEOUT = 60000,   /* until the first byte of a request */
    WRITE_TIMEOUT = 10000,  /* to take a response that does not fit into the socket's buffer */
    LINGER_TIMEOUT = 2000,  /* from our FIN to the peer's */
    ACCEPT_PAUSE = 100,     /* when the system is out of descriptors or memory */
};

enum state {
    READING,   /* waits for a request, or for the rest of its head */
    WRITING,   /* owes the rest of a response; reads nothing meanwhile */
    LINGERING, /* has sent all and its FIN: what still arrives is thrown away (RFC 9112, 9.6) */
};

struct connection {
    int fd; /* -1: free */
    enum state state;
    bool closing;      /* after the response that is owed */
    int64_t since;     /* when the state, or the head, began */
    uint64_t step;     /* when it last got on, counted; bytes that drip in are no step */
    size_t received;   /* bytes of `heads` */
    size_t sent, owed; /* bytes of `responses` */
    struct http_request request;
};

struct memory {
    char response[RESPONSE_MAX]; /* the one being made; a reader who takes it at once needs no other */
    char responses[CONNECTIONS][RESPONSE_MAX];
    char heads[CONNECTIONS][HTTP_HEAD_MAX];
};

static struct connection connections[CONNECTIONS];
static struct memory *memory;
static const void *pages;
static uint64_t steps;
static int64_t now, accept_again;

static char *head_of(const struct connection *connection)
{
    return memory->heads[connection - connections];
}

static char *response_of(const struct connection *connection)
{
    return memory->responses[connection - connections];
}

static void enter(struct connection *connection, enum state state)
{
    /* Else 64 readers who were slow once would hold 16 MiB for good. */
    if (connection->state == WRITING && state != WRITING)
        madvise(response_of(connection), RESPONSE_MAX, MADV_DONTNEED);
    connection->state = state;
    connection->since = now;
    connection->step = ++steps;
}

static void drop(struct connection *connection)
{
    enter(connection, READING);
    close(connection->fd);
    connection->fd = -1;
}

static void finish_response(struct connection *connection)
{
    if (!connection->closing) {
        enter(connection, READING);
    } else if (shutdown(connection->fd, SHUT_WR)) {
        drop(connection);
    } else {
        enter(connection, LINGERING);
    }
}

/* False when the connection is gone. */
static bool send_some(const struct connection *connection, const char *data, size_t length, size_t *sent)
{
    ssize_t n = send(connection->fd, data, length, MSG_NOSIGNAL);

    *sent = n < 0 ? 0 : (size_t)n;
    return n >= 0 || errno == EAGAIN || errno == EINTR;
}

static void send_response(struct connection *connection, const char *data, size_t length)
{
    size_t sent;

    if (!send_some(connection, data, length, &sent)) {
        drop(connection);
    } else if (sent == length) {
        finish_response(connection);
    } else {
        enter(connection, WRITING);
        memcpy(response_of(connection), data + sent, length - sent);
        connection->sent = 0;
        connection->owed = length - sent;
    }
}

static void send_rest(struct connection *connection)
{
    size_t sent;

    if (!send_some(connection, response_of(connection) + connection->sent, connection->owed, &sent)) {
        drop(connection);
        return;
    }
    connection->sent += sent;
    connection->owed -= sent;
    if (!connection->owed)
        finish_response(connection);
}

static const char *reason_phrase(int status)
{
    static const struct {
        int status;
        const char *phrase;
    } phrases[] = {
        {200, "OK"},
        {400, "Bad Request"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {414, "URI Too Long"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {503, "Service Unavailable"},
        {505, "HTTP Version Not Supported"},
    };

    for (size_t i = 0; i < COUNT(phrases); i++)
        if (phrases[i].status == status)
            return phrases[i].phrase;
    return ""; /* it may be empty: RFC 9112, 4 */
}

/* The page that was asked for, its body to `body`; false when there is none. */
static bool find_page(const struct connection *connection, struct page *page, char *body)
{
    const struct http_request *request = &connection->request;
    char path[256];

    if (request->path_length >= sizeof path)
        return false;
    memcpy(path, head_of(connection) + request->path, request->path_length);
    path[request->path_length] = '\0';
    return pages_read(pages, request->path_length ? path : "/", page, body, PAGES_SLOT_SIZE);
}

/* Answers what http_parse() found, or 408. */
static void respond(struct connection *connection, int status)
{
    const struct http_request *request = &connection->request;
    char *body = memory->response + HEAD_MAX, head[HEAD_MAX];
    struct page page;

    connection->closing = status != 200 || !request->keep_alive || request->has_body;
    if (status == 200 && request->method == HTTP_OTHER)
        status = 405;
    if (status != 200 || !find_page(connection, &page, body)) {
        page.status = status == 200 ? 404 : status;
        snprintf(page.type, sizeof page.type, "text/plain; charset=utf-8");
        page.length = (size_t)snprintf(body, PAGES_SLOT_SIZE, "%s\n", reason_phrase(page.status));
    }
    size_t length = (size_t)snprintf(head, sizeof head,
                                     "HTTP/1.1 %d %s\r\n"
                                     "Content-Type: %s\r\n"
                                     "Content-Length: %zu\r\n"
                                     "Cache-Control: no-store\r\n"
                                     "X-Content-Type-Options: nosniff\r\n"
                                     "%s%s\r\n",
                                     page.status, reason_phrase(page.status), page.type, page.length,
                                     page.status == 405 ? "Allow: GET, HEAD\r\n" : "",
                                     connection->closing   ? "Connection: close\r\n"
                                     : request->minor == 0 ? "Connection: keep-alive\r\n"
                                                           : "");
    /* Head and body in one piece, so that they leave in one system call and, where they fit, in one packet. */
    memcpy(body - length, head, length);
    send_response(connection, body - length, length + (request->method == HTTP_HEAD ? 0 : page.length));
}

/* Answers the requests that were received whole, until one waits for its reader. */
static void serve(struct connection *connection)
{
    while (connection->fd >= 0 && connection->state == READING && connection->received) {
        int status = http_parse(&connection->request, head_of(connection), connection->received);
        if (!status)
            return;
        size_t length = connection->request.length;
        respond(connection, status);
        connection->received -= length;
        memmove(head_of(connection), head_of(connection) + length, connection->received);
        memset(&connection->request, 0, sizeof connection->request);
    }
}

static void receive(struct connection *connection)
{
    /* There is room: http_parse() leaves no head incomplete that fills its buffer. */
    size_t room = HTTP_HEAD_MAX - connection->received;
    ssize_t n = recv(connection->fd, head_of(connection) + connection->received, room, 0);

    if (n > 0) {
        if (!connection->received)
            enter(connection, READING);
        connection->received += (size_t)n;
        serve(connection);
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        drop(connection);
    }
}

static void discard(struct connection *connection)
{
    ssize_t n = recv(connection->fd, head_of(connection), HTTP_HEAD_MAX, 0);

    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        drop(connection);
}

static void proceed(struct connection *connection)
{
    switch (connection->state) {
    case READING:
        receive(connection);
        break;
    case WRITING:
        send_rest(connection);
        serve(connection);
        break;
    case LINGERING:
        discard(connection);
        break;
    }
}

static int64_t deadline_of(const struct connection *connection)
{
    switch (connection->state) {
    case READING:
        return connection->since + (connection->received ? HEAD_TIMEOUT : IDLE_TIMEOUT);
    case WRITING:
        return connection->since + WRITE_TIMEOUT;
    case LINGERING:
        break;
    }
    return connection->since + LINGER_TIMEOUT;
}

static void expire(struct connection *connection)
{
    if (connection->state == READING && connection->received)
        respond(connection, 408);
    else
        drop(connection);
}

/* A free place; where there is none, that of the connection that has not got on for the longest. */
static struct connection *make_room(void)
{
    struct connection *stalest = &connections[0];

    for (size_t i = 0; i < COUNT(connections); i++) {
        if (connections[i].fd < 0)
            return &connections[i];
        if (connections[i].step < stalest->step)
            stalest = &connections[i];
    }
    drop(stalest);
    return stalest;
}

/* False when the listener is broken. */
static bool accept_some(void)
{
    for (int i = 0; i < ACCEPT_BURST; i++) {
        int fd = accept4(LISTENER, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            switch (errno) {
            case EAGAIN:
                return true;
            case EBADF:
            case EINVAL:
            case ENOTSOCK:
            case EOPNOTSUPP:
                return false;
            case EMFILE:
            case ENFILE:
            case ENOBUFS:
            case ENOMEM:
                /* Still readable: without a pause this would be a busy loop. */
                accept_again = now + ACCEPT_PAUSE;
                return true;
            default:
                continue; /* the network's own errors concern that one connection: accept(2) */
            }
        }
        struct connection *connection = make_room();
        *connection = (struct connection){.fd = fd};
        enter(connection, READING);
        receive(connection); /* mostly the request is there already */
    }
    return true;
}

/* One round. False when the listener is broken. */
static bool turn(void)
{
    struct pollfd polled[1 + CONNECTIONS] = {{accept_again ? -1 : LISTENER, POLLIN, 0}};
    size_t used = 0; /* places; poll(2) refuses to look at more than the descriptors that may be open */
    int64_t next = INT64_MAX;

    for (size_t i = 0; i < CONNECTIONS; i++) {
        const struct connection *connection = &connections[i];
        polled[1 + i] = (struct pollfd){connection->fd, connection->state == WRITING ? POLLOUT : POLLIN, 0};
        if (connection->fd < 0)
            continue;
        used = i + 1;
        if (deadline_of(connection) < next)
            next = deadline_of(connection);
    }
    if (accept_again && accept_again < next)
        next = accept_again;
    int timeout = next == INT64_MAX ? -1 : next > now ? (int)(next - now) : 0;
    int ready = poll(polled, 1 + used, timeout);

    now = now_ms();
    if (ready < 0)
        return errno == EINTR || errno == EAGAIN;
    if (accept_again && accept_again <= now)
        accept_again = 0;
    /* Those who are here come first: an accept may close one of them, but none that has just sent a request. */
    for (size_t i = 0; i < used; i++) {
        if (polled[1 + i].revents)
            proceed(&connections[i]);
        if (connections[i].fd >= 0 && deadline_of(&connections[i]) <= now)
            expire(&connections[i]);
    }
    return !polled[0].revents || accept_some();
}

/* Nothing but stderr, the listener and the pages is left open. */
static void close_others(void)
{
    close(STDIN_FILENO);
    close(STDOUT_FILENO);
    /* What Baton itself opens is CLOEXEC, so that this is only the second line. */
    descriptors_close_from(PAGES + 1);
}

static bool open_all(void)
{
    int one = 1, listening = 0, flags = fcntl(LISTENER, F_GETFL);
    socklen_t size = sizeof listening;

    if (getsockopt(LISTENER, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) || !listening) {
        say("health-responder is started by Baton itself: descriptor %d is not a listening socket", LISTENER);
        return false;
    }
    /* A connection that is gone before it is accepted must not block. Nagle's delay is inherited by the accepted ones,
     * and there is none on a Unix socket. */
    if (fcntl(LISTENER, F_SETFL, flags | O_NONBLOCK)) {
        say("health responder: cannot make its listener non-blocking: %s", errno_name(errno));
        return false;
    }
    setsockopt(LISTENER, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);

    pages = pages_map(PAGES);
    if (!pages) {
        say("health responder: descriptor %d does not hold the health pages: %s", PAGES, errno_name(errno));
        return false;
    }
    close(PAGES);

    /* Some 20 MiB of addresses, of which next to nothing is ever touched: not for PID 1, which is the same binary. */
    int flags_of_map = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    void *mapped = mmap(NULL, sizeof *memory, PROT_READ | PROT_WRITE, flags_of_map, -1, 0);
    if (mapped == MAP_FAILED) {
        say("health responder: no memory: %s", errno_name(errno));
        return false;
    }
    memory = mapped;
    for (size_t i = 0; i < COUNT(connections); i++)
        connections[i].fd = -1;
    return true;
}

int responder_main(int argc, char **argv)
{
    (void)argc, (void)argv;
    prctl(PR_SET_NAME, "baton-health", 0, 0, 0);
    close_others();
    if (!open_all() || !confine(DESCRIPTORS))
        return EXIT_NO_BATON;
    now = now_ms();
    while (turn())
        ;
    say("health responder: its listener is gone: %s", errno_name(errno));
    return EXIT_NO_BATON;
}
