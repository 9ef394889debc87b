#include "base.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

void say(const char *format, ...)
{
    static const char prefix[] = "baton: ";
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
    /* A log that cannot be written is no reason to do anything else than go on. */
    ssize_t ignored = write(STDERR_FILENO, line, length);
    (void)ignored;
    errno = error;
}

int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
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

void descriptors_close_from(int first)
{
    struct rlimit limit;

    /* close_range(2) is of Linux 5.9; a seccomp profile may not know it either. */
    if (!syscall(SYS_close_range, first, ~0U, 0) || getrlimit(RLIMIT_NOFILE, &limit))
        return;
    for (int fd = first; (rlim_t)fd < limit.rlim_cur; fd++)
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
