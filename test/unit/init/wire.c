#include "wire.h"

#include "check.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SMALL = 64 };

static struct reader small_reader(void)
{
    return (struct reader){.memory = malloc(FRAME_HEADER + SMALL), .capacity = FRAME_HEADER + SMALL};
}

/* As if these bytes had been read. */
static void put(struct reader *reader, const void *bytes, size_t length)
{
    int ends[2];

    if (pipe2(ends, O_NONBLOCK) || write(ends[1], bytes, length) != (ssize_t)length)
        abort();
    CHECK(frame_fill(reader, ends[0]) == (ssize_t)length);
    CHECK(frame_fill(reader, ends[0]) == -1 && errno == EAGAIN);
    close(ends[1]);
    bool full = reader->end - reader->start == reader->capacity;
    CHECK(frame_fill(reader, ends[0]) == (full ? -1 : 0));
    close(ends[0]);
}

static void test_frames_and_fields(void)
{
    struct reader reader = small_reader();
    struct fields fields;
    long number;

    CHECK(frame_next(&reader, &fields) == FRAME_NONE);
    put(&reader, "\x09\0\0\0verb\0\0" "12", 12);
    CHECK(frame_next(&reader, &fields) == FRAME_NONE); /* one byte is missing */
    put(&reader, "\0\x01\0\0\0\0", 6);
    CHECK(frame_next(&reader, &fields) == FRAME_READY);
    CHECK(!fields_end(&fields));
    CHECK(!strcmp(field_next(&fields), "verb"));
    CHECK(!strcmp(field_next(&fields), ""));
    CHECK(field_number(&fields, 12, 12, &number) && number == 12);
    CHECK(fields_end(&fields));
    CHECK(!field_next(&fields));
    CHECK(!field_number(&fields, 0, 100, &number));
    CHECK(frame_next(&reader, &fields) == FRAME_READY); /* one empty field */
    CHECK(!strcmp(field_next(&fields), "") && fields_end(&fields));
    CHECK(frame_next(&reader, &fields) == FRAME_NONE);
    free(reader.memory);
}

static void test_bad_frames(void)
{
    struct reader reader = small_reader();
    struct fields fields;

    put(&reader, "\0\0\0\0" "\x02\0\0\0ab" "\x02\0\0\0a\0", 16);
    CHECK(frame_next(&reader, &fields) == FRAME_BAD); /* empty */
    CHECK(frame_next(&reader, &fields) == FRAME_BAD); /* no NUL */
    CHECK(frame_next(&reader, &fields) == FRAME_READY);
    CHECK(frame_next(&reader, &fields) == FRAME_NONE);
    free(reader.memory);
}

/* One byte more than there is room for: refused at once, skipped as it comes, and the next one is read. */
static void test_too_long(void)
{
    char long_frame[FRAME_HEADER + SMALL + 1] = {SMALL + 1};
    struct reader reader = small_reader();
    struct fields fields;

    put(&reader, long_frame, 20);
    CHECK(frame_next(&reader, &fields) == FRAME_BAD);
    CHECK(frame_next(&reader, &fields) == FRAME_NONE);
    put(&reader, long_frame + 20, sizeof long_frame - 20 - 1);
    CHECK(frame_next(&reader, &fields) == FRAME_NONE);
    put(&reader, "\0\x02\0\0\0a\0", 7); /* the last byte, and a frame */
    CHECK(frame_next(&reader, &fields) == FRAME_READY);
    CHECK(!strcmp(field_next(&fields), "a"));

    char longest[FRAME_HEADER + SMALL] = {SMALL};
    put(&reader, longest, sizeof longest);
    CHECK(frame_next(&reader, &fields) == FRAME_READY);
    CHECK(fields.end - fields.next == SMALL);

    put(&reader, "\xff\xff\xff\xff", 4); /* 4 GiB: no overflow, only a long wait */
    CHECK(frame_next(&reader, &fields) == FRAME_BAD);
    CHECK(reader.skip == 0xffffffff);
    free(reader.memory);
}

static void test_writing(void)
{
    char *memory = malloc(SMALL);
    struct buffer buffer = {.memory = memory, .capacity = SMALL};

    frame_open(&buffer, "ok");
    frame_number(&buffer, -9223372036854775807LL - 1);
    frame_text(&buffer, "");
    CHECK(frame_close(&buffer));
    CHECK(buffer.end == 4 + 3 + 21 + 1);
    CHECK(!memcmp(memory, "\x19\0\0\0ok\0-9223372036854775808\0\0", buffer.end));

    size_t before = buffer.end;
    frame_open(&buffer, "error");
    for (int i = 0; i < 10; i++)
        frame_text(&buffer, "no room for this");
    CHECK(!frame_close(&buffer));
    CHECK(buffer.end == before && buffer_room(&buffer) == SMALL - before);

    frame_open(&buffer, "x"); /* to the last byte */
    frame_bytes(&buffer, "0123456789012345678901234567", SMALL - before - FRAME_HEADER - 2 - 1);
    CHECK(frame_close(&buffer));
    CHECK(buffer_room(&buffer) == 0);
    frame_open(&buffer, "");
    CHECK(!frame_close(&buffer));
    CHECK(!buffer_append(&buffer, "x", 1));
    free(memory);
}

/* What the peer does not take stays, in its order, and what is added comes behind it. */
static void test_draining(void)
{
    static char memory[1 << 20], bytes[1 << 19], received[1 << 20];
    struct buffer buffer = {.memory = memory, .capacity = sizeof memory};
    int ends[2];

    CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i * 7 + i / 251);
    CHECK(buffer_empty(&buffer));
    CHECK(buffer_append(&buffer, bytes, sizeof bytes));
    CHECK(buffer_drain(&buffer, ends[0]));
    CHECK(!buffer_empty(&buffer) && buffer.start > 0); /* more than a socket holds */
    CHECK(buffer_append(&buffer, "end", 3));

    size_t total = 0;
    for (ssize_t n; total < sizeof bytes + 3; total += (size_t)n) {
        n = recv(ends[1], received + total, sizeof received - total, MSG_DONTWAIT);
        if (n <= 0) {
            CHECK(buffer_drain(&buffer, ends[0]));
            n = 0;
        }
    }
    CHECK(buffer_empty(&buffer));
    CHECK(!memcmp(received, bytes, sizeof bytes) && !memcmp(received + sizeof bytes, "end", 3));
    close(ends[1]);
    CHECK(buffer_append(&buffer, "x", 1));
    CHECK(!buffer_drain(&buffer, ends[0]) && errno == EPIPE); /* and no SIGPIPE */
    close(ends[0]);
}

int main(void)
{
    test_frames_and_fields();
    test_bad_frames();
    test_too_long();
    test_writing();
    test_draining();
    return check_report();
}
