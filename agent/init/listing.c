#include "listing.h"

#include <fcntl.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* struct linux_dirent64 of getdents64(2). */
struct listed {
    uint64_t inode;
    int64_t offset;
    uint16_t size;
    uint8_t type;
    char name[];
};

bool listing_open(struct listing *listing, int directory, const char *path)
{
    listing->length = listing->next = 0;
    listing->fd = openat(directory, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return listing->fd >= 0;
}

const char *listing_next(struct listing *listing)
{
    for (;;) {
        if (listing->next >= listing->length) {
            listing->length = syscall(SYS_getdents64, listing->fd, listing->buffer, sizeof listing->buffer);
            listing->next = 0;
            if (listing->length <= 0) {
                close(listing->fd);
                return NULL;
            }
        }
        const struct listed *entry = (const void *)(listing->buffer + listing->next);
        listing->next += entry->size;
        if (entry->name[0] >= '0' && entry->name[0] <= '9')
            return entry->name;
    }
}
