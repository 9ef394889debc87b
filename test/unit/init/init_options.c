#include "init_options.h"

#include "check.h"

#include <string.h>

static struct init_options options;

/* Parses the words of `line`, after argv[0]. */
static enum init_action parse_with(const char *line, const char *group, const char *verbosity)
{
    static char text[512];
    static char *argv[64];
    int argc = 1;

    argv[0] = (char[]){"init"};
    snprintf(text, sizeof text, "%s", line);
    for (char *word = strtok(text, " "); word; word = strtok(NULL, " "))
        argv[argc++] = word;
    argv[argc] = NULL;
    return init_options_parse(&options, argc, argv, group, verbosity);
}

static enum init_action parse(const char *line)
{
    return parse_with(line, NULL, NULL);
}

static bool says(const char *line, const char *error)
{
    if (parse(line) != INIT_ERROR)
        return false;
    if (!strstr(options.error, error))
        fprintf(stderr, "said: %s\n", options.error);
    return strstr(options.error, error) != NULL;
}

static bool collects(int number)
{
    return options.collected & SIGNAL_BIT(number);
}

enum { EXITED = 0x100 }; /* a status of wait(2): code times this, or the bare number of a signal */

static void test_flags(void)
{
    CHECK(parse("true") == INIT_RUN);
    CHECK(!strcmp(options.command[0], "true") && !options.command[1]);
    CHECK(!options.group && !options.session && !options.warn_reaped && options.verbosity == 1);
    CHECK(!options.parent_death_signal);

    CHECK(parse("-gwvsv -p SIGKILL -- ls -l") == INIT_RUN);
    CHECK(options.group && options.warn_reaped && options.verbosity == 3 && options.parent_death_signal == SIGKILL);
    CHECK(!strcmp(options.command[0], "ls") && !strcmp(options.command[1], "-l") && !options.command[2]);

    /* The command's own flags are its own, with or without "--". */
    CHECK(parse("-g ls -w -- -l") == INIT_RUN);
    CHECK(options.group && !options.warn_reaped);
    CHECK(!strcmp(options.command[1], "-w") && !strcmp(options.command[2], "--"));

    CHECK(parse("-pTERM true") == INIT_RUN && options.parent_death_signal == SIGTERM);
    CHECK(parse("--setsid true") == INIT_RUN && options.session);
    CHECK(parse("-h") == INIT_HELP);
    CHECK(parse("--help") == INIT_HELP);
    CHECK(parse("-l") == INIT_LICENSE);
    CHECK(parse("--version") == INIT_VERSION);
}

static void test_environment(void)
{
    CHECK(parse_with("true", "", NULL) == INIT_RUN && options.group);
    CHECK(parse_with("-vv true", NULL, "0") == INIT_RUN && options.verbosity == 0);
    CHECK(parse_with("true", NULL, "3") == INIT_RUN && options.verbosity == 3 && !options.group);
    CHECK(parse_with("true", NULL, "loud") == INIT_RUN && options.verbosity == 0);
}

static void test_errors(void)
{
    CHECK(says("", "no command given"));
    CHECK(says("-g --", "no command given"));
    CHECK(says("-gx true", "unknown option -x"));
    CHECK(says("--bogus true", "unknown option --bogus"));
    CHECK(says("-e", "-e needs a value"));
    CHECK(says("--rewrite", "--rewrite needs a value"));
    CHECK(says("-e 256 true", "from 0 to 255, not \"256\""));
    CHECK(says("-e -1 true", "from 0 to 255, not \"-1\""));
    CHECK(says("-e 1x true", "not \"1x\""));
    CHECK(says("-p FOO true", "not \"FOO\""));
    CHECK(says("-p 65 true", "not \"65\""));
    CHECK(says("--rewrite TERM true", "not \"TERM\""));
    CHECK(says("--rewrite TERM: true", "not \"TERM:\""));
    CHECK(says("--rewrite :TERM true", "not \":TERM\""));
    CHECK(says("--rewrite 0:TERM true", "not \"0:TERM\""));
    CHECK(says("--rewrite TERM:65 true", "not \"TERM:65\""));
    CHECK(says("--rewrite AVERYLONGNAMEOFASIGNAL:TERM true", "--rewrite takes two signals"));
    CHECK(says("--rewrite KILL:TERM true", "cannot change SIGKILL"));
    CHECK(says("--rewrite CHLD:TERM true", "cannot change SIGCHLD"));

    /* An endless argument is cut, not overrun. */
    static char line[400] = "-p ";
    memset(line + 3, 'X', 300);
    CHECK(says(line, "XXX\""));
}

static void test_signals_by_default(void)
{
    static const int faults[] = {SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGSYS};

    CHECK(parse("true") == INIT_RUN);
    for (int number = 1; number <= SIGNAL_MAX; number++)
        CHECK(options.becomes[number] == (number == SIGTTIN || number == SIGTTOU ? 0 : number));
    signal_set rest = ~UINT64_C(0);
    for (size_t i = 0; i < COUNT(faults); i++)
        rest &= ~SIGNAL_BIT(faults[i]);
    CHECK(options.collected == rest);

    CHECK(parse("--setsid true") == INIT_RUN);
    CHECK(options.collected == ~UINT64_C(0));
    for (int number = 1; number <= SIGNAL_MAX; number++)
        CHECK(options.becomes[number] ==
              (number == SIGTSTP || number == SIGTTIN || number == SIGTTOU ? SIGSTOP : number));
}

static void test_rewrite(void)
{
    CHECK(parse("--rewrite TERM:QUIT --rewrite=SIGINT:0 --rewrite 1:RTMIN+2 true") == INIT_RUN);
    CHECK(options.becomes[SIGTERM] == SIGQUIT && options.becomes[SIGINT] == 0 && options.becomes[SIGHUP] == 36);
    CHECK(options.becomes[SIGUSR1] == SIGUSR1);

    /* A fault that is named is collected, the others still are not. */
    CHECK(parse("--rewrite ABRT:TERM true") == INIT_RUN);
    CHECK(collects(SIGABRT) && options.becomes[SIGABRT] == SIGTERM && !collects(SIGSEGV) && collects(SIGTERM));

    /* Named job control signals are as told, in either order of the flags. */
    CHECK(parse("--rewrite TTIN:USR1 true") == INIT_RUN && options.becomes[SIGTTIN] == SIGUSR1);
    CHECK(parse("--rewrite TSTP:TSTP --setsid true") == INIT_RUN && options.becomes[SIGTSTP] == SIGTSTP);
    CHECK(parse("--setsid --rewrite TSTP:0 true") == INIT_RUN && options.becomes[SIGTSTP] == 0);
    CHECK(options.becomes[SIGTTOU] == SIGSTOP);
}

static void test_exit_codes(void)
{
    CHECK(parse("-e 143 -e 0 -e 255 -e 63 -e 64 true") == INIT_RUN);
    for (int code = 0; code <= 255; code++)
        CHECK(init_exit_code(&options, code * EXITED) ==
              (code == 143 || code == 255 || code == 63 || code == 64 ? 0 : code));
    CHECK(init_exit_code(&options, SIGTERM) == 0);
    CHECK(init_exit_code(&options, SIGKILL) == 137);
    CHECK(init_exit_code(&options, SIGSEGV | 0x80) == 139); /* with a core dump */
    CHECK(init_exit_code(&options, 64) == 192);
}

int main(void)
{
    test_flags();
    test_environment();
    test_errors();
    test_signals_by_default();
    test_rewrite();
    test_exit_codes();
    return check_report();
}
