/* The health pages: bytes that the agent publishes and that the responder and PID 1 read, in one memfd that all three
 * have. The writer is agent/health/pages.ts; this layout is the contract. All integers are 32-bit little-endian.
 *
 *   offset 0   "BPG1"
 *   offset 4   draining: 1 once PID 1 itself stops the container; /readyz is then 503 whatever was published
 *   offset 8   turn: how often something was published; 0 = nothing yet
 *   offset 12  turn again: the kernel copies what write(2) is given in pieces of its own choice, down to single bytes,
 *              so that one integer alone can be seen half written; a reader takes it only when both are the same
 *   offset 4096                     slot 0, used while turn is even
 *   offset 4096 + PAGES_SLOT_SIZE   slot 1, used while turn is odd
 *
 * A slot is: count, then count pages, each: status, path length, type length, body length, then those bytes, nothing
 * between. Status: 200..599 but 204, 205 and 304, which have no body. Path: 1..255 visible ASCII characters, the first
 * a slash. Type: 1..63 printable ASCII characters.
 *
 * The writer fills the slot of turn + 1 whole and then writes both turns with one pwrite(2). A reader takes turn,
 * copies out of its slot, and takes turn again: unchanged means that no byte of the copy is torn, since the writer
 * touches a slot again only after it has published the other one. A writer killed at any point leaves the last good
 * slot current. The memfd is sealed against a change of its size, so that no reader can be killed by SIGBUS. */
#ifndef BATON_PAGES_H
#define BATON_PAGES_H

#include "base.h"

enum {
    PAGES_SLOTS_OFFSET = 4096,
    PAGES_SLOT_SIZE = 256 * 1024,
    PAGES_SIZE = PAGES_SLOTS_OFFSET + 2 * PAGES_SLOT_SIZE,
};

struct page {
    int status; /* an HTTP status */
    char type[64];
    size_t length; /* bytes in `body` */
};

/* Creates the memfd, sized, sealed and with its magic (CLOEXEC), or -1 with errno. */
int pages_create(void);

/* Maps it: read-only for the responder, writable for PID 1. NULL with errno, EINVAL when it is none of ours. */
const void *pages_map(int fd);
void *pages_map_writable(int fd);

/* Copies the body of the page at `path` to `body` (cut at `size`). False when there is no such page. What the agent
 * wrote is never trusted: a slot that does not parse has no pages. Before the first publication /livez is 200 and
 * /readyz, /startupz, /status and /metrics are 503. 503 also where a writer in a tight loop let no copy succeed. */
bool pages_read(const void *pages, const char *path, struct page *page, char *body, size_t size);

/* From here on /readyz is 503: for the stop that PID 1 makes without an agent. */
void pages_set_draining(void *pages);

#endif
