/* The native client of the control socket: what HEALTHCHECK, preStop hooks and people call. No Node is started. */
#include "base.h"
#include "control.h"
#include "pages.h"
#include "roles.h"
#include "signals.h"
#include "wire.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { EXIT_USAGE = 64, EXIT_BUSY = 75 }; /* EX_USAGE, EX_TEMPFAIL */

/* A question about a page is answered by PID 1 at once; everything else waits for the agent. */
static const struct verb {
    const char *name;
    const char *page;      /* whose status decides, or NULL */
    const char *json_page; /* printed as it is with --json, or NULL */
    int timeout_ms;        /* by default; 0: as long as it takes */
    const char *help;
} verbs[] = {
    {"health", "/readyz", NULL, 5000, "exit 0 when the container serves: for HEALTHCHECK"},
    {"ready", "/readyz", NULL, 5000, "exit 0 when the container serves: for a readiness probe"},
    {"live", "/livez", NULL, 5000, "exit 0 when Baton runs: for a liveness probe"},
    {"status", "/status.txt", "/status", 5000, "what runs"},
    {"reload", NULL, NULL, 0, "start a new generation; exit 0 when it was promoted"},
    {"drain", NULL, NULL, 0, "readiness 503, wait for the lame-duck time: for preStop"},
};

struct options {
    const char *socket;
    long timeout_ms;
    bool json, wait;
};

static int usage(const struct verb *verb)
{
    printf("usage: baton %s [--socket PATH] [--timeout DURATION] [--json]%s\n%s\n"
           "--socket is $BATON_CONTROL by default, else the abstract socket; --timeout 0 waits as long as it takes\n"
           "exit: 0 yes, 1 no, 64 wrong usage, 69 no Baton to talk to, 75 busy or timed out, 77 not allowed\n",
           verb->name, strcmp(verb->name, "reload") ? "" : " [--no-wait]", verb->help);
    return 0;
}

/* "500ms", "20s", "2m", "1h", "0" → ms, as everywhere in Baton: a whole number and one unit (config/duration.ts). */
static bool parse_duration(const char *text, long *ms)
{
    static const struct {
        const char *unit;
        long ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
    char digits[11] = ""; /* as many as INT32_MAX has, and the NUL */
    size_t length = strspn(text, "0123456789");
    long value;

    if (length >= sizeof digits)
        return false;
    memcpy(digits, text, length);
    if (!parse_number(digits, 0, INT32_MAX, &value))
        return false;
    for (size_t i = 0; i < COUNT(units); i++)
        if (!strcmp(text + length, units[i].unit) && value <= INT32_MAX / units[i].ms) {
            *ms = value * units[i].ms;
            return true;
        }
    if (strcmp(text, "0"))
        return false;
    *ms = 0;
    return true;
}

static bool take_option(char ***argument, const char *flag, const char **value)
{
    size_t length = strlen(flag);

    if (strncmp(**argument, flag, length))
        return false;
    if ((**argument)[length] == '=') {
        *value = **argument + length + 1;
        return true;
    }
    if ((**argument)[length] || !(*argument)[1])
        return false;
    *value = *++*argument;
    return true;
}

/* −1 to go on, or an exit code. */
static int parse(const struct verb *verb, char **argv, struct options *options)
{
    const char *value;

    for (char **argument = argv + 1; *argument; argument++) {
        if (!strcmp(*argument, "--json"))
            options->json = true;
        else if (!strcmp(*argument, "--no-wait") && !strcmp(verb->name, "reload"))
            options->wait = false;
        else if (!strcmp(*argument, "--help") || !strcmp(*argument, "-h"))
            return usage(verb);
        else if (take_option(&argument, "--socket", &value))
            options->socket = value;
        else if (take_option(&argument, "--timeout", &value)) {
            if (!parse_duration(value, &options->timeout_ms)) {
                say("--timeout: a duration like 500ms, 20s or 2m is expected, got \"%s\"", value);
                return EXIT_USAGE;
            }
        } else {
            say("%s: unknown option or missing value: %s; see `baton %s --help`", verb->name, *argument, verb->name);
            return EXIT_USAGE;
        }
    }
    return -1;
}

/* An abstract name belongs to whoever binds it first: what answers there must be root's, our own user's, or that of the
 * container's PID 1, or else another user could pretend that all is well. */
static bool is_trusted(int fd)
{
    struct ucred peer;
    struct stat init;
    socklen_t size = sizeof peer;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size))
        return false;
    return peer.uid == 0 || peer.uid == geteuid() || (!stat("/proc/1", &init) && peer.uid == init.st_uid);
}

