/* What every file of the C side shares: the log line, the result convention, small helpers. */
#ifndef BATON_BASE_H
#define BATON_BASE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Where programs are looked for when PATH is not set: what container engines set. */
#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* Exit codes of our own, from sysexits.h and the shells' convention. */
enum {
    EXIT_NO_BATON = 69,  /* EX_UNAVAILABLE: nobody to talk to */
    EXIT_CONFIG = 78,    /* EX_CONFIG */
    EXIT_CANNOT_EXEC = 126,
    EXIT_NOT_FOUND = 127,
};

/* Writes "baton: …\n" to stderr in one write(2), cut at 1 KiB. Never allocates, keeps errno. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The symbol of an errno ("EADDRINUSE"), or "E?" for one that Linux does not have. */
const char *errno_name(int error);

/* CLOCK_MONOTONIC in milliseconds. */
int64_t now_ms(void);

/* Parses a whole decimal number in [low, high]; false leaves *value alone. */
bool parse_number(const char *text, long low, long high, long *value);

/* The inode of the mount namespace, which tells containers apart that share a network namespace; 0 without /proc. */
ino_t mount_namespace(void);

/* Closes every descriptor from `first` on. Ours are all CLOEXEC; this is for those that the container runtime, or
 * whoever else started us, left open, which are few and low. */
void descriptors_close_from(int first);

#endif
