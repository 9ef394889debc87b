/* The reader of the health pages: the input is a slot, as a writer gone mad may leave it. */
#include "pages.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const paths[] = {"/livez", "/readyz", "/a", "/", ""};
    static const uint32_t turns[2] = {1, 1};
    enum { ROOM = 64 };
    /* The second slot ends where the memory does, so that AddressSanitizer sees any excess. */
    static char *pages;
    char *slot;

    if (!pages)
        pages = calloc(1, PAGES_SIZE);
    require(pages != NULL);
    slot = pages + PAGES_SLOTS_OFFSET + PAGES_SLOT_SIZE;
    if (size > PAGES_SLOT_SIZE)
        size = PAGES_SLOT_SIZE;
    memcpy(pages + 8, turns, sizeof turns);
    memcpy(slot, data, size);
    for (size_t i = 0; i < COUNT(paths); i++) {
        struct page page;
        char *body = malloc(ROOM);
        if (pages_read(pages, paths[i], &page, body, ROOM)) {
            require(paths[i][0] == '/');
            require(page.length <= ROOM);
            require(page.status >= 200 && page.status <= 599 && page.status != 204 && page.status != 304);
            require(memchr(page.type, '\0', sizeof page.type) && page.type[0]);
            for (const char *c = page.type; *c; c++)
                require(*c >= ' ' && *c <= '~');
        }
        free(body);
    }
    memset(slot, 0, size);
    return 0;
}