static int connect_to(const char *path, long timeout_ms)
{
    struct sockaddr_un at;
    socklen_t size;

    if (!control_address(path, &at, &size))
        return -1;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    /* For connect too, which waits while the queue is full (unix(7)); a timeout of 0 is none (socket(7)). */
    struct timeval timeout = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
    errno = 0;
    if (connect(fd, (struct sockaddr *)&at, size) || (!*at.sun_path && !is_trusted(fd))) {
        int error = errno ? errno : EPERM;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

static bool send_request(int fd, const struct verb *verb, const struct options *options)
{
    char memory[512];
    struct buffer out = {.memory = memory, .capacity = sizeof memory};

    frame_open(&out, verb->page ? "page" : verb->name);
    if (verb->page)
        frame_text(&out, options->json && verb->json_page ? verb->json_page : verb->page);
    else {
        if (options->json)
            frame_text(&out, "json");
        if (!options->wait)
            frame_text(&out, "no-wait");
    }
    /* Baton may have answered and closed before it was asked: busy, or not allowed. */
    return frame_close(&out) && ((buffer_drain(&out, fd) && buffer_empty(&out)) || errno == EPIPE);
}

static void print_json_text(const char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            printf("\\%c", c);
        else if (c < 0x20)
            printf("\\u%04x", c);
        else
            putchar(c);
    }
}

/* Exit codes of the agent pass through; of a page's status, 2xx is 0 and everything else 1. */
static int report(const struct verb *verb, const struct options *options, long code, const char *text)
{
    int exit_code = !verb->page || code < 100 ? (int)code : code >= 200 && code < 300 ? 0 : 1;
    size_t length = strcspn(text, "\n");

    if (options->json && !verb->json_page && *text != '{') {
        printf("{\"verb\":\"%s\",\"ok\":%s,\"text\":\"", verb->name, exit_code ? "false" : "true");
        char line[1024];
        snprintf(line, sizeof line, "%.*s", (int)length, text);
        print_json_text(line);
        printf("\"}\n");
    } else
        printf("%.*s\n", (int)length, text);
    return fflush(stdout) ? 1 : exit_code;
}

static int timed_out(const struct verb *verb, const struct options *options)
{
    say("%s: no answer within %ld ms", verb->name, options->timeout_ms);
    return EXIT_BUSY;
}

/* The answer, or an exit code with its reason said. */
static int await(int fd, const struct verb *verb, const struct options *options)
{
    static char memory[FRAME_HEADER + PAGES_SLOT_SIZE + 1024];
    struct reader in = {.memory = memory, .capacity = sizeof memory};
    int64_t deadline = options->timeout_ms ? now_ms() + options->timeout_ms : 0;
    struct fields reply;
    enum frame_status status;
    long code;

    for (;;) {
        while ((status = frame_next(&in, &reply)) == FRAME_READY) {
            const char *kind = field_next(&reply), *text;
            if (!strcmp(kind, "more") && (text = field_next(&reply)))
                fprintf(stderr, "%s\n", text);
            else if (!strcmp(kind, "last") && field_number(&reply, 0, 999, &code) && (text = field_next(&reply)))
                return report(verb, options, code, text);
        }
        int64_t left = deadline ? deadline - now_ms() : -1;
        if (deadline && left <= 0)
            return timed_out(verb, options);
        struct pollfd readable = {.fd = fd, .events = POLLIN};
        if (poll(&readable, 1, (int)left) > 0 && frame_fill(&in, fd) <= 0) {
            say("%s: Baton closed the connection", verb->name);
            return EXIT_NO_BATON;
        }
    }
}

int client_main(int argc, char **argv)
{
    const struct verb *verb = verbs;
    while (strcmp(verb->name, argv[0]))
        verb++;

    (void)argc;
    signals_reset();
    struct options options = {.socket = getenv("BATON_CONTROL"), .timeout_ms = verb->timeout_ms, .wait = true};
    int code = parse(verb, argv, &options);
    if (code >= 0)
        return code;
    int fd = connect_to(options.socket, options.timeout_ms);
    if (fd < 0 && errno == EAGAIN)
        return timed_out(verb, &options);
    if (fd < 0) {
        say("%s: no Baton answers at %s: %s", verb->name,
            options.socket && *options.socket ? options.socket : control_default_address(), errno_name(errno));
        return EXIT_NO_BATON;
    }
    if (!send_request(fd, verb, &options)) {
        say("%s: cannot send the request: %s", verb->name, errno_name(errno));
        return EXIT_NO_BATON;
    }
    return await(fd, verb, &options);
}
