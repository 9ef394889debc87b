/* What the helpers of the benchmark share. Times are CLOCK_MONOTONIC, nanoseconds: one clock for every process and every
 * namespace of a machine (clock_gettime(2)); no helper runs in a time namespace of its own. */
#ifndef BATON_BENCH_H
#define BATON_BENCH_H

#include <err.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    STAMP_FD = 9, /* where exec_child leaves its time */
    COMMANDS_MAX = 16,
};

static inline int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* Cuts `a b , c d` into two argument vectors, in place. How many there are. */
static inline int split_commands(char **arguments, char **commands[COMMANDS_MAX])
{
    int count = 0;

    while (*arguments) {
        if (count == COMMANDS_MAX)
            errx(1, "more than %d commands", COMMANDS_MAX);
        commands[count++] = arguments;
        while (*arguments && strcmp(*arguments, ","))
            arguments++;
        if (*arguments)
            *arguments++ = NULL;
    }
    return count;
}

/* One line a round, one column a contender. */
static inline void print_round(const int64_t *samples, int count)
{
    for (int i = 0; i < count; i++)
        printf("%lld%c", (long long)samples[i], i + 1 < count ? ' ' : '\n');
}

#endif
