/* baton look [--timeout MS] [--interval MS] PID INODE…
 *
 * Waits until, for every socket INODE, some process of PID's tree waits for what arrives on it: the proof that a new
 * generation serves by itself, though the old one has the same listeners. Nothing is asked of the program and nothing
 * is sent to the socket; everything comes from /proc (proc(5)). A process accepts on a socket that it has open when
 *
 *   - one of its epolls waits for it (/proc/PID/fdinfo). Whether the program has entered its loop yet does not show and
 *     need not: from here on connections queue for it. A runtime that registers a listener before it calls accept
 *     (Go's net.FileListener) counts from the registration;
 *   - one of its threads is blocked in accept(2), or in recv*(2) or read(2) for datagrams (/proc/PID/task/TID/syscall);
 *   - one of its threads is blocked in select(2) or poll(2) with it in the set (/proc/PID/mem).
 *
 * Not seen: an accept in an io_uring, whose fdinfo shows that one is pending but not on which socket; a program that
 * only tries accept now and then between sleeps. They need another readiness method.
 *
 * Looking takes the rights of ptrace(2) (PTRACE_MODE_READ for the epolls, PTRACE_MODE_ATTACH for the threads): the same
 * uid and gid, or CAP_SYS_PTRACE, or root with CAP_SETUID and CAP_SETGID, which looks as the process's own user. Yama's
 * ptrace_scope of 1 and more hides the threads, not the epolls.
 *
 * Printed on stdout: "accepting" at the end, and before that, whenever it changes and at most five times a second, and
 * at the timeout, "missing INODE…; what was seen". Exit: 0 accepting, 1 timed out, 3 PID is gone, 4 /proc does not
 * let it look (one line on stderr), 78 wrong arguments. */
#include "listing.h"
#include "look_parse.h"
#include "roles.h"
#include "signals.h"

#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/fsuid.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

enum {
    EXIT_ACCEPTING = 0,
    EXIT_TIMED_OUT = 1,
    EXIT_GONE = 3,
    EXIT_BLIND = 4,

    MAX_SOCKETS = 64, /* one bit each in a socket_set */
    MAX_PROCESSES = 8192,
    MAX_DESCRIPTORS = 256, /* of one process, on the sockets asked for */
    MAX_POLLED = 65536,    /* entries of one poll(2) that are looked at */

    PRINT_EVERY_MS = 200,
    BLIND_MS = 1000, /* an exec in progress or a change of user may deny a look; not for this long */
};

/* Bit i is sockets[i]. */
typedef uint64_t socket_set;

static uint64_t sockets[MAX_SOCKETS];
static int socket_count;
static uint32_t socket_device;     /* inode numbers are unique on one file system only */
static bool threads_shown = true; /* this kernel has /proc/PID/syscall */

struct sighting {
    socket_set accepted;
    int processes;
    int holders; /* processes with one of the sockets open */
    int denied;  /* processes that may not be looked at; the last of them and why */
    pid_t denied_pid;
    int denied_error;
    pid_t threads_denied_pid; /* a holder of a socket whose threads may not be looked at, or 0 */
    int threads_denied_error;
    pid_t io_uring_pid; /* a holder of a socket that has an io_uring, or 0 */
    bool too_many;
};

static int socket_index(uint64_t inode)
{
    for (int i = 0; i < socket_count; i++)
        if (sockets[i] == inode)
            return i;
    return -1;
}

