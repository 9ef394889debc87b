#include "events.h"

#include "check.h"

#include <stdlib.h>
#include <string.h>

static char memory[2 * EVENTS_SIZE];
static struct buffer out;

/* Takes what is delivered: the verbs and numbers of the frames, as "signal 1,exit 2,". */
static const char *delivered(size_t spare)
{
    static char text[1 << 16];
    struct reader reader = {.memory = memory, .capacity = sizeof memory};
    struct fields fields;

    out = (struct buffer){.memory = memory, .capacity = sizeof memory};
    events_deliver(&out, spare);
    reader.end = out.end;
    text[0] = 0;
    while (frame_next(&reader, &fields) == FRAME_READY) {
        const char *verb = field_next(&fields), *seq = field_next(&fields);
        size_t used = strlen(text);
        if (used < sizeof text - 64)
            snprintf(text + used, sizeof text - used, "%s %s,", verb, seq);
    }
    CHECK(reader.start == reader.end); /* whole frames */
    return text;
}

static uint64_t post(const char *verb, size_t size, enum event_class class)
{
    static char text[EVENTS_SIZE];
    struct buffer *event = event_open(verb);

    memset(text, 'x', size);
    frame_bytes(event, text, size);
    return event_close(class);
}

static void test_told_until_done(void)
{
    CHECK(!strcmp(delivered(0), ""));
    CHECK(post("exit", 3, EVENT_VITAL) == 1);
    CHECK(post("notify", 300, EVENT_DROPPABLE) == 2);
    CHECK(post("gone", 0, EVENT_VITAL) == 3);
    CHECK(!strcmp(delivered(0), "exit 1,notify 2,gone 3,"));
    CHECK(!strcmp(delivered(0), "")); /* once */
    CHECK(event_done(2));
    CHECK(!event_done(2) && !event_done(0) && !event_done(4));
    CHECK(post("exit", 3, EVENT_VITAL) == 4); /* no number is used twice */
    events_rewind();
    CHECK(!strcmp(delivered(0), "exit 1,gone 3,exit 4,"));
    CHECK(event_done(4) && event_done(1) && event_done(3));
    events_rewind();
    CHECK(!strcmp(delivered(0), ""));
}

static void test_room_left(void)
{
    uint64_t first = post("exit", 1000, EVENT_VITAL), second = post("exit", 1000, EVENT_VITAL);
    char expected[64];

    snprintf(expected, sizeof expected, "exit %llu,", (unsigned long long)first);
    CHECK(!strcmp(delivered(sizeof memory - 1500), expected)); /* room for one and no more */
    snprintf(expected, sizeof expected, "exit %llu,", (unsigned long long)second);
    CHECK(!strcmp(delivered(0), expected));
    CHECK(event_done(first) && event_done(second));
}

static void test_signals(void)
{
    uint64_t term = event_signal(15, false, 7, 0), hup = event_signal(1, false, 7, 0);

    CHECK(hup == term + 1);
    CHECK(event_signal(15, false, 8, 0) == term); /* nobody has seen it yet */
    /* A reload that waits must not swallow the terminal's end, which is a stop. */
    uint64_t hangup = event_signal(1, true, 0, 0);
    CHECK(hangup == hup + 1);
    CHECK(event_signal(1, true, 0, 0) == hangup && event_signal(1, false, 7, 0) == hup);
    delivered(0);
    uint64_t again = event_signal(15, false, 8, 0);
    CHECK(again == hangup + 1); /* it came after the first was seen */
    events_rewind();            /* by an agent that is dead */
    CHECK(event_signal(1, false, 8, 0) == hup);
    CHECK(event_done(term) && event_done(hup) && event_done(hangup) && event_done(again));
    CHECK(event_signal(64, false, 0, 0) && event_signal(63, true, 0, 0));
    CHECK(event_done(again + 1) && event_done(again + 2));
}

/* What may be dropped leaves the reserve; signals and ends use it; nothing is written beyond the end. */
static void test_full(void)
{
    unsigned long before = events_dropped();
    uint64_t first = post("notify", 4000, EVENT_DROPPABLE), last = first, seq;
    size_t count = 1;

    while ((seq = post("notify", 4000, EVENT_DROPPABLE))) {
        CHECK(seq == last + 1);
        last = seq;
        count++;
    }
    CHECK(count * 4000 < EVENTS_SIZE - EVENTS_RESERVE && (count + 2) * 4000 > EVENTS_SIZE - EVENTS_RESERVE);
    CHECK(events_dropped() == before + 1);
    CHECK(post("request", 2 * EVENTS_SIZE / 3, EVENT_DROPPABLE) == 0);

    /* Fill up to the brim, byte for byte. */
    for (size_t size = 4000; size; size /= 2)
        while ((seq = post("exit", size, EVENT_VITAL)))
            last = seq;
    unsigned long dropped = events_dropped();
    CHECK(post("exit", 0, EVENT_VITAL) == 0);
    CHECK(events_dropped() == dropped); /* the caller brings it again */
    CHECK(event_signal(15, false, 0, 0) == 0);
    CHECK(events_dropped() == dropped + 1);
    delivered(0);

    CHECK(event_done(first));
    uint64_t signal = event_signal(15, false, 0, 0);
    CHECK(signal == last + 1);
    delivered(0);
    CHECK(event_signal(15, false, 0, 0) == signal); /* room is scarce: it stands for the second one too */
    CHECK(event_signal(14, false, 0, 0) == signal + 1);
    for (uint64_t done = first + 1; done <= signal + 1; done++)
        CHECK(event_done(done));
    events_rewind();
    CHECK(!strcmp(delivered(0), ""));
}

int main(void)
{
    test_told_until_done();
    test_room_left();
    test_signals();
    test_full();
    return check_report();
}
