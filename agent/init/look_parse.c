#include "look_parse.h"

#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

/* The number that follows `label`; false when the label is not there or no number follows. */
static bool number_after(const char *text, const char *label, int base, uint64_t *value)
{
    char *end;
    const char *start = strstr(text, label);

    if (!start)
        return false;
    start += strlen(label);
    errno = 0;
    unsigned long long number = strtoull(start, &end, base);
    if (errno || end == start)
        return false;
    *value = number;
    return true;
}

bool look_parse_stat(const char *text, struct look_stat *stat)
{
    const char *after = strrchr(text, ')');
    char *end;

    if (!after || after[1] != ' ' || !after[2] || after[3] != ' ')
        return false;
    long numbers[3]; /* parent, process group, session */
    const char *next = after + 3;
    for (size_t i = 0; i < COUNT(numbers); i++, next = end) {
        numbers[i] = strtol(next, &end, 10);
        if (end == next)
            return false;
    }
    stat->state = after[2];
    stat->parent = (pid_t)numbers[0];
    stat->session = (pid_t)numbers[2];
    return true;
}

bool look_parse_target(const char *line, struct look_target *target)
{
    uint64_t events, inode, device;

    if (strncmp(line, "tfd:", 4) || !number_after(line, " events:", 16, &events) ||
        !number_after(line, " ino:", 16, &inode) || !number_after(line, " sdev:", 16, &device))
        return false;
    *target = (struct look_target){.events = (uint32_t)events, .inode = inode, .device = (uint32_t)device};
    return true;
}

bool look_parse_syscall(const char *text, struct look_syscall *call)
{
    struct look_syscall parsed;
    char *end;

    /* "running" has no number; "-1 SP PC" is blocked outside of a system call (a page fault). */
    parsed.number = strtol(text, &end, 10);
    if (end == text || parsed.number < 0)
        return false;
    for (size_t i = 0; i < COUNT(parsed.arguments); i++) {
        const char *next = end;
        parsed.arguments[i] = strtoull(next, &end, 16);
        if (end == next)
            return false;
    }
    *call = parsed;
    return true;
}

bool look_parse_socket(const char *link, uint64_t *inode)
{
    return !strncmp(link, "socket:[", 8) && number_after(link, "[", 10, inode);
}

enum look_wait look_wait_of(long number)
{
    switch (number) {
#ifdef SYS_accept
    case SYS_accept:
#endif
    case SYS_accept4:
    case SYS_recvfrom:
    case SYS_recvmsg:
    case SYS_recvmmsg:
    case SYS_read:
        return LOOK_WAIT_ONE;
    /* aarch64 has neither select nor poll: its libcs call pselect6 and ppoll. */
#ifdef SYS_select
    case SYS_select:
#endif
    case SYS_pselect6:
        return LOOK_WAIT_SELECT;
#ifdef SYS_poll
    case SYS_poll:
#endif
    case SYS_ppoll:
        return LOOK_WAIT_POLL;
    default:
        return LOOK_WAIT_NONE;
    }
}
