/* What `baton init` was asked to do: its command line and environment, without any effect. tini(1)'s flags, and two of
 * dumb-init's habits as --setsid and --rewrite. */
#ifndef BATON_INIT_OPTIONS_H
#define BATON_INIT_OPTIONS_H

#include "signals.h"

struct init_options {
    char **command;           /* NULL-terminated, within argv; command[-1] exists */
    bool group;               /* -g: signals go to the child's process group */
    bool session;             /* --setsid: a session of its own, as dumb-init does */
    bool warn_reaped;         /* -w */
    int verbosity;            /* 0 errors, 1 warnings (the default), 2 what happens, 3 each signal and reaped process */
    int parent_death_signal;  /* -p, or 0 */
    uint64_t remapped[4];     /* -e: bit n is exit code n, 0..255, which becomes 0 */
    uint8_t becomes[SIGNAL_MAX + 1]; /* what is sent when signal n arrives; 0: nothing */
    signal_set collected;     /* what is waited for; the rest keep their default action */
    char error[160];          /* one line, after INIT_ERROR */
};

enum init_action { INIT_RUN, INIT_HELP, INIT_LICENSE, INIT_VERSION, INIT_ERROR };

/* Parses argv, of which argv[0] is skipped, up to the first argument that is no option, as getopt(3) does under POSIX.
 * `group` and `verbosity` are the values of TINI_KILL_PROCESS_GROUP and TINI_VERBOSITY, or NULL; as with tini, the
 * latter replaces what -v said. */
enum init_action init_options_parse(struct init_options *options, int argc, char **argv, const char *group,
                                    const char *verbosity);

/* The exit code for a status of wait(2): the child's own, or 128 + the signal that ended it, then -e. */
int init_exit_code(const struct init_options *options, int status);

#endif
