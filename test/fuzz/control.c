/* What a client may send to the control socket, over a real connection: the first byte says how the rest is cut into pieces. At
 * most one answer or one event comes of it, and the connection's place is free afterwards. */
#include "control.h"
#include "events.h"
#include "pages.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct sockaddr_un at = {.sun_family = AF_UNIX};
static char folder[] = "/tmp/baton-fuzz-XXXXXX";

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void remove_socket(void)
{
    unlink(at.sun_path);
    rmdir(folder);
}

static void open_once(void)
{
    const char *why;
    int fd = pages_create();

    require(mkdtemp(folder) && fd >= 0);
    snprintf(at.sun_path, sizeof at.sun_path, "%s/control", folder);
    control_begin(pages_map(fd));
    require(control_open(at.sun_path, &why));
    atexit(remove_socket);
}

/* Whole frames, each of which is `last` with a number and a text; how many. */
static size_t answers(int fd)
{
    static char memory[FRAME_HEADER + FRAME_MAX];
    struct reader reader = {.memory = memory, .capacity = sizeof memory};
    struct fields fields;
    size_t count = 0;

    for (ssize_t n; (n = recv(fd, memory + reader.end, sizeof memory - reader.end, MSG_DONTWAIT)) > 0;)
        reader.end += (size_t)n;
    for (long code; frame_next(&reader, &fields) == FRAME_READY; count++)
        require(!strcmp(field_next(&fields), "last") && field_number(&fields, 0, 999, &code) && field_next(&fields) &&
                fields_end(&fields));
    require(reader.start == reader.end);
    return count;
}

/* The number of the request that became an event, or 0. */
static uint64_t requested(void)
{
    static char memory[EVENTS_SIZE];
    struct buffer out = {.memory = memory, .capacity = sizeof memory};
    struct reader reader = {.memory = memory, .capacity = sizeof memory};
    struct fields fields;
    long seq = 0, uid, pid, since;

    events_deliver(&out, 0);
    reader.end = out.end;
    if (frame_next(&reader, &fields) == FRAME_NONE)
        return 0;
    require(!strcmp(field_next(&fields), "request") && field_number(&fields, 1, INT64_MAX, &seq));
    require(field_number(&fields, getuid(), getuid(), &uid) && field_number(&fields, getpid(), getpid(), &pid));
    require(field_number(&fields, 1, INT64_MAX, &since) && field_next(&fields)); /* the verb */
    require(reader.start == reader.end && event_done((uint64_t)seq));
    return (uint64_t)seq;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pollfd polls[CONTROL_POLLS];

    if (!*at.sun_path)
        open_once();
    if (!size)
        return 0;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    require(fd >= 0 && !connect(fd, (struct sockaddr *)&at, sizeof at));
    size_t piece = 1 + data[0] * 16u;
    for (data++, size--; size;) {
        size_t length = size < piece ? size : piece;
        /* It may have been refused and closed already. */
        if (send(fd, data, length, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)length)
            break;
        control_serve();
        data += length;
        size -= length;
    }
    control_serve();

    size_t before = answers(fd);
    uint64_t seq = requested();
    require(before + (seq != 0) <= 1);
    if (seq) {
        require(control_reply(seq, true, "0", "done"));
        require(answers(fd) == 1);
        require(!control_reply(seq, true, "0", "done"));
    }
    close(fd);
    control_serve();
    require(control_polls(polls) == 1); /* the listener alone */
    return 0;
}
