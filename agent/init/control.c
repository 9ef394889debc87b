#include "control.h"
#include "events.h"
#include "pages.h"
#include "sockets.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    WAITING_MAX = CONTROL_CONNECTIONS - 4, /* for the agent; the other places are for probes, which come and go */
    REQUEST_MAX = 8 * 1024,
    REPLY_MAX = PAGES_SLOT_SIZE + 1024, /* a whole page and its frame */
    REQUEST_TIMEOUT_MS = 5000,
    NO_DESCRIPTOR_PAUSE_MS = 100,
};

/* Exit codes for the client (sysexits.h). */
#define REFUSED "77"
#define BUSY "75"
#define MALFORMED "64"

struct connection {
    int fd; /* -1: the slot is free */
    struct ucred peer;
    int64_t deadline; /* for the request; 0 once it is there */
    uint64_t request; /* the event that the agent answers, or 0 */
    bool answered;    /* close once the rest is sent */
    struct reader in;
    struct buffer out;
};

/* The default address, by which the client inside the container always finds us, and the file, where one is asked for. */
static struct listening {
    int fd;
    char address[ADDRESS_TEXT_SIZE];
} listening[] = {{.fd = -1}, {.fd = -1}};
static const void *pages;
static struct connection connections[CONTROL_CONNECTIONS];
/* Apart from them, so that a slot which was never used costs no page of memory. */
static struct {
    char request[FRAME_HEADER + REQUEST_MAX], reply[REPLY_MAX];
} memories[CONTROL_CONNECTIONS];
static int64_t accept_at; /* not before; 0: now */

const char *control_default_address(void)
{
    static char address[64];
    snprintf(address, sizeof address, "@baton/%llu", (unsigned long long)mount_namespace());
    return address;
}

bool control_address(const char *path, struct sockaddr_un *at, socklen_t *size)
{
    bool file = path && *path;
    const char *name = file ? path : control_default_address();
    size_t length = strlen(name) + file; /* a path's NUL counts, an abstract name has none: unix(7) */

    *at = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (length > sizeof at->sun_path) {
        errno = ENAMETOOLONG;
        return false;
    }
    memcpy(at->sun_path, name, length);
    if (!file)
        at->sun_path[0] = 0;
    *size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    return true;
}

bool control_open(const char *path, const char **why)
{
    char address[ADDRESS_TEXT_SIZE], bound[ADDRESS_TEXT_SIZE];
    bool file = path && *path;
    struct address at = {.transport = TRANSPORT_UNIX, .mode = file ? 0600 : -1};
    errno = EINVAL;
    if ((file && *path != '/') || !control_address(path, &at.at.un, &at.size)) {
        *why = "an absolute path of at most 107 bytes is needed";
        return false;
    }
    if (!address_format(&at, address, sizeof address)) {
        errno = EINVAL;
        *why = "not a path";
        return false;
    }
    struct listening *place = &listening[file];
    if (place->fd >= 0 && !strcmp(place->address, address))
        return true;

    int fd = socket_open(address, &(struct socket_options){.backlog = 64}, bound, sizeof bound, why);
    if (fd < 0)
        return false;
    fcntl(fd, F_SETFL, O_NONBLOCK);
    if (place->fd >= 0)
        close(place->fd);
    place->fd = fd;
    memcpy(place->address, address, sizeof address);
    return true;
}

void control_begin(const void *mapped)
{
    pages = mapped;
    for (size_t i = 0; i < CONTROL_CONNECTIONS; i++)
        connections[i].fd = -1;
}

static void release(struct connection *connection)
{
    close(connection->fd);
    connection->fd = -1;
}

static void answer(struct connection *connection, const char *code, const char *text, size_t length)
{
    frame_open(&connection->out, "last");
    frame_text(&connection->out, code);
    frame_bytes(&connection->out, text, length);
    if (!frame_close(&connection->out))
        say("control: an answer of %zu bytes is too long for its client", length);
    connection->answered = true;
    connection->deadline = now_ms() + REQUEST_TIMEOUT_MS;
}

static void answer_text(struct connection *connection, const char *code, const char *text)
{
    answer(connection, code, text, strlen(text));
}

static struct connection *free_slot(void)
{
    for (size_t i = 0; i < CONTROL_CONNECTIONS; i++)
        if (connections[i].fd < 0)
            return &connections[i];
    return NULL;
}

static bool allowed(const struct ucred *peer)
{
    /* The kernel shows a peer of another PID namespace as pid 0 (unless that is a child of ours). */
    return peer->pid > 0 && (peer->uid == 0 || peer->uid == geteuid());
}

static void accept_one(int fd)
{
    struct connection *connection = free_slot();
    if (!connection) {
        char memory[64];
        struct buffer out = {.memory = memory, .capacity = sizeof memory};
        frame_open(&out, "last");
        frame_text(&out, BUSY);
        frame_text(&out, "busy: too many requests wait");
        if (frame_close(&out))
            buffer_drain(&out, fd);
        close(fd);
        return;
    }
    size_t slot = (size_t)(connection - connections);
    connection->fd = fd;
    connection->request = 0;
    connection->answered = false;
    connection->deadline = now_ms() + REQUEST_TIMEOUT_MS;
    connection->in = (struct reader){.memory = memories[slot].request, .capacity = sizeof memories[slot].request};
    connection->out = (struct buffer){.memory = memories[slot].reply, .capacity = sizeof memories[slot].reply};

    socklen_t length = sizeof connection->peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &connection->peer, &length) || !allowed(&connection->peer))
        answer_text(connection, REFUSED, "refused: only root and Baton's own user, in the container's PID namespace, may do this");
}

