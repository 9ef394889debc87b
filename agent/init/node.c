#include "node.h"
#include "roles.h"
#include "signals.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

enum { ARGUMENTS_MAX = 1024, ENVIRONMENT_MAX = 4096, RENAMED_SIZE = 64 * 1024 };

static char node[PATH_MAX], agent[PATH_MAX];

/* The agent shares the container's memory limit with the program, and has little to compute: a small heap, and neither
 * threads nor optimising compilers, which cost 4 MB of resident memory. */
static char *const node_flags[] = {"--max-old-space-size=64", "--max-semi-space-size=1", "--v8-pool-size=0",
                                   "--single-threaded",       "--no-opt",                "--no-maglev"};

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

bool node_find(void)
{
    char self[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - sizeof "agent.mjs");
    if (length < 0) {
        say("cannot find the agent: /proc/self/exe: %s; mount /proc", errno_name(errno));
        return false;
    }
    self[length] = 0;
    char *name = strrchr(self, '/') + 1;
    strcpy(name, "agent.mjs");
    memcpy(agent, self, sizeof agent);
    if (access(agent, R_OK)) {
        say("cannot read the agent, %s: %s; it belongs beside this binary", agent, errno_name(errno));
        return false;
    }

    const char *told = getenv("BATON_NODE");
    if (told && *told) {
        snprintf(node, sizeof node, "%s", told);
        if (executable(node))
            return true;
        say("cannot execute BATON_NODE=%s: %s", told, errno_name(errno));
        return false;
    }
    strcpy(name, "node");
    memcpy(node, self, sizeof node);
    if (executable(node) || find_on_path())
        return true;
    *name = 0;
    say("found no Node.js: put `node` beside this binary in %s or on PATH, or set BATON_NODE", self);
    return false;
}

static char **agent_environment(void)
{
    static char *environment[ENVIRONMENT_MAX + 1];
    static char renamed[RENAMED_SIZE];
    size_t count = 0, used = 0;

    for (char **entry = environ; *entry && count < ENVIRONMENT_MAX; entry++) {
        environment[count++] = *entry;
        if (strncmp(*entry, "NODE_", 5))
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
    static char *command[ARGUMENTS_MAX + COUNT(node_flags) + 3];
    size_t count = 0;

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
    execve(node, command, agent_environment());
    say("cannot execute %s: %s", node, errno_name(errno));
    return errno == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_EXEC;
}

int agent_main(int argc, char **argv)
{
    (void)argc;
    if (!node_find())
        return EXIT_NOT_FOUND;
    signals_reset();
    return node_exec(argv);
}
