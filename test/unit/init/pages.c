#include "check.h"
#include "pages.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* The writer, after the comment in pages.h: agent/health/pages.ts has its own test. */
static char slot[PAGES_SLOT_SIZE];
static size_t slot_length;

static void put_number(uint32_t number)
{
    for (int i = 0; i < 4; i++)
        slot[slot_length++] = (char)(number >> (8 * i));
}

static void put_bytes(const char *bytes, size_t length)
{
    memcpy(slot + slot_length, bytes, length);
    slot_length += length;
}

static void begin(uint32_t count)
{
    memset(slot, 0, sizeof slot);
    slot_length = 0;
    put_number(count);
}

static void put_page(uint32_t status, const char *path, const char *type, const char *body)
{
    put_number(status);
    put_number((uint32_t)strlen(path));
    put_number((uint32_t)strlen(type));
    put_number((uint32_t)strlen(body));
    put_bytes(path, strlen(path));
    put_bytes(type, strlen(type));
    put_bytes(body, strlen(body));
}

static void write_turn(int fd, uint32_t turn, uint32_t again)
{
    uint32_t both[2] = {turn, again};
    CHECK(pwrite(fd, both, sizeof both, 8) == sizeof both);
}

static void write_slot(int fd, uint32_t turn)
{
    off_t offset = PAGES_SLOTS_OFFSET + (off_t)(turn % 2) * PAGES_SLOT_SIZE;
    CHECK(pwrite(fd, slot, sizeof slot, offset) == sizeof slot);
}

static void publish(int fd, uint32_t turn)
{
    write_slot(fd, turn);
    write_turn(fd, turn, turn);
}

static char body[PAGES_SLOT_SIZE];
static struct page page;

static bool reads(const void *pages, const char *path, int status, const char *text)
{
    memset(body, '#', sizeof body);
    memset(&page, '#', sizeof page);
    return pages_read(pages, path, &page, body, sizeof body) && page.status == status && page.length == strlen(text) &&
           !memcmp(body, text, page.length) && body[page.length] == '#';
}

static bool missing(const void *pages, const char *path)
{
    return !pages_read(pages, path, &page, body, sizeof body);
}

static void check_unpublished(const void *pages)
{
    CHECK(reads(pages, "/livez", 200, "ok\n"));
    CHECK(!strcmp(page.type, "text/plain; charset=utf-8"));
    CHECK(reads(pages, "/readyz", 503, "starting\n"));
    CHECK(reads(pages, "/startupz", 503, "starting\n"));
    CHECK(reads(pages, "/status", 503, "starting\n"));
    CHECK(reads(pages, "/metrics", 503, "starting\n"));
    CHECK(missing(pages, "/"));
    CHECK(missing(pages, ""));
    CHECK(missing(pages, "/livez/"));
}

static void check_published(void)
{
    int fd = pages_create();
    const void *pages = pages_map(fd);

    check_unpublished(pages);
    begin(4);
    put_page(200, "/livez", "text/plain", "alive");
    put_page(503, "/readyz", "application/json; charset=utf-8", "{}");
    put_page(200, "/empty", "t", "");
    put_page(500, "/livez", "text/plain", "the first one counts");
    /* All but published: nothing is seen of it. */
    write_slot(fd, 1);
    check_unpublished(pages);
    publish(fd, 1);
    CHECK(reads(pages, "/livez", 200, "alive"));
    CHECK(!strcmp(page.type, "text/plain"));
    CHECK(reads(pages, "/readyz", 503, "{}"));
    CHECK(!strcmp(page.type, "application/json; charset=utf-8"));
    CHECK(reads(pages, "/empty", 200, ""));
    CHECK(missing(pages, "/metrics"));
    CHECK(missing(pages, "/live"));
    CHECK(missing(pages, "/livez2"));

    /* Cut at the size of the buffer, and nothing behind it is touched. */
    memset(body, '#', sizeof body);
    CHECK(pages_read(pages, "/livez", &page, body, 3) && page.length == 3 && !memcmp(body, "ali##", 5));
    CHECK(pages_read(pages, "/livez", &page, body, 0) && page.length == 0);

    begin(1);
    put_page(200, "/livez", "text/plain", "second");
    write_slot(fd, 2);
    CHECK(reads(pages, "/livez", 200, "alive"));
    publish(fd, 2);
    CHECK(reads(pages, "/livez", 200, "second"));
    CHECK(missing(pages, "/readyz"));
    begin(0);
    publish(fd, 255);
    CHECK(missing(pages, "/livez"));
    /* 255 → 256 as a kernel that copies byte by byte may show it: neither is "nothing published" nor a third turn. */
    write_turn(fd, 0, 255);
    CHECK(reads(pages, "/livez", 503, "busy\n"));
    write_turn(fd, 256, 0);
    CHECK(reads(pages, "/livez", 503, "busy\n"));
    write_turn(fd, 256, 256);
    CHECK(reads(pages, "/livez", 200, "second"));
    close(fd);
}

