#include "events.h"

#include <string.h>

enum { FROM_KERNEL = 0x80 };

struct record {
    uint64_t seq;
    uint32_t size;  /* of the frame that follows, its length field included */
    uint8_t signal; /* its number, with FROM_KERNEL where it is; 0 for other events */
    bool delivered;
};

static _Alignas(struct record) char arena[EVENTS_SIZE];
static size_t used;
static uint64_t last_seq;
static unsigned long dropped;
static struct buffer opened;

static size_t record_size(const struct record *record)
{
    size_t align = _Alignof(struct record);
    return sizeof *record + (record->size + align - 1) / align * align;
}

static struct record *record_at(size_t offset)
{
    return (struct record *)(void *)(arena + offset);
}

struct buffer *event_open(const char *verb)
{
    size_t offset = used + sizeof(struct record) < EVENTS_SIZE ? used + sizeof(struct record) : EVENTS_SIZE;
    opened = (struct buffer){.memory = arena + offset, .capacity = EVENTS_SIZE - offset};
    frame_open(&opened, verb);
    frame_number(&opened, (long long)last_seq + 1);
    return &opened;
}

static uint64_t close_record(enum event_class class, uint8_t signal)
{
    static const size_t limits[] = {
        [EVENT_VITAL] = EVENTS_SIZE,
        [EVENT_DROPPABLE] = EVENTS_SIZE - EVENTS_RESERVE,
        [EVENT_CHATTER] = (EVENTS_SIZE - EVENTS_RESERVE) / 2,
    };
    bool complete = frame_close(&opened);
    struct record head = {.seq = last_seq + 1, .size = (uint32_t)opened.end, .signal = signal};

    if (!complete || used + record_size(&head) > limits[class])
        return 0;
    *record_at(used) = head;
    used += record_size(&head);
    return last_seq = head.seq;
}

uint64_t event_close(enum event_class class)
{
    uint64_t seq = close_record(class, 0);
    if (!seq && class != EVENT_VITAL)
        dropped++;
    return seq;
}

uint64_t event_signal(int number, bool from_kernel, pid_t pid, uid_t uid)
{
    uint8_t signal = (uint8_t)(number | (from_kernel ? FROM_KERNEL : 0));
    bool scarce = used > EVENTS_SIZE - EVENTS_RESERVE;

    for (size_t at = 0; at < used; at += record_size(record_at(at)))
        if (record_at(at)->signal == signal && (scarce || !record_at(at)->delivered))
            return record_at(at)->seq;
    struct buffer *event = event_open("signal");
    frame_number(event, number);
    frame_text(event, from_kernel ? "kernel" : "user");
    frame_number(event, pid);
    frame_number(event, uid);
    frame_number(event, now_ms()); /* an agent may hear of it much later */
    uint64_t seq = close_record(EVENT_VITAL, signal);
    if (!seq)
        dropped++;
    return seq;
}

bool event_done(uint64_t seq)
{
    size_t at = 0;
    while (at < used && record_at(at)->seq != seq)
        at += record_size(record_at(at));
    if (at == used)
        return false;
    size_t size = record_size(record_at(at));
    memmove(arena + at, arena + at + size, used - at - size);
    used -= size;
    return true;
}

void events_deliver(struct buffer *out, size_t spare)
{
    for (size_t at = 0; at < used; at += record_size(record_at(at))) {
        struct record *record = record_at(at);
        if (record->delivered)
            continue;
        if (buffer_room(out) < spare + record->size || !buffer_append(out, record + 1, record->size))
            return;
        record->delivered = true;
    }
}

void events_rewind(void)
{
    for (size_t at = 0; at < used; at += record_size(record_at(at)))
        record_at(at)->delivered = false;
}

unsigned long events_dropped(void)
{
    return dropped;
}