/* One read(2) of a small file, NUL-terminated; -1 with errno. */
static ssize_t read_text(int directory, const char *path, char *text, size_t size)
{
    int fd = openat(directory, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t length = read(fd, text, size - 1);
    int error = errno;
    close(fd);
    errno = error;
    if (length >= 0)
        text[length] = '\0';
    return length;
}

/* Which of the sockets the epoll behind descriptor `name` waits for. Its fdinfo has a line for each descriptor in it,
 * thousands perhaps, so it is read in pieces. */
static bool look_at_epoll(int process, const char *name, socket_set *waited)
{
    char path[32], buffer[4096];
    size_t kept = 0;
    ssize_t length;

    snprintf(path, sizeof path, "fdinfo/%s", name);
    int fd = openat(process, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    while ((length = read(fd, buffer + kept, sizeof buffer - 1 - kept)) > 0) {
        char *line = buffer, *end;
        buffer[kept + (size_t)length] = '\0';
        for (; (end = strchr(line, '\n')); line = end + 1) {
            struct look_target target;
            *end = '\0';
            /* An EPOLLONESHOT that has fired stays listed, with no event to wait for. */
            if (!look_parse_target(line, &target) || target.device != socket_device ||
                !(target.events & (EPOLLIN | EPOLLRDNORM)))
                continue;
            int index = socket_index(target.inode);
            if (index >= 0)
                *waited |= UINT64_C(1) << index;
        }
        kept = strlen(line);
        if (kept == sizeof buffer - 1)
            kept = 0; /* no line of an epoll is that long */
        memmove(buffer, line, kept);
    }
    close(fd);
    return true;
}

/* The descriptors of one process that are sockets asked for. */
struct descriptors {
    int count;
    struct {
        int fd;
        socket_set socket;
    } of[MAX_DESCRIPTORS];
};

static socket_set in_select(int memory, const struct descriptors *held, const uint64_t *arguments)
{
    const unsigned bits = 8 * sizeof(unsigned long);
    socket_set waited = 0;

    for (int i = 0; i < held->count; i++) {
        unsigned fd = (unsigned)held->of[i].fd;
        unsigned long word;
        off_t address = (off_t)(arguments[1] + fd / bits * sizeof word);
        if (fd < arguments[0] && pread(memory, &word, sizeof word, address) == sizeof word &&
            word >> fd % bits & 1)
            waited |= held->of[i].socket;
    }
    return waited;
}

static socket_set in_poll(int memory, const struct descriptors *held, const uint64_t *arguments)
{
    struct pollfd polled[64];
    uint64_t count = arguments[1] < MAX_POLLED ? arguments[1] : MAX_POLLED;
    socket_set waited = 0;

    for (uint64_t done = 0; done < count; done += COUNT(polled)) {
        size_t wanted = count - done < COUNT(polled) ? (size_t)(count - done) : COUNT(polled);
        off_t address = (off_t)(arguments[0] + done * sizeof *polled);
        if (pread(memory, polled, wanted * sizeof *polled, address) != (ssize_t)(wanted * sizeof *polled))
            break;
        for (size_t i = 0; i < wanted; i++)
            for (int j = 0; j < held->count; j++)
                if (polled[i].fd == held->of[j].fd && polled[i].events & (POLLIN | POLLRDNORM))
                    waited |= held->of[j].socket;
    }
    return waited;
}

static socket_set in_memory(int process, enum look_wait wait, const struct descriptors *held, const uint64_t *arguments)
{
    int memory = openat(process, "mem", O_RDONLY | O_CLOEXEC);
    if (memory < 0)
        return 0;
    socket_set waited =
        wait == LOOK_WAIT_SELECT ? in_select(memory, held, arguments) : in_poll(memory, held, arguments);
    close(memory);
    return waited;
}

/* Which of the sockets one thread is blocked on; false, with errno, when it may not be looked at. */
static bool look_at_thread(int process, const char *name, const struct descriptors *held, socket_set *waited)
{
    char path[48], text[256], again[256];
    struct look_syscall call;

    snprintf(path, sizeof path, "task/%s/syscall", name);
    if (read_text(process, path, text, sizeof text) < 0)
        return errno != EACCES && errno != EPERM;
    if (!look_parse_syscall(text, &call))
        return true;
    enum look_wait wait = look_wait_of(call.number);
    if (wait == LOOK_WAIT_ONE) {
        for (int i = 0; i < held->count; i++)
            if ((uint32_t)call.arguments[0] == (uint32_t)held->of[i].fd)
                *waited |= held->of[i].socket;
    } else if (wait != LOOK_WAIT_NONE) {
        socket_set found = in_memory(process, wait, held, call.arguments);
        /* Memory that was read after the call returned says nothing. */
        if (found && read_text(process, path, again, sizeof again) > 0 && !strcmp(text, again))
            *waited |= found;
    }
    return true;
}

static void look_at_threads(pid_t pid, int process, const struct descriptors *held, socket_set needed,
                            struct sighting *seen)
{
    struct listing tasks;
    const char *name;
    socket_set waited = 0;

    if (!listing_open(&tasks, process, "task"))
        return;
    while ((name = listing_next(&tasks)))
        if ((waited & needed) != needed && !look_at_thread(process, name, held, &waited)) {
            seen->threads_denied_pid = pid;
            seen->threads_denied_error = errno;
        }
    seen->accepted |= waited;
}

/* False, with errno, when the process may not be looked at. One that ended meanwhile is no failure. */
static bool look_at_process(pid_t pid, struct sighting *seen)
{
    struct listing fds;
    struct descriptors held = {.count = 0};
    socket_set holds = 0, epolls = 0;
    bool io_uring = false;
    const char *name;
    char path[32], link[64];
    int denied = 0;

    snprintf(path, sizeof path, "/proc/%d", (int)pid);
    int process = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (process < 0)
        return errno != EACCES && errno != EPERM;
    if (!listing_open(&fds, process, "fd")) {
        denied = errno;
        close(process);
        errno = denied;
        return denied != EACCES && denied != EPERM;
    }
    while ((name = listing_next(&fds))) {
        uint64_t inode;
        snprintf(path, sizeof path, "fd/%s", name);
        ssize_t length = readlinkat(process, path, link, sizeof link - 1);
        link[length < 0 ? 0 : length] = '\0';
        if (length < 0) {
            if (errno == EACCES || errno == EPERM)
                denied = errno;
        } else if (look_parse_socket(link, &inode)) {
            int index = socket_index(inode);
            if (index < 0)
                continue;
            holds |= UINT64_C(1) << index;
            if (held.count < MAX_DESCRIPTORS) {
                held.of[held.count].fd = atoi(name);
                held.of[held.count++].socket = UINT64_C(1) << index;
            }
        } else if (!strcmp(link, "anon_inode:[eventpoll]")) {
            if (!look_at_epoll(process, name, &epolls) && (errno == EACCES || errno == EPERM))
                denied = errno;
        } else if (!strcmp(link, "anon_inode:[io_uring]")) {
            io_uring = true;
        }
    }
    /* Baton has every listener open too, so an epoll goes on listing one that this process has closed (epoll(7),
     * question 6): only what it still holds counts. */
    seen->accepted |= epolls & holds;
    if (holds) {
        seen->holders++;
        if (io_uring)
            seen->io_uring_pid = pid;
        if (threads_shown && holds & ~seen->accepted)
            look_at_threads(pid, process, &held, holds & ~seen->accepted, seen);
    }
    close(process);
    errno = denied;
    return !denied;
}

/* ptrace(2) compares the file-system ids, so root needs to borrow no more than these. */
static bool look_as_its_user(pid_t pid, struct sighting *seen)
{
    char path[32];
    struct stat owner;

    snprintf(path, sizeof path, "/proc/%d", (int)pid);
    if (stat(path, &owner))
        return errno == ENOENT;
    uid_t uid = geteuid();
    gid_t gid = getegid();
    setfsgid(owner.st_gid);
    setfsuid(owner.st_uid);
    bool looked = look_at_process(pid, seen);
    int error = errno;
    setfsuid(uid);
    setfsgid(gid);
    errno = error;
    return looked;
}

static void look_at(pid_t pid, struct sighting *seen)
{
    struct sighting before = *seen;
    bool looked = look_at_process(pid, seen);

    if (!looked && !geteuid()) {
        *seen = before;
        looked = look_as_its_user(pid, seen);
    }
    seen->processes++;
    if (!looked) {
        seen->denied++;
        seen->denied_pid = pid;
        seen->denied_error = errno;
    }
}

/* Every process there is, in the order of /proc, which is by pid. */
static struct process {
    pid_t pid;
    pid_t parent;
    pid_t session;
} processes[MAX_PROCESSES];

static int by_pid(const void *a, const void *b)
{
    pid_t left = ((const struct process *)a)->pid, right = ((const struct process *)b)->pid;
    return (left > right) - (left < right);
}

static bool in_tree(const struct process *process, int count, pid_t root)
{
    /* Bounded: the table is no snapshot, so the parents in it could form a ring. */
    for (int depth = 0; process && depth < count; depth++) {
        if (process->pid == root || process->session == root)
            return true;
        struct process parent = {.pid = process->parent};
        process = bsearch(&parent, processes, (size_t)count, sizeof *processes, by_pid);
    }
    return false;
}

static bool read_stat(pid_t pid, struct look_stat *stat)
{
    char path[32], text[512];

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    return read_text(AT_FDCWD, path, text, sizeof text) > 0 && look_parse_stat(text, stat);
}

static int list_processes(bool *too_many)
{
    struct listing listing;
    const char *name;
    struct look_stat stat;
    int count = 0;

    if (!listing_open(&listing, AT_FDCWD, "/proc"))
        return 0;
    while ((name = listing_next(&listing))) {
        pid_t pid = atoi(name);
        if (!read_stat(pid, &stat))
            continue;
        if (count == MAX_PROCESSES)
            *too_many = true;
        else
            processes[count++] = (struct process){.pid = pid, .parent = stat.parent, .session = stat.session};
    }
    return count;
}

static struct sighting look_at_tree(pid_t root, socket_set all)
{
    struct sighting seen = {.accepted = 0};
    int count = list_processes(&seen.too_many);

    for (int i = 0; i < count && seen.accepted != all; i++)
        if (in_tree(&processes[i], count, root))
            look_at(processes[i].pid, &seen);
    return seen;
}

/* Appends, cut at the size. */
static void append(char *text, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));

static void append(char *text, size_t size, const char *format, ...)
{
    size_t length = strlen(text);
    va_list args;

    va_start(args, format);
    vsnprintf(text + length, size - length, format, args);
    va_end(args);
}

static void describe(const struct sighting *seen, char *text, size_t size)
{
    *text = '\0';
    append(text, size, "missing");
    for (int i = 0; i < socket_count; i++)
        if (!(seen->accepted >> i & 1))
            append(text, size, " %llu", (unsigned long long)sockets[i]);
    append(text, size, "; looked at %d process%s, %d of them with such a socket open", seen->processes,
           seen->processes == 1 ? "" : "es", seen->holders);
    if (seen->denied)
        append(text, size, "; may not look at pid %d (%s)", (int)seen->denied_pid, errno_name(seen->denied_error));
    if (seen->threads_denied_pid)
        append(text, size, "; may not see what the threads of pid %d wait for (%s, see kernel.yama.ptrace_scope)",
               (int)seen->threads_denied_pid, errno_name(seen->threads_denied_error));
    if (!threads_shown)
        append(text, size, "; this kernel has no /proc/PID/syscall, so only an epoll shows");
    if (seen->io_uring_pid)
        append(text, size, "; pid %d has an io_uring, which does not show what it accepts on", (int)seen->io_uring_pid);
    if (seen->too_many)
        append(text, size, "; there are more than %d processes, some were not looked at", MAX_PROCESSES);
}

static void print(const char *text)
{
    char line[1600];
    int length = snprintf(line, sizeof line, "%s\n", text);
    ssize_t ignored = write(STDOUT_FILENO, line, (size_t)length);
    (void)ignored; /* a reader that is gone needs no line */
}

/* Whether this /proc shows epolls at all: a look at ourselves, who have one with a socket in it. */
static bool can_look(void)
{
    struct sighting seen = {.accepted = 0};
    struct stat socket_stat;
    struct epoll_event event = {.events = EPOLLIN};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int epoll = epoll_create1(EPOLL_CLOEXEC);

    if (fd < 0 || epoll < 0 || fstat(fd, &socket_stat) || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
        return false;
    socket_device = (uint32_t)(major(socket_stat.st_dev) << 20 | minor(socket_stat.st_dev));
    sockets[0] = socket_stat.st_ino;
    socket_count = 1;
    look_at_process(getpid(), &seen);
    socket_count = 0;
    close(epoll);
    close(fd);
    threads_shown = !access("/proc/self/syscall", F_OK);
    return seen.accepted == 1;
}

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t clamp(int64_t value, int64_t low, int64_t high)
{
    return value < low ? low : value > high ? high : value;
}

static int watch(pid_t root, int64_t timeout_us, int64_t interval_us)
{
    const socket_set all = ~UINT64_C(0) >> (MAX_SOCKETS - socket_count);
    const pid_t parent = getppid();
    const int64_t start = now_us();
    int64_t printed_at = start - PRINT_EVERY_MS * 1000, saw_at = start;
    char text[1500], printed[1500] = "";

    for (;;) {
        int64_t began = now_us();
        struct look_stat stat;
        if (!read_stat(root, &stat)) {
            /* With hidepid= (proc(5)) a process is there and does not show. */
            if (kill(root, 0) && errno == ESRCH)
                return EXIT_GONE;
            say("look: pid %d does not show in /proc: is it mounted with hidepid? Run as the program's user, or choose "
                "another readiness method",
                (int)root);
            return EXIT_BLIND;
        }
        if (stat.state == 'Z' || stat.state == 'X')
            return EXIT_GONE;

        struct sighting seen = look_at_tree(root, all);
        if (seen.accepted == all) {
            print("accepting");
            return EXIT_ACCEPTING;
        }
        int64_t now = now_us();
        bool timed_out = timeout_us >= 0 && now - start >= timeout_us;
        if (!seen.processes || seen.denied < seen.processes) {
            saw_at = now;
        } else if (timed_out || now - saw_at >= BLIND_MS * 1000) {
            say("look: may not look at pid %d (%s on /proc/%d): run as the program's user, give CAP_SYS_PTRACE, or "
                "choose another readiness method",
                (int)seen.denied_pid, errno_name(seen.denied_error), (int)seen.denied_pid);
            return EXIT_BLIND;
        }
        describe(&seen, text, sizeof text);
        if (timed_out || (strcmp(text, printed) && now - printed_at >= PRINT_EVERY_MS * 1000)) {
            print(text);
            strcpy(printed, text);
            printed_at = now;
        }
        if (timed_out)
            return EXIT_TIMED_OUT;
        if (getppid() != parent)
            return EXIT_TIMED_OUT; /* nobody waits for the answer any more */

        /* A program that starts fast is found fast; for one that starts slowly, a sixteenth more does not matter. At
         * least four times what a look took, so that a booting program in a throttled container keeps its CPU. */
        int64_t pause = clamp((now - start) / 16, 1000, interval_us);
        if (pause < 4 * (now - began))
            pause = 4 * (now - began);
        if (timeout_us >= 0)
            pause = clamp(pause, 0, start + timeout_us - now);
        struct timespec rest = {.tv_sec = pause / 1000000, .tv_nsec = pause % 1000000 * 1000};
        nanosleep(&rest, NULL);
    }
}

static int usage(void)
{
    say("usage: baton look [--timeout MS] [--interval MS] PID INODE… (at most %d inodes, interval 1 to 1000, timeout "
        "0 to 86400000; without a timeout it waits as long as PID lives)",
        MAX_SOCKETS);
    return EXIT_CONFIG;
}

int look_main(int argc, char **argv)
{
    long timeout = -1, interval = 10, pid;
    int next = 1;

    signals_set_mask(0);
    for (; next + 1 < argc && !strncmp(argv[next], "--", 2); next += 2) {
        if (!strcmp(argv[next], "--timeout") && parse_number(argv[next + 1], 0, 86400000, &timeout))
            continue;
        if (!strcmp(argv[next], "--interval") && parse_number(argv[next + 1], 1, 1000, &interval))
            continue;
        return usage();
    }
    if (next + 1 >= argc || argc - next - 1 > MAX_SOCKETS || !parse_number(argv[next], 1, INT32_MAX, &pid))
        return usage();
    if (!can_look()) {
        say("look: this /proc does not show what an epoll waits for (Linux 4.13 and later do, gVisor does not): choose "
            "another readiness method");
        return EXIT_BLIND;
    }
    while (++next < argc) {
        long inode;
        if (!parse_number(argv[next], 1, INT64_MAX, &inode))
            return usage();
        sockets[socket_count++] = (uint64_t)inode;
    }
    return watch((pid_t)pid, timeout < 0 ? -1 : (int64_t)timeout * 1000, (int64_t)interval * 1000);
}
