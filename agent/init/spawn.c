#include "spawn.h"

#include "signals.h"
#include "sockets.h"

#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    FD_NAME_MAX = 255,       /* FDNAME_MAX of systemd */
    BUSY_TRIES = 8,          /* with pauses of 1, 2, … 64 ms between them */
    VALUES_SIZE = 64 * 1024, /* of the variables that we set */
};

/* The failure travels in one write, which a pipe keeps whole (pipe(7)), and is thus never half there. */
_Static_assert(sizeof(struct spawn_failure) <= 512, "POSIX promises no more than 512 bytes in one piece");

/* Variables that only we set. The last, of systemd 258, would contradict our LISTEN_PID. */
static const char *const reserved[] = {
    "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "SERVER_STARTER_PORT", "LISTEN_PIDFDID",
};

/* ---- in the child: all memory is the child's own copy, and nothing returns to the caller ---- */

static int report_fd; /* the pipe's writing end */

static _Noreturn void fail(int code, int error, const char *format, ...) __attribute__((format(printf, 3, 4)));

static _Noreturn void fail(int code, int error, const char *format, ...)
{
    struct spawn_failure failure = {.error = error};
    va_list args;

    va_start(args, format);
    vsnprintf(failure.text, sizeof failure.text, format, args);
    va_end(args);
    /* If PID 1 does not listen any more, the exit code says as much as it can. */
    ssize_t ignored = write(report_fd, &failure, sizeof failure);
    (void)ignored;
    _exit(code);
}

#define GIVE_UP(error, ...) fail(EXIT_CANNOT_EXEC, error, __VA_ARGS__)

/* Puts the descriptors at 3, 4, …, the pipe behind them, and closes the rest. All are first copied to above where they
 * go, so that none is overwritten before its turn, whichever numbers they have now, and so that none is copied to
 * itself, which would leave it CLOEXEC (dup2(2)). */
static void place_descriptors(const struct spawn_request *request)
{
    int copies[SPAWN_DESCRIPTORS_MAX];
    int count = (int)request->descriptor_count;
    int last = SPAWN_FIRST_FD + count;

    int report = fcntl(report_fd, F_DUPFD_CLOEXEC, last + 1);
    if (report < 0)
        GIVE_UP(errno, "cannot make room for %d descriptors: %s", count, errno_name(errno));
    report_fd = report;
    for (int i = 0; i < count; i++) {
        copies[i] = fcntl(request->descriptors[i].fd, F_DUPFD_CLOEXEC, last + 1);
        if (copies[i] < 0)
            GIVE_UP(errno, "cannot hand down descriptor %d: %s", request->descriptors[i].fd, errno_name(errno));
    }
    for (int i = 0; i < count; i++)
        if (dup2(copies[i], SPAWN_FIRST_FD + i) < 0)
            GIVE_UP(errno, "cannot place descriptor %d: %s", SPAWN_FIRST_FD + i, errno_name(errno));
    if (dup3(report, last, O_CLOEXEC) < 0)
        GIVE_UP(errno, "cannot place descriptor %d: %s", last, errno_name(errno));
    report_fd = last;
    descriptors_close_from(last + 1);
}

static char *environment[SPAWN_ENVIRONMENT_MAX + 1];
static size_t environment_count;
static char values[VALUES_SIZE];
static size_t values_used;

