/* Real children: a copy of this program, started as "helper", prints what it finds itself with. */
#include "signals.h"
#include "sockets.h"
#include "spawn.h"

#include "check.h"

#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NOBODY = 65534, DESCRIPTORS_LOOKED_AT = 2048 };

/* ---- the helper; it needs no /proc ---- */

static int helper_main(int argc, char **argv)
{
    gid_t groups[128];
    uid_t uid[3];
    gid_t gid[3];
    uint64_t blocked = 1, ignored = 0;
    char directory[PATH_MAX];
    struct stat status;

    for (int i = 0; i < argc; i++)
        printf("argv %s\n", argv[i]);
    for (char **entry = environ; *entry; entry++)
        printf("env %s\n", *entry);
    for (int fd = 0; fd < DESCRIPTORS_LOOKED_AT; fd++)
        if (!fstat(fd, &status))
            printf("fd %d %lu %s\n", fd, (unsigned long)status.st_ino, fcntl(fd, F_GETFD) ? "cloexec" : "kept");
    getresuid(&uid[0], &uid[1], &uid[2]);
    getresgid(&gid[0], &gid[1], &gid[2]);
    printf("uid %u %u %u\ngid %u %u %u\ngroups", uid[0], uid[1], uid[2], gid[0], gid[1], gid[2]);
    int count = getgroups(128, groups);
    for (int i = 0; i < count; i++)
        printf(" %u", groups[i]);
    printf("\npid %d\nsession %d\ngroup %d\n", getpid(), getsid(0), getpgrp());
    printf("directory %s\numask %03o\n", getcwd(directory, sizeof directory), (unsigned)umask(0));
    syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &blocked, sizeof blocked);
    for (int number = 1; number <= SIGNAL_MAX; number++) {
        uint64_t action[8] = {0}; /* the first word is the handler, in the kernel's layout */
        syscall(SYS_rt_sigaction, number, NULL, action, sizeof blocked);
        if (action[0] == (uint64_t)(uintptr_t)SIG_IGN)
            ignored |= SIGNAL_BIT(number);
    }
    printf("blocked %llx\nignored %llx\n", (unsigned long long)blocked, (unsigned long long)ignored);
    fflush(stdout);
    _exit(0); /* no leak check, which would need ptrace(2) */
}

/* ---- what the tests are made of ---- */

static char helper[PATH_MAX]; /* the copy, readable for everyone */
static char output[1 << 18];  /* of the last child, behind a newline */
static struct spawn_failure failure;
static char *const nothing[] = {NULL};
static char *const helper_argv[] = {"helper", "an argument", "", NULL};

static struct spawn_request request_of(char *const *argv)
{
    return (struct spawn_request){.path = argv == helper_argv ? helper : NULL, .argv = argv, .environment = nothing};
}

/* Starts it with stdout (or stderr) going to a file, waits for the exec and the end, and takes the output. */
static enum spawn_state run_to(int stream, const struct spawn_request *request, int *wait_status, pid_t *pid_out)
{
    int result = -1;
    struct stat status;
    int file = (int)syscall(SYS_memfd_create, "output", 0u);
    int saved = fcntl(stream, F_DUPFD_CLOEXEC, 1000);

    fflush(NULL);
    dup2(file, stream);
    pid_t pid = spawn_process(request, &result);
    dup2(saved, stream);
    close(saved);
    CHECK(pid > 0);
    CHECK(fcntl(result, F_GETFD) == FD_CLOEXEC && (fcntl(result, F_GETFL) & O_NONBLOCK));

    memset(&failure, 0, sizeof failure);
    enum spawn_state state;
    while ((state = spawn_poll(result, &failure)) == SPAWN_PENDING)
        poll(&(struct pollfd){.fd = result, .events = POLLIN}, 1, -1);
    close(result);
    CHECK(waitpid(pid, wait_status, 0) == pid);

    size_t size = !fstat(file, &status) ? (size_t)status.st_size : 0;
    CHECK(size < sizeof output - 2);
    output[0] = '\n';
    if (pread(file, output + 1, size, 0) != (ssize_t)size)
        size = 0;
    output[1 + size] = '\0';
    close(file);
    if (pid_out)
        *pid_out = pid;
    return state;
}

