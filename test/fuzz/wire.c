/* What an agent may send: any bytes, in pieces of any size. Each frame is answered once; the frames do not depend on
 * the pieces; nothing is written beyond any buffer. The verbs are performed: no descriptor can be opened meanwhile
 * (RLIMIT_NOFILE), so that no process, socket or file comes of it, and the table has no process that a signal could
 * reach. */
#include "agent.h"
#include "events.h"
#include "verbs.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { ROOM = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void set_descriptor_limit(rlim_t soft)
{
    struct rlimit limit;

    require(!getrlimit(RLIMIT_NOFILE, &limit));
    limit.rlim_cur = soft ? limit.rlim_max : 0;
    require(!setrlimit(RLIMIT_NOFILE, &limit));
}

/* How many answers the frames in agent_out are; each frame must be whole. */
static size_t count_answers(void)
{
    struct reader sent = {.memory = agent_out.memory,
                          .capacity = agent_out.capacity,
                          .start = agent_out.start,
                          .end = agent_out.end};
    struct fields fields;
    size_t count = 0;

    while (frame_next(&sent, &fields) == FRAME_READY) {
        const char *verb = field_next(&fields);
        bool is_error = !strcmp(verb, "error");
        require(*verb);
        if (is_error || !strcmp(verb, "ok")) {
            const char *id = field_next(&fields);
            require(id && *id && strlen(id) < ID_SIZE);
            count++;
        }
        if (is_error) {
            const char *name = field_next(&fields), *text = field_next(&fields);
            require(name && *name == 'E' && text && fields_end(&fields));
        }
    }
    require(sent.start == sent.end);
    agent_out.start = agent_out.end = 0;
    return count;
}

static void perform(enum frame_status status, struct fields *fields)
{
    exit_asked = false;
    if (status == FRAME_BAD)
        verb_refuse_frame();
    else {
        set_descriptor_limit(0);
        verb_perform(fields);
        set_descriptor_limit(1);
    }
    require(count_answers() == !exit_asked);
    FOR_EACH_PROCESS(process)
        require(process->exited);
}

/* A sum over the frames, the same for the same frames. */
static uint64_t add_to_sum(uint64_t sum, enum frame_status status, const struct fields *fields)
{
    sum = sum * 31 + (uint64_t)status;
    if (status == FRAME_READY)
        for (const char *byte = fields->next; byte < fields->end; byte++)
            sum = sum * 31 + (unsigned char)*byte;
    return sum;
}

/* Feeds the bytes in pieces, through a pipe as read(2) would, and takes the frames. */
static uint64_t feed(const uint8_t *data, size_t size, size_t piece, bool performing)
{
    struct reader reader = {.memory = malloc(FRAME_HEADER + ROOM), .capacity = FRAME_HEADER + ROOM};
    uint64_t sum = 0;
    int ends[2];

    require(reader.memory && !pipe(ends));
    while (size) {
        struct fields fields;
        enum frame_status status;
        size_t length = size < piece ? size : piece;
        require(write(ends[1], data, length) == (ssize_t)length);
        require(frame_fill(&reader, ends[0]) == (ssize_t)length);
        while ((status = frame_next(&reader, &fields)) != FRAME_NONE) {
            sum = add_to_sum(sum, status, &fields);
            if (performing)
                perform(status, &fields);
        }
        data += length;
        size -= length;
    }
    require(reader.start <= reader.end && reader.end <= reader.capacity);
    close(ends[0]);
    close(ends[1]);
    free(reader.memory);
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size || size > ROOM)
        return 0;
    size_t piece = 1 + data[0];
    data++;
    size--;

    /* One that has ended, of a group that cannot exist, for `list`, `kill` and `route`. */
    static struct process *ended;
    if (!ended)
        ended = process_slot();
    *ended = (struct process){.pid = INT32_MAX, .name = "ended", .exec_fd = -1, .exited = true, .started = 1};
    event_signal(1, false, 1, 0);
    require(feed(data, size, piece, true) == feed(data, size, ROOM, false));
    for (uint64_t seq = event_signal(1, false, 1, 0); seq && event_done(seq);)
        seq--;
    return 0;
}
