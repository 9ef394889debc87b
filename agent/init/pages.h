/* The health pages: bytes that the agent publishes and that the responder and PID 1 read, in one memfd that all three
 * have. The writer is agent/health/pages.ts; this layout is the contract. All integers are 32-bit little-endian.
 *
 *   offset 0   "BPG1"
 *   offset 4   turn: how often something was published; 0 = nothing yet
 *   offset 8   draining: 1 once PID 1 itself stops the container; /readyz is then 503 whatever was published
 *   offset 12  reserved, 0
 *   offset 4096                     slot 0, used while turn is even
 *   offset 4096 + PAGES_SLOT_SIZE   slot 1, used while turn is odd
 *
 * A slot is: count, then count pages, each: status, path length, type length, body length, then those bytes. The writer
 * fills the slot of turn + 1 whole and then writes turn with one aligned pwrite(2). A reader takes turn, copies out
 * of its slot, and takes turn again: unchanged means that no byte of the copy is torn, since the writer touches
 * a slot again only after it has published the other one. A writer killed at any point leaves the last good slot current. */
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
    size_t length;
};

/* Creates the memfd, sized and with its magic (CLOEXEC), or -1 with errno. */
int pages_create(void);

/* Maps it: read-only for the responder, writable for PID 1. NULL with errno when it is none of ours. */
const void *pages_map(int fd);
void *pages_map_writable(int fd);

/* Copies the body of the page at `path` to `body` (cut at `size`). False when there is no such page. What the agent
 * wrote is never trusted: a slot that does not parse has no pages. Before the first publication /livez is 200 and
 * /readyz, /startupz, /status and /metrics are 503. */
bool pages_read(const void *pages, const char *path, struct page *page, char *body, size_t size);

/* From here on /readyz is 503: for the stop that PID 1 makes without an agent. */
void pages_set_draining(void *pages);

#endif
