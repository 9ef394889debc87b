/* What look reads in /proc, as pure functions over its text (proc(5)). */
#ifndef BATON_LOOK_PARSE_H
#define BATON_LOOK_PARSE_H

#include "base.h"

/* /proc/PID/stat: the fields after the command name, which may itself contain spaces, parentheses and newlines. */
struct look_stat {
    char state;
    pid_t parent;
    pid_t session;
};

bool look_parse_stat(const char *text, struct look_stat *stat);

/* A "tfd:" line of an epoll's /proc/PID/fdinfo/N: one descriptor that the epoll waits for. False for any other line,
 * and for the lines of Linux before 4.13, which have no inode. */
struct look_target {
    uint32_t events;
    uint64_t inode;
    uint32_t device; /* as the kernel has it inside: major << 20 | minor */
};

bool look_parse_target(const char *line, struct look_target *target);

/* /proc/PID/task/TID/syscall. False unless the thread is blocked in a system call. */
struct look_syscall {
    long number;
    uint64_t arguments[6];
};

bool look_parse_syscall(const char *text, struct look_syscall *call);

/* The text of a link in /proc/PID/fd: "socket:[4711]" → 4711. False for anything that is no socket. */
bool look_parse_socket(const char *link, uint64_t *inode);

/* How a system call, while it blocks, waits for what arrives on a socket. */
enum look_wait {
    LOOK_WAIT_NONE,
    LOOK_WAIT_ONE,    /* accept, accept4, recvfrom, recvmsg, recvmmsg, read: the descriptor is argument 0 */
    LOOK_WAIT_SELECT, /* select, pselect6: count and the set to read are arguments 0 and 1 */
    LOOK_WAIT_POLL,   /* poll, ppoll: array and count are arguments 0 and 1 */
};

enum look_wait look_wait_of(long number);

#endif
