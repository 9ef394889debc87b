#include "node.h"
#include "roles.h"
#include "signals.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

enum { ARGUMENTS_MAX = 1024, ENVIRONMENT_MAX = 4096, RENAMED_SIZE = 64 * 1024 };

/* The dynamic loader beside the Node of our image, as glibc calls it; none where no image is built. */
#if defined(__x86_64__)
static const char loader_file[] = "lib/ld-linux-x86-64.so.2";
#elif defined(__aarch64__)
static const char loader_file[] = "lib/ld-linux-aarch64.so.1";
#else
static const char loader_file[] = "";
#endif

static char node[PATH_MAX], agent[PATH_MAX];
static char libraries[PATH_MAX], loader[PATH_MAX]; /* both empty where Node is started as it is */

/* ld.so(8): our libraries, and nothing of what the image says about its own. */
static char *const loader_flags[] = {"--library-path", libraries, "--inhibit-cache"};

/* The agent shares the container's memory limit with the program, and has little to compute: a small heap, and neither
 * threads nor optimising compilers, which cost 4 MB of resident memory. The image's openssl.cnf is not for it: Node
 * ends at a mistake in there, or at an engine that it cannot load. */
static char *const node_flags[] = {"--max-old-space-size=64", "--max-semi-space-size=1", "--v8-pool-size=0",
                                   "--single-threaded",       "--no-opt",                "--no-maglev",
                                   "--openssl-config=/dev/null"};

/* Variables that an image sets for its program and that would change the agent or break it: settings of Node, libuv and
 * OpenSSL, and of glibc's memory. SSL_CERT_FILE and its like are not among them: they change nothing here. */
static const char *const settings[] = {"NODE_", "UV_", "OPENSSL_", "GLIBC_TUNABLES=", "MALLOC_"};

static bool executable(const char *path)
{
    return !access(path, X_OK);
}

static bool find_on_path(void)
{
    const char *path = getenv("PATH");
    if (!path)
        path = DEFAULT_PATH;
    for (size_t length; *path; path += length + (path[length] == ':')) {
        length = strcspn(path, ":");
        int n = snprintf(node, sizeof node, "%.*s/node", (int)length, path);
        if (length && n > 0 && (size_t)n < sizeof node && executable(node))
            return true;
    }
    return false;
}

static const char *because(const char *format, ...) __attribute__((format(printf, 1, 2)));

static const char *because(const char *format, ...)
{
    static char sentence[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    return sentence;
}

/* Where a file in the directory of this binary is; false when the path is too long. */
static bool beside(char *path, const char *directory, const char *file)
{
    int n = snprintf(path, PATH_MAX, "%s%s", directory, file);
    return n > 0 && n < PATH_MAX;
}

const char *node_find(void)
{
    char self[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    if (length < 0)
        return because("cannot find the agent: /proc/self/exe: %s; mount /proc", errno_name(errno));
    self[length] = 0;
    strrchr(self, '/')[1] = 0;
    if (!beside(agent, self, "agent.mjs") || !beside(node, self, "node") || !beside(libraries, self, "lib") ||
        !beside(loader, self, loader_file))
        return because("cannot find the agent: the path of this binary is too long: %s", self);
    if (access(agent, R_OK))
        return because("cannot read the agent, %s: %s; it belongs beside this binary", agent, errno_name(errno));

    const char *told = getenv("BATON_NODE");
    bool chosen = told && *told;
    if (!chosen && *loader_file && executable(node) && executable(loader))
        return NULL;
    *loader = *libraries = 0;
    if (chosen) {
        snprintf(node, sizeof node, "%s", told);
        return executable(node) ? NULL : because("cannot execute BATON_NODE=%s: %s", told, errno_name(errno));
    }
    if (executable(node) || find_on_path())
        return NULL;
    return because("found no Node.js: put `node` beside this binary in %s or on PATH, or set BATON_NODE", self);
}

/* Our own loader is told of no LD_PRELOAD, as the image's libraries may be for another libc; a Node of the image's may
 * need the image's LD_LIBRARY_PATH. */
static bool is_for_program(const char *entry)
{
    for (size_t i = 0; i < COUNT(settings); i++)
        if (!strncmp(entry, settings[i], strlen(settings[i])))
            return true;
    return *loader && !strncmp(entry, "LD_", 3);
}

static char **agent_environment(void)
{
    static char *environment[ENVIRONMENT_MAX + 1];
    static char renamed[RENAMED_SIZE];
    size_t count = 0, used = 0;

    for (char **entry = environ; *entry && count < ENVIRONMENT_MAX; entry++) {
        environment[count++] = *entry;
        if (!is_for_program(*entry))
            continue;
        size_t room = sizeof renamed - used;
        int n = snprintf(renamed + used, room, "BATON_PROGRAM_%s", *entry);
        if (n < 0 || (size_t)n >= room) {
            count--;
            continue;
        }
        environment[count - 1] = renamed + used;
        used += (size_t)n + 1;
    }
    environment[count] = NULL;
    return environment;
}

int node_exec(char **argv)
{
    static char *command[ARGUMENTS_MAX + COUNT(loader_flags) + COUNT(node_flags) + 4];
    char *file = *loader ? loader : node;
    size_t count = 0;

    command[count++] = node; /* which is what ps(1) shows, and no reader of it looks for a loader */
    for (size_t i = 0; *loader && i < COUNT(loader_flags); i++)
        command[count++] = loader_flags[i];
    if (*loader)
        command[count++] = node;
    for (size_t i = 0; i < COUNT(node_flags); i++)
        command[count++] = node_flags[i];
    command[count++] = agent;
    for (size_t i = 1; argv[0] && argv[i]; i++) {
        if (i > ARGUMENTS_MAX) {
            say("more than %d arguments", ARGUMENTS_MAX);
            return EXIT_CONFIG;
        }
        command[count++] = argv[i];
    }
    command[count] = NULL;
    execve(file, command, agent_environment());
    say("cannot execute %s: %s", file, errno_name(errno));
    return errno == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_EXEC;
}

int agent_main(int argc, char **argv)
{
    (void)argc;
    const char *missing = node_find();
    if (missing) {
        say("%s", missing);
        return EXIT_NOT_FOUND;
    }
    signals_reset();
    return node_exec(argv);
}
