/* Frames (docs/wire.md): a 32-bit little-endian length and that many bytes, which are fields, each ended by NUL.
 * Pure but for frame_fill and buffer_drain. */
#ifndef BATON_WIRE_H
#define BATON_WIRE_H

#include "base.h"

enum {
    FRAME_MAX = 1 << 20, /* bytes after the length */
    FRAME_HEADER = 4,
};

/* Incoming bytes. `memory` holds FRAME_HEADER + the longest frame that is wanted. */
struct reader {
    char *memory;
    size_t capacity;
    size_t start, end;  /* what was read and not consumed yet */
    size_t skip;        /* bytes of a refused frame that are still to come */
};

/* The fields of one frame; valid until the reader is filled again. */
struct fields {
    char *next, *end;
};

enum frame_status { FRAME_NONE, FRAME_READY, FRAME_BAD };

/* Reads what is there: > 0 bytes, 0 at the end of the stream, -1 with errno (EAGAIN: nothing now, or no room before
 * a frame is taken). */
ssize_t frame_fill(struct reader *reader, int fd);

/* The next whole frame. FRAME_BAD consumes one that is empty, too long or not NUL-terminated; the stream goes on. */
enum frame_status frame_next(struct reader *reader, struct fields *fields);

/* The next field, or NULL after the last. */
char *field_next(struct fields *fields);
bool field_number(struct fields *fields, long low, long high, long *value);
bool fields_end(const struct fields *fields);

/* Outgoing bytes. A frame that does not fit leaves the buffer as it was. */
struct buffer {
    char *memory;
    size_t capacity;
    size_t start, end;  /* what is still to be sent */
    size_t frame;       /* where the open frame began */
    bool overflow;
};

void frame_open(struct buffer *buffer, const char *verb);
void frame_text(struct buffer *buffer, const char *text);
void frame_number(struct buffer *buffer, long long number);
/* As one field; bytes that are NUL end it early. */
void frame_bytes(struct buffer *buffer, const char *bytes, size_t length);
/* False, and nothing added, when it did not fit. */
bool frame_close(struct buffer *buffer);

/* Adds whole frames made elsewhere; false when they do not fit. */
bool buffer_append(struct buffer *buffer, const void *bytes, size_t length);

size_t buffer_room(const struct buffer *buffer);
static inline bool buffer_empty(const struct buffer *buffer)
{
    return buffer->start == buffer->end;
}

/* Sends what the socket takes without blocking; false with errno when the peer is gone. */
bool buffer_drain(struct buffer *buffer, int fd);

#endif