static void check_draining(void)
{
    int fd = pages_create();
    void *pages = pages_map_writable(fd);
    const void *seen = pages_map(fd);

    begin(2);
    put_page(200, "/livez", "text/plain", "alive");
    put_page(200, "/readyz", "text/plain", "ready");
    publish(fd, 1);
    CHECK(reads(seen, "/readyz", 200, "ready"));
    pages_set_draining(pages);
    CHECK(reads(seen, "/readyz", 503, "draining\n"));
    CHECK(reads(seen, "/livez", 200, "alive"));
    publish(fd, 2);
    CHECK(reads(seen, "/readyz", 503, "draining\n"));
    CHECK(reads(seen, "/livez", 200, "alive"));
    close(fd);
}

/* A slot with one good page and a second that is not: neither is served. */
static void check_malformed(void)
{
    int fd = pages_create();
    const void *pages = pages_map(fd);
    char long_path[512], long_type[64 + 1];
    uint32_t turn = 0;

#define CHECK_REFUSED(...)                                                                                            \
    do {                                                                                                              \
        begin(2);                                                                                                     \
        put_page(200, "/livez", "text/plain", "alive");                                                               \
        __VA_ARGS__;                                                                                                  \
        publish(fd, ++turn);                                                                                          \
        CHECK(missing(pages, "/livez"));                                                                              \
    } while (0)

    memset(long_path, '/', sizeof long_path);
    long_path[256] = '\0';
    memset(long_type, 't', sizeof long_type);
    long_type[64] = '\0';
    CHECK_REFUSED(put_page(199, "/a", "t", ""));
    CHECK_REFUSED(put_page(600, "/a", "t", ""));
    CHECK_REFUSED(put_page(204, "/a", "t", ""));
    CHECK_REFUSED(put_page(304, "/a", "t", ""));
    CHECK_REFUSED(put_page(UINT32_MAX, "/a", "t", ""));
    CHECK_REFUSED(put_page(200, "", "t", ""));
    CHECK_REFUSED(put_page(200, "a", "t", ""));
    CHECK_REFUSED(put_page(200, "/a b", "t", ""));
    CHECK_REFUSED(put_page(200, "/\x80", "t", ""));
    CHECK_REFUSED(put_page(200, long_path, "t", ""));
    CHECK_REFUSED(put_page(200, "/a", "", ""));
    CHECK_REFUSED(put_page(200, "/a", "t\r\nX: y", ""));
    CHECK_REFUSED(put_page(200, "/a", "t\x7f", ""));
    CHECK_REFUSED(put_page(200, "/a", long_type, ""));
    CHECK_REFUSED(put_number(200); put_number(UINT32_MAX); put_number(1); put_number(0));
    CHECK_REFUSED(put_number(200); put_number(2); put_number(UINT32_MAX); put_number(0); put_bytes("/at", 3));
    CHECK_REFUSED(put_number(200); put_number(2); put_number(1); put_number(UINT32_MAX); put_bytes("/at", 3));

    /* The largest body, and one byte more than there is room for. */
    begin(1);
    put_page(200, "/livez", "t", "");
    uint32_t rest = (uint32_t)(PAGES_SLOT_SIZE - slot_length);
    memcpy(slot + 16, &rest, 4);
    memset(slot + slot_length, 'z', rest);
    publish(fd, ++turn);
    CHECK(pages_read(pages, "/livez", &page, body, sizeof body) && page.length == rest && body[rest - 1] == 'z');
    rest++;
    memcpy(slot + 16, &rest, 4);
    publish(fd, ++turn);
    CHECK(missing(pages, "/livez"));
    /* As many pages as fit, and a count that says more. */
    begin(0);
    uint32_t count = 0;
    while (slot_length + 19 <= sizeof slot) {
        put_page(200, "/a", "t", "");
        count++;
    }
    memcpy(slot, &count, 4);
    publish(fd, ++turn);
    CHECK(reads(pages, "/a", 200, ""));
    memset(slot, 0xff, 4);
    publish(fd, ++turn);
    CHECK(missing(pages, "/a"));
    close(fd);
}

