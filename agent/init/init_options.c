#include "init_options.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

/* The kernel raises these for a process's own mistake. Unblocked and at their default, one that is ours ends us with
 * its true cause, and one that somebody sends does what it would do to any program: to PID 1 nothing. As tini does. */
static const int faults[] = {SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGSYS};

/* The job control signals that a process may handle; SIGSTOP is the one that it cannot (signal(7)). */
static const int stops[] = {SIGTSTP, SIGTTIN, SIGTTOU};

enum { LONG_VERSION = 256, LONG_SETSID, LONG_REWRITE };

static const struct option long_options[] = {
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, LONG_VERSION},
    {"setsid", no_argument, NULL, LONG_SETSID},
    {"rewrite", required_argument, NULL, LONG_REWRITE},
    {NULL, 0, NULL, 0},
};

/* "A:B" → A becomes B. */
static bool parse_rewrite(const char *text, int *from, int *to)
{
    char first[16];
    const char *colon = strchr(text, ':');

    if (!colon || (size_t)(colon - text) >= sizeof first)
        return false;
    memcpy(first, text, (size_t)(colon - text));
    first[colon - text] = '\0';
    *from = signal_number(first);
    *to = signal_number(colon + 1);
    return *from && (*to || !strcmp(colon + 1, "0"));
}

/* What happens to each signal that no --rewrite names. */
static void apply_defaults(struct init_options *options, signal_set rewritten)
{
    options->collected = ~UINT64_C(0);
    for (size_t i = 0; i < COUNT(faults) && !options->session; i++)
        options->collected &= ~SIGNAL_BIT(faults[i]) | rewritten;
    for (int number = 1; number <= SIGNAL_MAX; number++)
        if (!(rewritten & SIGNAL_BIT(number)))
            options->becomes[number] = (uint8_t)number;
    if (options->session) {
        /* The child's group is orphaned: its parent is in another session. There the kernel drops these three, but
         * not SIGSTOP (setpgid(2)). */
        for (size_t i = 0; i < COUNT(stops); i++)
            if (!(rewritten & SIGNAL_BIT(stops[i])))
                options->becomes[stops[i]] = SIGSTOP;
    } else {
        /* Meant for whoever touched the terminal from the background: for us, not for the child. */
        for (size_t i = 1; i < COUNT(stops); i++)
            if (!(rewritten & SIGNAL_BIT(stops[i])))
                options->becomes[stops[i]] = 0;
    }
}

static enum init_action fail(struct init_options *options, const char *what, const char *text, const char *expected)
{
    snprintf(options->error, sizeof options->error, "init: %s%.64s%s", what, text, expected);
    return INIT_ERROR;
}

enum init_action init_options_parse(struct init_options *options, int argc, char **argv, const char *group,
                                    const char *verbosity)
{
    signal_set rewritten = 0;
    long number;
    int from, to, option;

    memset(options, 0, sizeof *options);
    options->verbosity = 1;
    optind = 0; /* starts getopt afresh, in glibc and in musl */
    opterr = 0;
    while ((option = getopt_long(argc, argv, "+:hvwglse:p:", long_options, NULL)) != -1) {
        switch (option) {
        case 'h':
            return INIT_HELP;
        case 'l':
            return INIT_LICENSE;
        case LONG_VERSION:
            return INIT_VERSION;
        case 'v':
            options->verbosity++;
            break;
        case 'w':
            options->warn_reaped = true;
            break;
        case 'g':
            options->group = true;
            break;
        case 's':
            break; /* a subreaper we are without being told */
        case 'e':
            if (!parse_number(optarg, 0, 255, &number))
                return fail(options, "-e takes an exit code from 0 to 255, not \"", optarg, "\"");
            options->remapped[number / 64] |= UINT64_C(1) << number % 64;
            break;
        case 'p':
            options->parent_death_signal = signal_number(optarg);
            if (!options->parent_death_signal)
                return fail(options, "-p takes a signal such as SIGTERM, not \"", optarg, "\"");
            break;
        case LONG_SETSID:
            options->session = true;
            break;
        case LONG_REWRITE:
            if (!parse_rewrite(optarg, &from, &to))
                return fail(options, "--rewrite takes two signals such as TERM:QUIT, or TERM:0, not \"", optarg, "\"");
            if (from == SIGCHLD || from == SIGKILL || from == SIGSTOP)
                return fail(options, "--rewrite cannot change ", signal_name(from), ": it is never forwarded");
            options->becomes[from] = (uint8_t)to;
            rewritten |= SIGNAL_BIT(from);
            break;
        case ':':
            if (optopt == LONG_REWRITE)
                return fail(options, "--rewrite needs a value", "", "; see baton init -h");
            return fail(options, "-", (char[]){(char)optopt, '\0'}, " needs a value; see baton init -h");
        default:
            /* A short option may stand within a cluster; of a long one only argv knows the name. */
            if (optopt > 0 && optopt < LONG_VERSION)
                return fail(options, "unknown option -", (char[]){(char)optopt, '\0'}, "; see baton init -h");
            return fail(options, "unknown option ", argv[optind - 1], "; see baton init -h");
        }
    }
    if (optind >= argc)
        return fail(options, "no command given; see baton init -h", "", "");
    options->command = argv + optind;
    options->group |= group != NULL;
    if (verbosity)
        options->verbosity = parse_number(verbosity, 0, 99, &number) ? (int)number : 0;
    apply_defaults(options, rewritten);
    return INIT_RUN;
}

int init_exit_code(const struct init_options *options, int status)
{
    int code = WIFSIGNALED(status) ? (128 + WTERMSIG(status)) % 256 : WEXITSTATUS(status);

    return options->remapped[code / 64] >> code % 64 & 1 ? 0 : code;
}
