#include "pages.h"

#include <endian.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Newer than some libc headers: include/uapi/linux/memfd.h */
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

enum {
    DRAINING = 4,
    TURN = 8,
    TURN_AGAIN = 12,
    PATH_MAX_LENGTH = 255,
    /* A copy takes some 20 µs and a publication more, so that each further attempt is ever less likely. */
    ATTEMPTS = 1000,
};

static const char magic[4] = {'B', 'P', 'G', '1'};
static const char plain[] = "text/plain; charset=utf-8";

int pages_create(void)
{
    /* Kernels before 6.3 refuse the flag; since then vm.memfd_noexec=2 refuses those who leave it out. */
    int fd = memfd_create("baton-pages", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);

    if (fd < 0 && errno == EINVAL)
        fd = memfd_create("baton-pages", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -1;
    if (ftruncate(fd, PAGES_SIZE) || pwrite(fd, magic, sizeof magic, 0) != (ssize_t)sizeof magic ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

static void *map(int fd, int protection)
{
    struct stat stat;
    int seals = fcntl(fd, F_GET_SEALS);

    if (seals < 0 || fstat(fd, &stat))
        return NULL;
    if (!(seals & F_SEAL_SHRINK) || stat.st_size != PAGES_SIZE) {
        errno = EINVAL;
        return NULL;
    }
    void *pages = mmap(NULL, PAGES_SIZE, protection, MAP_SHARED, fd, 0);
    if (pages == MAP_FAILED)
        return NULL;
    if (memcmp(pages, magic, sizeof magic)) {
        munmap(pages, PAGES_SIZE);
        errno = EINVAL;
        return NULL;
    }
    return pages;
}

const void *pages_map(int fd)
{
    return map(fd, PROT_READ);
}

void *pages_map_writable(int fd)
{
    return map(fd, PROT_READ | PROT_WRITE);
}

void pages_set_draining(void *pages)
{
    __atomic_store_n((uint32_t *)((char *)pages + DRAINING), htole32(1), __ATOMIC_RELEASE);
}

static uint32_t load_word(const void *pages, size_t offset)
{
    return le32toh(__atomic_load_n((const uint32_t *)((const char *)pages + offset), __ATOMIC_ACQUIRE));
}

/* False while it is being written. The second is read first: it is written last, so what is equal was whole. */
static bool load_turn(const void *pages, uint32_t *turn)
{
    *turn = load_word(pages, TURN_AGAIN);
    return load_word(pages, TURN) == *turn;
}

/* Each byte is read exactly once, whatever the optimiser may think: what was checked is what is used. */
static uint32_t load_unaligned(const char *at)
{
    const volatile unsigned char *byte = (const volatile unsigned char *)at;
    uint32_t value = 0;

    for (int i = 0; i < 4; i++)
        value |= (uint32_t)byte[i] << (8 * i);
    return value;
}

static bool is_printable(const char *text, size_t length, char lowest)
{
    for (size_t i = 0; i < length; i++)
        if (text[i] < lowest || text[i] > '~')
            return false;
    return true;
}

static bool has_body(uint32_t status)
{
    return status >= 200 && status <= 599 && status != 204 && status != 205 && status != 304;
}

/* Copies `length` bytes out of the slot at *at and moves on; false when they do not lie within the slot. */
static bool take(const char *slot, size_t *at, void *to, size_t length)
{
    if (length > PAGES_SLOT_SIZE - *at)
        return false;
    memcpy(to, slot + *at, length);
    *at += length;
    return true;
}

static bool take_number(const char *slot, size_t *at, uint32_t *number)
{
    if (PAGES_SLOT_SIZE - *at < 4)
        return false;
    *number = load_unaligned(slot + *at);
    *at += 4;
    return true;
}

/* Goes through the whole slot even once the page is found: one that does not parse to its end has no pages. All of it
 * may change meanwhile; then nothing but the result is wrong, and the caller throws that away. */
static bool find(const char *slot, const char *wanted, struct page *page, char *body, size_t size)
{
    size_t at = 0;
    uint32_t count;
    bool found = false;

    if (!take_number(slot, &at, &count))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t status, path_length, type_length, length;
        char path[PATH_MAX_LENGTH + 1], type[sizeof page->type];

        if (!take_number(slot, &at, &status) || !take_number(slot, &at, &path_length) ||
            !take_number(slot, &at, &type_length) || !take_number(slot, &at, &length))
            return false;
        if (!has_body(status) || !path_length || path_length >= sizeof path || !type_length ||
            type_length >= sizeof type)
            return false;
        if (!take(slot, &at, path, path_length) || !take(slot, &at, type, type_length) ||
            length > PAGES_SLOT_SIZE - at)
            return false;
        if (path[0] != '/' || !is_printable(path, path_length, '!') || !is_printable(type, type_length, ' '))
            return false;
        path[path_length] = type[type_length] = '\0';
        if (!found && !strcmp(path, wanted)) {
            found = true;
            page->status = (int)status;
            memcpy(page->type, type, type_length + 1);
            page->length = length < size ? length : size;
            memcpy(body, slot + at, page->length);
        }
        at += length;
    }
    return found;
}

static bool set_plain(struct page *page, int status, const char *text, char *body, size_t size)
{
    size_t length = strlen(text);

    page->status = status;
    memcpy(page->type, plain, sizeof plain);
    page->length = length < size ? length : size;
    memcpy(body, text, page->length);
    return true;
}

static bool find_unpublished(const char *path, struct page *page, char *body, size_t size)
{
    static const char *const unavailable[] = {"/readyz", "/startupz", "/status", "/metrics"};

    if (!strcmp(path, "/livez"))
        return set_plain(page, 200, "ok\n", body, size);
    for (size_t i = 0; i < COUNT(unavailable); i++)
        if (!strcmp(path, unavailable[i]))
            return set_plain(page, 503, "starting\n", body, size);
    return false;
}

static const char *slot_of(const void *pages, uint32_t turn)
{
    return (const char *)pages + PAGES_SLOTS_OFFSET + (turn & 1) * PAGES_SLOT_SIZE;
}

bool pages_read(const void *pages, const char *path, struct page *page, char *body, size_t size)
{
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        uint32_t turn, turn_after;
        bool found;

        if (load_word(pages, DRAINING) && !strcmp(path, "/readyz"))
            return set_plain(page, 503, "draining\n", body, size);
        if (!load_turn(pages, &turn))
            continue;
        if (turn == 0)
            found = find_unpublished(path, page, body, size);
        else
            found = find(slot_of(pages, turn), path, page, body, size);
        /* The copy is done before turn is read again. */
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (load_turn(pages, &turn_after) && turn_after == turn)
            return found;
    }
    return set_plain(page, 503, "busy\n", body, size);
}