static void append(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void append(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int n = vsnprintf(values + values_used, sizeof values - values_used, format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof values - values_used)
        GIVE_UP(E2BIG, "the names of the descriptors are too long together: E2BIG");
    values_used += (size_t)n;
}

static void add_entry(char *entry)
{
    if (environment_count == SPAWN_ENVIRONMENT_MAX)
        GIVE_UP(E2BIG, "the environment has more than %d entries: E2BIG", SPAWN_ENVIRONMENT_MAX);
    environment[environment_count++] = entry;
}

/* What was appended since `start` becomes an entry. */
static void add_value(size_t start)
{
    values_used++; /* its NUL */
    add_entry(values + start);
}

static bool is_reserved(const char *entry)
{
    size_t length = strcspn(entry, "=");

    for (size_t i = 0; i < COUNT(reserved); i++)
        if (!strncmp(entry, reserved[i], length) && !reserved[i][length])
            return true;
    return false;
}

/* systemd's fdname_is_valid. */
static bool is_fd_name(const char *name)
{
    size_t length = 0;

    for (; name[length]; length++)
        if (name[length] < ' ' || name[length] > '~' || name[length] == ':')
            return false;
    return length <= FD_NAME_MAX;
}

/* One "host:port=fd" or "path=fd"; a UDP port is written u53 (start_server(1)). What the format cannot say is left out:
 * abstract names, and paths with its own delimiters in them. */
static void append_server_starter(const char *text, int fd, bool *first)
{
    struct address address;
    char formatted[ADDRESS_TEXT_SIZE];
    const char *why, *unix_path = NULL;

    if (!address_parse(text, &address, &why) || !address_format(&address, formatted, sizeof formatted))
        return;
    if (address.transport == TRANSPORT_UNIX) {
        unix_path = address.at.un.sun_path;
        if (!*unix_path || strpbrk(unix_path, ";="))
            return;
    }
    append(*first ? "SERVER_STARTER_PORT=" : ";");
    *first = false;
    if (unix_path) {
        append("%s=%d", unix_path, fd);
        return;
    }
    const char *host = formatted + strlen("tcp://");
    const char *port = strrchr(host, ':') + 1;
    append("%.*s%s%s=%d", (int)(port - host), host, address.transport == TRANSPORT_UDP ? "u" : "", port, fd);
}

static void announce(const struct spawn_descriptor *descriptors, size_t count)
{
    size_t start = values_used;
    append("LISTEN_FDS=%zu", count);
    add_value(start);

    start = values_used;
    append("LISTEN_PID=%ld", (long)getpid());
    add_value(start);

    start = values_used;
    for (size_t i = 0; i < count; i++) {
        if (!is_fd_name(descriptors[i].name))
            GIVE_UP(EINVAL, "descriptor %zu cannot be named \"%.99s\" in LISTEN_FDNAMES: EINVAL", SPAWN_FIRST_FD + i,
                    descriptors[i].name);
        append(i ? ":%s" : "LISTEN_FDNAMES=%s", descriptors[i].name);
    }
    add_value(start);

    start = values_used;
    bool first = true;
    for (size_t i = 0; i < count; i++)
        if (descriptors[i].address)
            append_server_starter(descriptors[i].address, SPAWN_FIRST_FD + (int)i, &first);
    if (!first)
        add_value(start);
}

static size_t announced_count(const struct spawn_request *request)
{
    size_t count = 0;

    while (count < request->descriptor_count && request->descriptors[count].name)
        count++;
    return count;
}

static void build_environment(const struct spawn_request *request)
{
    size_t announced = announced_count(request);

    environment_count = values_used = 0;
    for (char *const *entry = request->environment; *entry; entry++)
        if (!is_reserved(*entry))
            add_entry(*entry);
    if (announced)
        announce(request->descriptors, announced);
    if (request->notify_socket) {
        size_t start = values_used;
        append("NOTIFY_SOCKET=%s", request->notify_socket);
        add_value(start);
    }
    environment[environment_count] = NULL;
}

/* Groups before gid before uid: each step needs the privilege that the last one gives up. */
static void become(const struct identity *identity)
{
    bool same = geteuid() == identity->uid && getegid() == identity->gid;

    if (setgroups(identity->group_count, identity->groups) && !(errno == EPERM && same))
        GIVE_UP(errno, "cannot set the groups of uid %u: %s, it takes CAP_SETGID", (unsigned)identity->uid, errno_name(errno));
    if (setresgid(identity->gid, identity->gid, identity->gid))
        GIVE_UP(errno, "cannot become gid %u: %s, it takes CAP_SETGID", (unsigned)identity->gid, errno_name(errno));
    if (setresuid(identity->uid, identity->uid, identity->uid))
        GIVE_UP(errno, "cannot become uid %u: %s, it takes CAP_SETUID", (unsigned)identity->uid, errno_name(errno));
}

/* Executes one file; returns errno. ETXTBSY is tried again: whoever wrote the file has closed it, but a process that
 * was forked meanwhile, from any thread of the writer, holds the descriptor until its own exec (golang/go#22315). */
static int execute_file(const char *path, char *const *argv)
{
    struct timespec pause = {.tv_nsec = 1000000};

    for (int tries = 1;; tries++) {
        execve(path, argv, environment);
        if (errno != ETXTBSY || tries == BUSY_TRIES)
            return errno;
        nanosleep(&pause, NULL);
        pause.tv_nsec *= 2;
    }
}

static const char *search_path(void)
{
    for (size_t i = 0; i < environment_count; i++)
        if (!strncmp(environment[i], "PATH=", 5))
            return environment[i] + 5;
    return DEFAULT_PATH;
}

/* As execvp(3), in the program's own PATH, and without its detour through sh on ENOEXEC. Returns errno; *unusable says
 * that a file was there whose interpreter was not. */
static int execute(const char *file, char *const *argv, bool *unusable)
{
    char path[PATH_MAX];
    int result = ENOENT;
    const char *directory = strchr(file, '/') ? "" : search_path();
    bool search = *directory;

    if (!*file)
        return ENOENT;
    for (;; directory++) {
        size_t length = search ? strcspn(directory, ":") : 0;
        /* An empty element is the working directory (environ(7)). */
        int n = snprintf(path, sizeof path, "%.*s%s%s", (int)length, directory, length ? "/" : "", file);
        int error = n < 0 || (size_t)n >= sizeof path ? ENAMETOOLONG : execute_file(path, argv);
        if (error == ENOENT && !access(path, F_OK))
            *unusable = true;
        if (!search)
            return error;
        switch (error) {
        case EACCES: /* told only when no later directory has it */
            result = EACCES;
            break;
        case ENOENT:
        case ENOTDIR:
        case ENAMETOOLONG:
        case ENODEV:
        case ESTALE:
        case ETIMEDOUT:
            break;
        default:
            return error;
        }
        directory += length;
        if (!*directory)
            return result;
    }
}

static const char *advice(int error, bool unusable)
{
    switch (error) {
    case ENOENT:
        return unusable ? "the file is there; the interpreter of its #! line or its ELF loader is not" : "no such file";
    case EACCES:
        return "it is no executable file, or its user may not reach it";
    case ENOEXEC:
        return "it is neither a program for this machine nor a script with a #! line";
    case ETXTBSY:
        return "it is still open for writing";
    case E2BIG:
        return "its arguments and environment are too long";
    default:
        return "the kernel refuses it";
    }
}

static _Noreturn void run_child(const struct spawn_request *request)
{
    const char *file = request->path ? request->path : request->argv[0];
    bool unusable = false;

    setsid(); /* cannot fail: a fresh child leads no group */
    place_descriptors(request);
    build_environment(request);
    if (request->identity)
        become(request->identity);
    if (request->directory && chdir(request->directory))
        GIVE_UP(errno, "cannot enter the directory %.300s: %s", request->directory, errno_name(errno));
    /* Last: until here a signal waits, and a program that is asked to stop before it began then dies of it. */
    signals_reset();
    int error = execute(file, request->argv, &unusable);
    fail(error == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_EXEC, error, "cannot execute %.300s: %s, %s", file,
         errno_name(error), advice(error, unusable));
}

/* ---- in PID 1 ---- */

static bool is_valid(const struct spawn_request *request)
{
    if (!request->argv || !request->argv[0] || request->descriptor_count > SPAWN_DESCRIPTORS_MAX)
        return false;
    for (size_t i = announced_count(request); i < request->descriptor_count; i++)
        if (request->descriptors[i].name)
            return false;
    return true;
}

pid_t spawn_process(const struct spawn_request *request, int *result_fd)
{
    int ends[2];

    if (!is_valid(request)) {
        errno = EINVAL;
        return -1;
    }
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK))
        return -1;
    /* Not vfork(2) nor posix_spawn(3): both stop the parent until the exec, and PID 1 must go on reaping and answering
     * while a child waits for a disk. Its few pages make the copy cheap. */
    pid_t pid = fork();
    if (!pid) {
        report_fd = ends[1];
        run_child(request);
    }
    int error = errno;
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        errno = error;
        return -1;
    }
    *result_fd = ends[0];
    return pid;
}

enum spawn_state spawn_poll(int result_fd, struct spawn_failure *failure)
{
    ssize_t n;

    do {
        n = read(result_fd, failure, sizeof *failure);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN)
        return SPAWN_PENDING;
    return n == (ssize_t)sizeof *failure ? SPAWN_FAILED : SPAWN_EXECUTING;
}