static void answer_page(struct connection *connection, struct fields *request)
{
    static char body[PAGES_SLOT_SIZE];
    struct page page;
    char status[16];
    const char *path = field_next(request);

    if (!path || !fields_end(request)) {
        answer_text(connection, MALFORMED, "page takes one path");
        return;
    }
    if (!pages || !pages_read(pages, path, &page, body, sizeof body)) {
        answer_text(connection, "404", "no such page");
        return;
    }
    snprintf(status, sizeof status, "%d", page.status);
    answer(connection, status, body, page.length);
}

/* How many wait for the agent. */
static size_t waiting(void)
{
    size_t count = 0;

    for (size_t i = 0; i < CONTROL_CONNECTIONS; i++)
        count += connections[i].fd >= 0 && connections[i].request;
    return count;
}

static void take_request(struct connection *connection)
{
    struct fields request;
    enum frame_status status = frame_next(&connection->in, &request);
    if (status == FRAME_NONE)
        return;
    const char *verb = status == FRAME_READY ? field_next(&request) : NULL;
    if (!verb) {
        answer_text(connection, MALFORMED, "not a request");
        return;
    }
    if (!strcmp(verb, "page")) {
        answer_page(connection, &request);
        return;
    }
    if (waiting() == WAITING_MAX) {
        answer_text(connection, BUSY, "busy: too many requests wait for the agent");
        return;
    }
    struct buffer *event = event_open("request");
    frame_number(event, connection->peer.uid);
    frame_number(event, connection->peer.pid);
    frame_number(event, now_ms());
    frame_text(event, verb);
    for (const char *argument; (argument = field_next(&request));)
        frame_text(event, argument);
    connection->request = event_close(EVENT_DROPPABLE);
    connection->deadline = 0;
    if (!connection->request)
        answer_text(connection, BUSY, "busy: too many events wait for the agent");
}

static void serve(struct connection *connection)
{
    char ignored[256];

    if (connection->deadline && !connection->answered) {
        ssize_t n = frame_fill(&connection->in, connection->fd);
        if (n == 0 || (n < 0 && errno != EAGAIN)) {
            release(connection);
            return;
        }
        take_request(connection);
    } else if (recv(connection->fd, ignored, sizeof ignored, MSG_DONTWAIT) == 0) {
        release(connection); /* whoever asked has left; what was asked for is done all the same */
        return;
    }
    if (!buffer_drain(&connection->out, connection->fd) ||
        (connection->answered && buffer_empty(&connection->out)))
        release(connection);
}

size_t control_polls(struct pollfd *polls)
{
    size_t count = 0;

    for (size_t i = 0; i < COUNT(listening) && !accept_at; i++)
        if (listening[i].fd >= 0)
            polls[count++] = (struct pollfd){.fd = listening[i].fd, .events = POLLIN};
    for (size_t i = 0; i < CONTROL_CONNECTIONS; i++)
        if (connections[i].fd >= 0)
            polls[count++] = (struct pollfd){
                .fd = connections[i].fd,
                .events = (short)(POLLIN | (buffer_empty(&connections[i].out) ? 0 : POLLOUT))};
    return count;
}

static void accept_all(int listener)
{
    int fd;

    while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0)
        accept_one(fd);
    /* Without a free descriptor the connection stays in the queue, where poll would report it again and again. */
    if (errno == EMFILE || errno == ENFILE)
        accept_at = now_ms() + NO_DESCRIPTOR_PAUSE_MS;
}

void control_serve(void)
{
    for (size_t i = 0; i < COUNT(listening); i++)
        if (listening[i].fd >= 0 && !accept_at)
            accept_all(listening[i].fd);
    for (size_t i = 0; i < CONTROL_CONNECTIONS; i++)
        if (connections[i].fd >= 0)
            serve(&connections[i]);
}

int64_t control_expire(int64_t now)
{
    if (accept_at <= now)
        accept_at = 0;
    int64_t next = accept_at;

    for (size_t i = 0; i < CONTROL_CONNECTIONS; i++) {
        struct connection *connection = &connections[i];
        if (connection->fd < 0 || !connection->deadline)
            continue;
        if (connection->deadline <= now)
            release(connection);
        else if (!next || connection->deadline < next)
            next = connection->deadline;
    }
    return next;
}

bool control_reply(uint64_t request, bool last, const char *code, const char *text)
{
    for (size_t i = 0; i < CONTROL_CONNECTIONS; i++) {
        struct connection *connection = &connections[i];
        if (connection->fd < 0 || !connection->request || connection->request != request)
            continue;
        if (last) {
            connection->request = 0;
            answer_text(connection, code, text);
        } else {
            frame_open(&connection->out, "more");
            frame_text(&connection->out, text);
            frame_close(&connection->out); /* a client that does not read misses lines, not the answer */
        }
        serve(connection);
        return true;
    }
    return false;
}