static bool is_refused(int fd)
{
    errno = 0;
    return !pages_map(fd) && errno == EINVAL;
}

static void check_mapping(void)
{
    int fd = pages_create();
    const char *pages = pages_map(fd);

    CHECK(fd >= 0 && (fcntl(fd, F_GETFD) & FD_CLOEXEC));
    CHECK(!memcmp(pages, "BPG1\0\0\0\0\0\0\0\0\0\0\0\0", 16));
    /* No writer can take the pages from under a reader. */
    CHECK(ftruncate(fd, 0) && errno == EPERM);
    CHECK(ftruncate(fd, PAGES_SIZE + 1) && errno == EPERM);
    CHECK(!pages_map(-1) && errno == EBADF);

    int small = memfd_create("small", MFD_ALLOW_SEALING);
    CHECK(!ftruncate(small, PAGES_SIZE - 1) && pwrite(small, "BPG1", 4, 0) == 4);
    CHECK(!fcntl(small, F_ADD_SEALS, F_SEAL_SHRINK));
    CHECK(is_refused(small));
    int unsealed = memfd_create("unsealed", MFD_ALLOW_SEALING);
    CHECK(!ftruncate(unsealed, PAGES_SIZE) && pwrite(unsealed, "BPG1", 4, 0) == 4);
    CHECK(is_refused(unsealed));
    CHECK(!fcntl(unsealed, F_ADD_SEALS, F_SEAL_SHRINK));
    CHECK(pages_map(unsealed));
    CHECK(pwrite(unsealed, "BPG2", 4, 0) == 4);
    CHECK(is_refused(unsealed));
    close(fd);
    close(small);
    close(unsealed);
}

/* Publishes for ever: each body is one letter, of a length that goes with it, and the status too. */
_Noreturn static void write_in_a_tight_loop(int fd, uint32_t turn)
{
    static char text[40000];

    for (;; turn++) {
        unsigned letter = turn % 26;
        memset(text, 'a' + (int)letter, 20000 + 100 * letter);
        text[20000 + 100 * letter] = '\0';
        begin(2);
        put_page(200, "/other", "t", "x");
        put_page(400 + letter, "/page", letter % 2 ? "odd" : "even", text);
        if (pwrite(fd, slot, slot_length, PAGES_SLOTS_OFFSET + (off_t)(turn % 2) * PAGES_SLOT_SIZE) < 0)
            _exit(1);
        uint32_t both[2] = {turn, turn};
        if (pwrite(fd, both, sizeof both, 8) < 0)
            _exit(1);
    }
}

static bool is_whole(void)
{
    int letter = page.status - 400;

    if (letter < 0 || letter > 25 || page.length != (size_t)(20000 + 100 * letter) ||
        strcmp(page.type, letter % 2 ? "odd" : "even"))
        return false;
    for (size_t i = 0; i < page.length; i++)
        if (body[i] != 'a' + letter)
            return false;
    return true;
}

/* A writer in a tight loop, killed after ever different numbers of reads, and the next one going on where it was. */
static void check_torn(void)
{
    enum { WRITERS = 40 };
    int fd = pages_create();
    const void *pages = pages_map(fd);
    int torn = 0, busy = 0, read = 0;
    uint32_t turn = 0;

    srand(1);
    for (int i = 0; i < WRITERS; i++) {
        pid_t writer = fork();
        if (!writer)
            write_in_a_tight_loop(fd, turn + 1);
        /* Until it has published at least once, so that each is met at work. */
        for (uint32_t before = turn; turn == before;)
            CHECK(pread(fd, &turn, 4, 12) == 4);
        for (int reads_left = rand() % 500; reads_left >= 0; reads_left--) {
            if (!pages_read(pages, "/page", &page, body, sizeof body))
                torn++;
            else if (page.status == 503)
                busy++;
            else if (!is_whole())
                torn++;
            read++;
        }
        kill(writer, SIGKILL);
        CHECK(waitpid(writer, NULL, 0) == writer);
        CHECK(pages_read(pages, "/page", &page, body, sizeof body) && is_whole());
        CHECK(pread(fd, &turn, 4, 8) == 4);
    }
    CHECK(torn == 0);
    CHECK(busy < read / 100);
    close(fd);
}

int main(void)
{
    alarm(60); /* a writer that died would be waited for for ever */
    check_mapping();
    check_published();
    check_draining();
    check_malformed();
    check_torn();
    return check_report();
}
