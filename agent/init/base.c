#include "base.h"
#include "listing.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
    SAY_PATIENCE_MS = 20,
    CLOSE_BLINDLY_MAX = 65536, /* descriptors tried one by one where the kernel lists none */
};

void say(const char *format, ...)
{
    static const char prefix[] = "baton: ";
    static bool stuck; /* nobody read last time: then only the first of many lines costs patience */
    char line[1024];
    int error = errno;
    va_list args;

    memcpy(line, prefix, sizeof prefix);
    size_t length = sizeof prefix - 1;
    va_start(args, format);
    int n = vsnprintf(line + length, sizeof line - length - 1, format, args);
    va_end(args);
    if (n > 0)
        length += (size_t)n < sizeof line - length - 1 ? (size_t)n : sizeof line - length - 2;
    line[length++] = '\n';
    /* A log that cannot be written is no reason to do anything else than go on, nor is one that nobody reads a reason to wait.
     * Where poll(2) sees room in a pipe, there is some for PIPE_BUF bytes. */
    struct pollfd log = {.fd = STDERR_FILENO, .events = POLLOUT};
    stuck = poll(&log, 1, stuck ? 0 : SAY_PATIENCE_MS) <= 0;
    if (!stuck) {
        ssize_t ignored = write(STDERR_FILENO, line, length);
        (void)ignored;
    }
    errno = error;
}

int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

ino_t mount_namespace(void)
{
    struct stat namespace;
    return stat("/proc/self/ns/mnt", &namespace) ? 0 : namespace.st_ino;
}

bool parse_number(const char *text, long low, long high, long *value)
{
    char *end;

    if (*text != '-' && (*text < '0' || *text > '9'))
        return false;
    errno = 0;
    long number = strtol(text, &end, 10);
    if (errno || end == text || *end || number < low || number > high)
        return false;
    *value = number;
    return true;
}

static void close_listed(struct listing *listing, int first)
{
    const char *name;
    long fd;

    while ((name = listing_next(listing)))
        if (parse_number(name, first, INT_MAX, &fd) && fd != listing->fd)
            close((int)fd);
}

void descriptors_close_from(int first)
{
    struct rlimit limit = {.rlim_cur = CLOSE_BLINDLY_MAX};
    struct listing listing;

#ifdef SYS_close_range
    if (!syscall(SYS_close_range, (unsigned)first, ~0U, 0))
        return;
#endif
    /* Before Linux 5.9, or under a seccomp profile that does not know it. */
    if (listing_open(&listing, AT_FDCWD, "/proc/self/fd")) {
        close_listed(&listing, first);
        return;
    }
    /* Without /proc. The limit may be a thousand million (Docker's default was), which would take minutes. */
    getrlimit(RLIMIT_NOFILE, &limit);
    for (int fd = first; fd < CLOSE_BLINDLY_MAX && (rlim_t)fd < limit.rlim_cur; fd++)
        close(fd);
}

static const struct {
    int number;
    const char *name;
} errors[] = {
#define E(symbol) {symbol, #symbol}
    E(EPERM), E(ENOENT), E(ESRCH), E(EINTR), E(EIO), E(ENXIO), E(E2BIG), E(ENOEXEC), E(EBADF), E(ECHILD), E(EAGAIN),
    E(ENOMEM), E(EACCES), E(EFAULT), E(EBUSY), E(EEXIST), E(EXDEV), E(ENODEV), E(ENOTDIR), E(EISDIR), E(EINVAL),
    E(ENFILE), E(EMFILE), E(ENOTTY), E(ETXTBSY), E(EFBIG), E(ENOSPC), E(ESPIPE), E(EROFS), E(EMLINK), E(EPIPE),
    E(ERANGE), E(ENAMETOOLONG), E(ENOSYS), E(ELOOP), E(EPROTO), E(EOVERFLOW), E(ENOTSOCK), E(EMSGSIZE),
    E(EPROTONOSUPPORT), E(EOPNOTSUPP), E(EAFNOSUPPORT), E(EADDRINUSE), E(EADDRNOTAVAIL), E(ENETDOWN), E(ENETUNREACH),
    E(ECONNABORTED), E(ECONNRESET), E(ENOBUFS), E(ENOTCONN), E(ETIMEDOUT), E(ECONNREFUSED), E(EHOSTUNREACH),
    E(EALREADY), E(ESTALE), E(EDQUOT), E(ELIBBAD), E(EBADMSG), E(ENOPROTOOPT), E(EUSERS),
#undef E
};

const char *errno_name(int error)
{
    for (size_t i = 0; i < COUNT(errors); i++)
        if (errors[i].number == error)
            return errors[i].name;
    return "E?";
}
