#include "wire.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static size_t load_length(const char *bytes)
{
    const unsigned char *b = (const unsigned char *)bytes;
    return (size_t)b[0] | (size_t)b[1] << 8 | (size_t)b[2] << 16 | (size_t)b[3] << 24;
}

static void store_length(char *bytes, size_t length)
{
    for (int i = 0; i < FRAME_HEADER; i++)
        bytes[i] = (char)(length >> (8 * i));
}

ssize_t frame_fill(struct reader *reader, int fd)
{
    if (reader->start) {
        memmove(reader->memory, reader->memory + reader->start, reader->end - reader->start);
        reader->end -= reader->start;
        reader->start = 0;
    }
    if (reader->end == reader->capacity) { /* read(2) of nothing would look like the end */
        errno = EAGAIN;
        return -1;
    }
    ssize_t n = read(fd, reader->memory + reader->end, reader->capacity - reader->end);
    if (n > 0)
        reader->end += (size_t)n;
    return n;
}

enum frame_status frame_next(struct reader *reader, struct fields *fields)
{
    size_t skipped = reader->end - reader->start;
    if (skipped > reader->skip)
        skipped = reader->skip;
    reader->start += skipped;
    reader->skip -= skipped;

    size_t available = reader->end - reader->start;
    if (reader->skip || available < FRAME_HEADER)
        return FRAME_NONE;
    char *frame = reader->memory + reader->start + FRAME_HEADER;
    size_t length = load_length(frame - FRAME_HEADER);
    if (length > reader->capacity - FRAME_HEADER) {
        reader->start += FRAME_HEADER;
        reader->skip = length;
        return FRAME_BAD;
    }
    if (available - FRAME_HEADER < length)
        return FRAME_NONE;
    reader->start += FRAME_HEADER + length;
    if (!length || frame[length - 1])
        return FRAME_BAD;
    *fields = (struct fields){frame, frame + length};
    return FRAME_READY;
}

char *field_next(struct fields *fields)
{
    if (fields->next == fields->end)
        return NULL;
    char *field = fields->next;
    fields->next += strlen(field) + 1;
    return field;
}

bool field_number(struct fields *fields, long low, long high, long *value)
{
    const char *field = field_next(fields);
    return field && parse_number(field, low, high, value);
}

bool fields_end(const struct fields *fields)
{
    return fields->next == fields->end;
}

size_t buffer_room(const struct buffer *buffer)
{
    return buffer->capacity - (buffer->end - buffer->start);
}

static void buffer_compact(struct buffer *buffer)
{
    memmove(buffer->memory, buffer->memory + buffer->start, buffer->end - buffer->start);
    buffer->end -= buffer->start;
    buffer->start = 0;
}

bool buffer_append(struct buffer *buffer, const void *bytes, size_t length)
{
    if (buffer_room(buffer) < length)
        return false;
    buffer_compact(buffer);
    memcpy(buffer->memory + buffer->end, bytes, length);
    buffer->end += length;
    return true;
}

void frame_open(struct buffer *buffer, const char *verb)
{
    buffer_compact(buffer);
    buffer->frame = buffer->end;
    buffer->overflow = buffer->capacity - buffer->end < FRAME_HEADER;
    if (!buffer->overflow)
        buffer->end += FRAME_HEADER;
    frame_text(buffer, verb);
}

void frame_bytes(struct buffer *buffer, const char *bytes, size_t length)
{
    if (buffer->overflow || buffer->capacity - buffer->end < length + 1) {
        buffer->overflow = true;
        return;
    }
    memcpy(buffer->memory + buffer->end, bytes, length);
    buffer->end += length;
    buffer->memory[buffer->end++] = 0;
}

void frame_text(struct buffer *buffer, const char *text)
{
    frame_bytes(buffer, text, strlen(text));
}

void frame_number(struct buffer *buffer, long long number)
{
    char text[24];
    int length = snprintf(text, sizeof text, "%lld", number);
    frame_bytes(buffer, text, (size_t)length);
}

bool frame_close(struct buffer *buffer)
{
    size_t length = buffer->end - buffer->frame;
    if (buffer->overflow || length - FRAME_HEADER > FRAME_MAX) {
        buffer->end = buffer->frame;
        return false;
    }
    store_length(buffer->memory + buffer->frame, length - FRAME_HEADER);
    return true;
}

bool buffer_drain(struct buffer *buffer, int fd)
{
    while (!buffer_empty(buffer)) {
        ssize_t n = send(fd, buffer->memory + buffer->start, buffer->end - buffer->start, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR;
        buffer->start += (size_t)n;
    }
    buffer->start = buffer->end = 0;
    return true;
}