/* It ran, and ended well. */
static pid_t run(const struct spawn_request *request)
{
    int status = -1;
    pid_t pid = -1;
    enum spawn_state state = run_to(STDOUT_FILENO, request, &status, &pid);

    CHECK(state == SPAWN_EXECUTING);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    if (state == SPAWN_FAILED)
        fprintf(stderr, "%s\n", failure.text);
    return pid;
}

/* It failed with that errno and exit code, and the sentence has these words. */
static bool fails(const struct spawn_request *request, int error, int code, const char *words)
{
    int status = -1;
    enum spawn_state state = run_to(STDOUT_FILENO, request, &status, NULL);
    bool as_said = state == SPAWN_FAILED && failure.error == error && strstr(failure.text, words) &&
                   WIFEXITED(status) && WEXITSTATUS(status) == code && !strcmp(output, "\n");

    if (!as_said)
        fprintf(stderr, "state %d, errno %d, status %x: %s\n", state, failure.error, (unsigned)status, failure.text);
    return as_said;
}

static bool says(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The output has this line. */
static bool says(const char *format, ...)
{
    char line[1024] = "\n";
    va_list args;

    va_start(args, format);
    int n = vsnprintf(line + 1, sizeof line - 2, format, args);
    va_end(args);
    strcpy(line + 1 + n, "\n");
    bool found = strstr(output, line) != NULL;
    if (!found)
        fprintf(stderr, "no such line: %s", line + 1);
    return found;
}

static int lines_with(const char *start)
{
    char wanted[64];
    int count = 0;

    snprintf(wanted, sizeof wanted, "\n%s", start);
    for (const char *at = output; (at = strstr(at, wanted)); at++)
        count++;
    return count;
}

/* Runs `test` in a process of its own, whose limits and filters end with it. */
static void apart(void (*test)(void))
{
    int status = -1;

    fflush(NULL);
    pid_t pid = fork();
    if (!pid) {
        checks = failures = 0;
        test();
        fflush(NULL);
        _exit(failures || !checks);
    }
    CHECK(waitpid(pid, &status, 0) == pid && !status);
}

static int descriptors_open(void)
{
    int count = 0;
    for (int fd = 0; fd < DESCRIPTORS_LOOKED_AT; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static unsigned long inode_of(int fd)
{
    struct stat status;
    return fstat(fd, &status) ? 0 : (unsigned long)status.st_ino;
}

static void write_file(const char *path, const char *text, mode_t mode)
{
    unlink(path);
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && !fchmod(fd, mode));
    close(fd);
}

/* ---- the tests ---- */

static void check_basics(void)
{
    struct spawn_request request = request_of(helper_argv);
    char directory[PATH_MAX];

    umask(037);
    pid_t pid = run(&request);
    CHECK(umask(022) == 037 && says("umask 037"));
    CHECK(says("argv helper\nargv an argument\nargv ") && lines_with("argv ") == 3);
    CHECK(lines_with("env ") == 0);
    CHECK(says("pid %d", pid) && says("session %d", pid) && says("group %d", pid));
    CHECK(says("directory %s", getcwd(directory, sizeof directory)));
    CHECK(lines_with("fd ") == 3 && says("fd 0 %lu kept", inode_of(0)) && says("fd 2 %lu kept", inode_of(2)));
    CHECK(says("uid %u %u %u", getuid(), getuid(), getuid()));
}

/* All that is blocked or ignored here is neither there. */
static void check_signals(void)
{
    struct spawn_request request = request_of(helper_argv);

    signals_block_all();
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGRTMIN + 3, SIG_IGN);
    run(&request);
    CHECK(says("blocked 0") && says("ignored 0"));
}

static bool leaked_none(int expected)
{
    return lines_with("fd ") == 3 + expected;
}

/* Sources that lie where others go, in every way: reversed, shifted, the same one twice. */
static void check_descriptors(void)
{
    struct spawn_request request = request_of(helper_argv);
    struct spawn_descriptor wanted[8];
    unsigned long inodes[5];
    int at[5];

    CHECK(descriptors_open() == 3);
    for (int i = 0; i < 5; i++) {
        at[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        inodes[i] = (unsigned long)socket_inode(at[i]);
        CHECK(at[i] == 3 + i && inodes[i]);
    }
    int leak = fcntl(0, F_DUPFD, 40), high = fcntl(0, F_DUPFD, 1000);
    CHECK(leak == 40 && high == 1000);
    request.descriptors = wanted;

    static const int orders[][5] = {
        {0, 1, 2, 3, 4}, {4, 3, 2, 1, 0}, {1, 2, 3, 4, 0}, {4, 0, 1, 2, 3}, {2, 2, 0, 2, 0},
    };
    for (size_t order = 0; order < COUNT(orders); order++)
        for (size_t count = 1; count <= 5; count++) {
            request.descriptor_count = count;
            for (size_t i = 0; i < count; i++)
                wanted[i] = (struct spawn_descriptor){.fd = at[orders[order][i]], .name = "x"};
            pid_t pid = run(&request);
            CHECK(leaked_none((int)count));
            for (size_t i = 0; i < count; i++)
                CHECK(says("fd %zu %lu kept", 3 + i, inodes[orders[order][i]]));
            CHECK(says("env LISTEN_FDS=%zu", count) && says("env LISTEN_PID=%d", pid));
        }

    /* Where our own pipe comes to lie among the targets. */
    for (int i = 0; i < 5; i++)
        close(at[i]);
    int low = fcntl(0, F_DUPFD_CLOEXEC, 30);
    for (size_t i = 0; i < 8; i++)
        wanted[i] = (struct spawn_descriptor){.fd = low};
    request.descriptor_count = 8;
    run(&request);
    CHECK(leaked_none(8));
    for (int fd = 3; fd < 11; fd++)
        CHECK(says("fd %d %lu kept", fd, inode_of(low)));
    CHECK(lines_with("env ") == 0); /* none had a name */
    close(low);

    wanted[3].fd = 999;
    for (int i = 0; i < 3; i++)
        wanted[i].fd = 0;
    CHECK(fails(&request, EBADF, EXIT_CANNOT_EXEC, "descriptor 999"));
    close(leak);
    close(high);
}

/* At the limit, each with the longest name and address there can be. */
static void check_many_descriptors(void)
{
    static struct spawn_descriptor many[SPAWN_DESCRIPTORS_MAX + 1];
    struct spawn_request request = request_of(helper_argv);
    char name[256];
    int result;

    memset(name, 'n', sizeof name - 1);
    name[255] = '\0';
    for (size_t i = 0; i < COUNT(many); i++)
        many[i] = (struct spawn_descriptor){.fd = 0, .name = name, .address = "udp://[fe80::1%abcdefghijklmno]:65535"};
    request.descriptors = many;
    request.descriptor_count = SPAWN_DESCRIPTORS_MAX;
    run(&request);
    CHECK(leaked_none(SPAWN_DESCRIPTORS_MAX) && says("env LISTEN_FDS=%d", SPAWN_DESCRIPTORS_MAX));
    const char *names = strstr(output, "\nenv LISTEN_FDNAMES=nnn");
    CHECK(names && strcspn(names + 1, "\n") == strlen("env LISTEN_FDNAMES=") + 128 * 256 - 1);

    request.descriptor_count = SPAWN_DESCRIPTORS_MAX + 1;
    CHECK(spawn_process(&request, &result) == -1 && errno == EINVAL);

    request.descriptor_count = 1;
    static const char *const bad[] = {"a:b", "a\nb", "\x7f", "\xC3\xA9"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        many[0].name = bad[i];
        CHECK(fails(&request, EINVAL, EXIT_CANNOT_EXEC, "LISTEN_FDNAMES"));
    }
    char too_long[257];
    memset(too_long, 'n', 256);
    too_long[256] = '\0';
    many[0].name = too_long;
    CHECK(fails(&request, EINVAL, EXIT_CANNOT_EXEC, "LISTEN_FDNAMES"));

    /* One with a name may not follow one without: the numbers would not be those that LISTEN_FDS promises. */
    many[0].name = NULL;
    many[1].name = "x";
    request.descriptor_count = 2;
    CHECK(spawn_process(&request, &result) == -1 && errno == EINVAL);
}

static void check_environment(void)
{
    static char *given[] = {"A=1",
                            "LISTEN_FDS=9",
                            "LISTEN_PID=9",
                            "LISTEN_FDNAMES=nine",
                            "LISTEN_PIDFDID=9",
                            "NOTIFY_SOCKET=/nine",
                            "SERVER_STARTER_PORT=9=9",
                            "LISTEN_FDS",
                            "LISTEN_FDSX=1",
                            "LISTEN_FD=1",
                            "NOTIFY=1",
                            "",
                            "A=2",
                            NULL};
    static const struct spawn_descriptor descriptors[] = {
        {.fd = 0, .name = "web", .address = "tcp://127.0.0.1:8080"},
        {.fd = 0, .name = "", .address = "tcp://[::]:80"},
        {.fd = 0, .name = "file", .address = "unix:///run/a%20b?mode=0660"},
        {.fd = 0, .name = "dns", .address = "udp://0.0.0.0:53"},
        {.fd = 0, .name = "abstract", .address = "unix:@a"},
        {.fd = 0, .name = "odd", .address = "unix:///a=b"},
        {.fd = 0, .name = "odder", .address = "unix:///a;b"},
        {.fd = 0, .name = "none"},
        {.fd = 0},
    };
    struct spawn_request request = request_of(helper_argv);

    request.environment = given;
    run(&request);
    CHECK(says("env A=1\nenv LISTEN_FDSX=1\nenv LISTEN_FD=1\nenv NOTIFY=1\nenv \nenv A=2") && lines_with("env ") == 6);

    request.descriptors = descriptors;
    request.descriptor_count = COUNT(descriptors);
    request.notify_socket = "@notify";
    pid_t pid = run(&request);
    CHECK(lines_with("env ") == 6 + 5);
    CHECK(says("env LISTEN_FDS=8") && says("env LISTEN_PID=%d", pid));
    CHECK(says("env LISTEN_FDNAMES=web::file:dns:abstract:odd:odder:none"));
    CHECK(says("env SERVER_STARTER_PORT=127.0.0.1:8080=3;[::]:80=4;/run/a b=5;0.0.0.0:u53=6"));
    CHECK(says("env NOTIFY_SOCKET=@notify"));
    CHECK(leaked_none(9));

    /* Nothing to say in it: not there. */
    request.descriptors = descriptors + 7;
    request.descriptor_count = 1;
    run(&request);
    CHECK(lines_with("env SERVER_STARTER_PORT") == 0 && says("env LISTEN_FDNAMES=none"));

    static char *many[SPAWN_ENVIRONMENT_MAX + 2];
    for (int i = 0; i <= SPAWN_ENVIRONMENT_MAX; i++)
        many[i] = "X=1";
    request = request_of(helper_argv);
    request.environment = many;
    CHECK(fails(&request, E2BIG, EXIT_CANNOT_EXEC, "4096"));
    many[SPAWN_ENVIRONMENT_MAX] = NULL;
    run(&request);
    CHECK(lines_with("env ") == SPAWN_ENVIRONMENT_MAX);
    request.notify_socket = "/x";
    CHECK(fails(&request, E2BIG, EXIT_CANNOT_EXEC, "4096"));
}

static void check_exec_errors(void)
{
    char *argv[] = {"./subject", NULL};
    struct spawn_request request = request_of(argv);
    struct spawn_request empty = request_of(nothing);
    int result;

    CHECK(spawn_process(&empty, &result) == -1 && errno == EINVAL);
    CHECK(fails(&request, ENOENT, EXIT_NOT_FOUND, "cannot execute ./subject: ENOENT, no such file"));
    write_file("subject", "exit 0\n", 0755);
    CHECK(fails(&request, ENOEXEC, EXIT_CANNOT_EXEC, "ENOEXEC, it is neither a program")); /* and no shell ran it */
    write_file("subject", "#!/no/such/interpreter\n", 0755);
    CHECK(fails(&request, ENOENT, EXIT_NOT_FOUND, "the interpreter of its #! line"));
    write_file("subject", "#!/bin/sh\nexit 0\n", 0644);
    CHECK(fails(&request, EACCES, EXIT_CANNOT_EXEC, "EACCES"));
    write_file("subject", "#!/bin/sh\necho argv $0 $1\n", 0755);
    argv[0] = "not-this";
    request.path = "./subject";
    run(&request);
    CHECK(says("argv ./subject")); /* as the kernel gives it to an interpreter */
    request.path = "";
    CHECK(fails(&request, ENOENT, EXIT_NOT_FOUND, "no such file"));
    request.path = ".";
    CHECK(fails(&request, EACCES, EXIT_CANNOT_EXEC, "EACCES"));
    unlink("subject");

    request = request_of(helper_argv);
    request.directory = "/no/such";
    CHECK(fails(&request, ENOENT, EXIT_CANNOT_EXEC, "cannot enter the directory /no/such: ENOENT"));
    request.directory = "/proc/self/mem";
    CHECK(fails(&request, ENOTDIR, EXIT_CANNOT_EXEC, "ENOTDIR"));
    request.directory = "/";
    run(&request);
    CHECK(says("directory /"));

    /* However long the path is, the sentence has its end. */
    static char long_path[5000];
    memset(long_path, 'x', sizeof long_path - 1);
    request.directory = NULL;
    request.path = long_path;
    CHECK(fails(&request, ENOENT, EXIT_NOT_FOUND, "ENOENT, no such file"));
    request.path = memcpy(long_path, "./", 2);
    CHECK(fails(&request, ENAMETOOLONG, EXIT_CANNOT_EXEC, "ENAMETOOLONG"));
}

static void check_search(void)
{
    char *argv[] = {"subject", NULL};
    char *environment[] = {"Q=1", "PATH=none:file/x:one:two:three", NULL};
    struct spawn_request request = request_of(argv);

    request.environment = environment;
    CHECK(!mkdir("one", 0755) && !mkdir("two", 0755) && !mkdir("three", 0755));
    write_file("file", "", 0644);
    CHECK(fails(&request, ENOENT, EXIT_NOT_FOUND, "cannot execute subject: ENOENT, no such file"));
    write_file("one/subject", "", 0644);
    CHECK(fails(&request, EACCES, EXIT_CANNOT_EXEC, "cannot execute subject: EACCES"));
    write_file("three/subject", "#!/bin/sh\necho three\n", 0755);
    run(&request);
    CHECK(says("three"));
    write_file("two/subject", "#!/bin/sh\necho two\n", 0755);
    run(&request);
    CHECK(says("two"));
    /* What cannot be run stops the search; it is not passed over in silence. */
    write_file("one/subject", "plain\n", 0755);
    CHECK(fails(&request, ENOEXEC, EXIT_CANNOT_EXEC, "ENOEXEC"));
    write_file("subject", "#!/bin/sh\necho here\n", 0755);
    static char *const here[] = {"PATH=:two", "PATH=none::two", "PATH=none:", "PATH="};
    for (size_t i = 0; i < COUNT(here); i++) {
        environment[1] = here[i];
        run(&request);
        CHECK(says("here"));
    }
    /* The first PATH counts, as for getenv(3); ours does not count at all. */
    environment[0] = "PATH=three";
    run(&request);
    CHECK(says("three"));
    environment[0] = NULL;
    setenv("PATH", "three", 1);
    CHECK(fails(&request, ENOENT, EXIT_NOT_FOUND, "no such file"));
    char *shell[] = {"sh", "-c", "echo default", NULL};
    request.argv = shell;
    run(&request);
    CHECK(says("default"));

    static const char *const files[] = {"one/subject", "two/subject", "three/subject", "subject", "file"};
    for (size_t i = 0; i < COUNT(files); i++)
        unlink(files[i]);
    rmdir("one");
    rmdir("two");
    rmdir("three");
}

/* A writer that lets go after the first try: seen by the close of the file that the failed exec had opened. */
static void check_busy(void)
{
    char *argv[] = {"./busy", NULL};
    struct spawn_request request = request_of(argv);
    struct spawn_failure none;
    int result, status;
    char event[4096];

    write_file("busy", "#!/bin/sh\nexit 7\n", 0755);
    int writer = open("busy", O_WRONLY | O_CLOEXEC);
    CHECK(fails(&request, ETXTBSY, EXIT_CANNOT_EXEC, "ETXTBSY, it is still open for writing"));

    int watch = inotify_init1(IN_CLOEXEC);
    CHECK(inotify_add_watch(watch, "busy", IN_CLOSE_NOWRITE) >= 0);
    pid_t pid = spawn_process(&request, &result);
    CHECK(pid > 0 && read(watch, event, sizeof event) > 0);
    close(writer);
    enum spawn_state state;
    while ((state = spawn_poll(result, &none)) == SPAWN_PENDING)
        poll(&(struct pollfd){.fd = result, .events = POLLIN}, 1, -1);
    CHECK(state == SPAWN_EXECUTING);
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 7);
    close(result);
    close(watch);
    unlink("busy");
}

static void check_poll(void)
{
    struct spawn_failure told = {.error = EIO, .text = "words"}, read_back;
    int ends[2];

    CHECK(!pipe2(ends, O_CLOEXEC | O_NONBLOCK));
    CHECK(spawn_poll(ends[0], &read_back) == SPAWN_PENDING);
    CHECK(write(ends[1], &told, sizeof told) == sizeof told);
    CHECK(spawn_poll(ends[0], &read_back) == SPAWN_FAILED);
    CHECK(read_back.error == EIO && !strcmp(read_back.text, "words"));
    CHECK(spawn_poll(ends[0], &read_back) == SPAWN_PENDING);
    close(ends[1]);
    CHECK(spawn_poll(ends[0], &read_back) == SPAWN_EXECUTING);
    close(ends[0]);
}

static void without_descriptors(void)
{
    struct spawn_request request = request_of(helper_argv);
    struct rlimit limit;
    int result = -7, before = descriptors_open();

    CHECK(!getrlimit(RLIMIT_NOFILE, &limit));
    limit.rlim_cur = 4;
    CHECK(!setrlimit(RLIMIT_NOFILE, &limit));
    errno = 0;
    CHECK(spawn_process(&request, &result) == -1 && errno == EMFILE && result == -7);
    CHECK(descriptors_open() == before);
    /* Room for the pipe, but not for what the child needs. */
    limit.rlim_cur = 5;
    CHECK(!setrlimit(RLIMIT_NOFILE, &limit));
    struct spawn_descriptor descriptors[] = {{.fd = 0}, {.fd = 0}};
    request.descriptors = descriptors;
    request.descriptor_count = COUNT(descriptors);
    pid_t pid = spawn_process(&request, &result);
    CHECK(pid > 0);
    if (pid < 0)
        return;
    poll(&(struct pollfd){.fd = result, .events = POLLIN}, 1, -1);
    CHECK(spawn_poll(result, &failure) == SPAWN_FAILED && failure.error == EINVAL);
    CHECK(strstr(failure.text, "make room"));
    CHECK(waitpid(pid, NULL, 0) == pid);
    close(result);
    CHECK(descriptors_open() == before);
}

static void without_processes(void)
{
    struct spawn_request request = request_of(helper_argv);
    struct rlimit limit = {0, 0};
    int result = -7, before = descriptors_open();

    CHECK(!setrlimit(RLIMIT_NPROC, &limit));
    CHECK(geteuid() || !setuid(NOBODY - 1)); /* root may exceed the limit */
    errno = 0;
    CHECK(spawn_process(&request, &result) == -1 && errno == EAGAIN && result == -7);
    CHECK(descriptors_open() == before);
}

/* A child that was killed before its exec did not fail to execute: its exit status says what happened. */
static void check_killed(void)
{
    char *argv[] = {"./busy", NULL};
    struct spawn_request request = request_of(argv);
    int result, status;

    write_file("busy", "#!/bin/sh\n", 0755);
    int writer = open("busy", O_WRONLY | O_CLOEXEC);
    pid_t pid = spawn_process(&request, &result);
    CHECK(pid > 0 && !kill(pid, SIGKILL));
    CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    CHECK(spawn_poll(result, &failure) == SPAWN_EXECUTING);
    close(result);
    close(writer);
    unlink("busy");
}

/* Linux before 5.9 has no close_range(2), and old seccomp profiles know none. */
static void forbid_close_range(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_close_range, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = COUNT(code), .filter = code};

    CHECK(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    CHECK(!prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
    CHECK(syscall(SYS_close_range, 1500u, 1500u, 0) == -1 && errno == EPERM);
}

static void close_one_by_one(void)
{
    struct spawn_request request = request_of(helper_argv);
    struct spawn_descriptor descriptor = {.fd = 0, .name = "x"};

    forbid_close_range();
    request.descriptors = &descriptor;
    request.descriptor_count = 1;
    /* More than one call of getdents64(2) lists. */
    for (int fd = 6; fd < 300; fd++)
        CHECK(dup2(0, fd) == fd);
    CHECK(dup2(0, 1900) == 1900);
    run(&request);
    CHECK(leaked_none(1) && says("fd 3 %lu kept", inode_of(0)));
}

static void close_one_by_one_without_proc(void)
{
    if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
        mount("none", "/proc", "tmpfs", 0, NULL)) {
        fprintf(stderr, "skipped, no mount namespace: descriptors without /proc\n");
        CHECK(true);
        return;
    }
    CHECK(access("/proc/self/fd", F_OK) && errno == ENOENT);
    /* AddressSanitizer complains that it cannot read its own maps; a failure shows in the exit code. */
    int null = open("/dev/null", O_WRONLY);
    CHECK(dup2(null, STDERR_FILENO) >= 0 && !close(null));
    close_one_by_one();
}

/* What differs for a PID 1 that is root. */
static void check_identity_as_root(void)
{
    struct spawn_request request = request_of(helper_argv);
    struct identity who = {.uid = 1234, .gid = 5678, .group_count = 2, .groups = {7, 9}, .home = "/x"};

    request.identity = &who;
    request.directory = "/";
    run(&request);
    CHECK(says("uid 1234 1234 1234") && says("gid 5678 5678 5678") && says("groups 7 9") && lines_with("env ") == 0);
    who.group_count = 0;
    run(&request);
    CHECK(says("groups"));

    /* The directory is entered with the rights of the program, not with ours. */
    CHECK(!mkdir("private", 0700));
    request.directory = "private";
    CHECK(fails(&request, EACCES, EXIT_CANNOT_EXEC, "cannot enter the directory private: EACCES"));
    CHECK(!chown("private", 1234, 0));
    run(&request);
    rmdir("private");
}

/* What differs for one that is not: it may start programs as itself, and says so when asked for more. */
static void check_identity_as_user(void)
{
    struct spawn_request request = request_of(helper_argv);
    struct identity who = {.uid = getuid(), .gid = getgid(), .group_count = 1, .groups = {7}};

    request.identity = &who;
    run(&request);
    CHECK(says("uid %u %u %u", getuid(), getuid(), getuid()) && says("gid %u %u %u", getgid(), getgid(), getgid()));
    who.uid++;
    CHECK(fails(&request, EPERM, EXIT_CANNOT_EXEC, "EPERM, it takes CAP_SETGID"));
    who.uid--;
    who.gid++;
    CHECK(fails(&request, EPERM, EXIT_CANNOT_EXEC, "EPERM"));
}

static void check_everyones(void)
{
    check_basics();
    check_descriptors();
    check_many_descriptors();
    check_environment();
    check_exec_errors();
    check_search();
    check_busy();
    check_poll();
    check_killed();
    apart(check_signals);
    apart(without_descriptors);
    apart(without_processes);
    apart(close_one_by_one);
    CHECK(descriptors_open() == 3); /* nothing was left open by all of this */
}

static void as_nobody(void)
{
    CHECK(!setgroups(0, NULL) && !setresgid(NOBODY, NOBODY, NOBODY) && !setresuid(NOBODY, NOBODY, NOBODY));
    check_everyones();
    check_identity_as_user();
}

static bool copy_self(void)
{
    static char bytes[1 << 16];
    ssize_t n = -1;
    int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    int to = open(helper, O_CREAT | O_WRONLY | O_CLOEXEC, 0755);

    while (from >= 0 && to >= 0 && (n = read(from, bytes, sizeof bytes)) > 0 && write(to, bytes, (size_t)n) == n)
        ;
    return !n && !fchmod(to, 0755) && !close(to) && !close(from);
}

int main(int argc, char **argv)
{
    char directory[] = "/tmp/baton-spawn-XXXXXX";

    if (!strcmp(argv[0], "helper"))
        return helper_main(argc, argv);
    /* Whatever the runner left open is none of this test's business. */
    syscall(SYS_close_range, 3u, ~0u, 0);
    if (!mkdtemp(directory) || chdir(directory) || chmod(directory, 0777))
        return 1;
    snprintf(helper, sizeof helper, "%s/helper", directory);
    if (!copy_self())
        return 1;

    check_everyones();
    if (geteuid()) {
        check_identity_as_user();
    } else {
        check_identity_as_root();
        apart(close_one_by_one_without_proc);
        apart(as_nobody);
    }
    unlink(helper);
    CHECK(!rmdir(directory));
    return check_report();
}
