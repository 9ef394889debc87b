/* Signals 1..64, the two or three that libc hides included: raw kernel sets, because musl's and glibc's sigset
 * functions refuse the signals that they use themselves (32..34), and PID 1 must lose none. */
#ifndef BATON_SIGNALS_H
#define BATON_SIGNALS_H

#include "base.h"

enum { SIGNAL_MAX = 64 };

/* Bit n-1 is signal n: the kernel's own layout of a sigset (signal(7)). */
typedef uint64_t signal_set;

#define SIGNAL_BIT(number) (UINT64_C(1) << ((number)-1))

/* Blocks every signal that can be blocked; the first line of main. */
void signals_block_all(void);

/* Replaces the mask of this thread. */
void signals_set_mask(signal_set set);

/* Empties the mask and resets every disposition to the default: for a child, between fork and exec. */
void signals_reset(void);

/* A CLOEXEC signalfd that receives `set`, or -1 with errno. */
int signals_open_fd(signal_set set, bool nonblocking);

/* "TERM", "SIGTERM", "15", "RTMIN+3" → the number, or 0 when there is no such signal. */
int signal_number(const char *name);

/* 15 → "SIGTERM"; real-time signals as "SIGRTMIN+n". The text is static; the next call for a real-time signal
 * overwrites it. */
const char *signal_name(int number);

#endif
