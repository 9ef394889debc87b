#include "exec.h"

#include "base.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void try_file(char *file, char **argv)
{
    static char shell[] = "/bin/sh";
    char *name = argv[0];

    execve(file, argv, environ);
    if (errno != ENOEXEC)
        return;
    argv[-1] = shell;
    argv[0] = file;
    execve(shell, argv - 1, environ);
    argv[0] = name;
    errno = ENOEXEC;
}

void exec_command(char **argv)
{
    static char file[PATH_MAX];
    size_t name_length = strlen(argv[0]);
    bool refused = false;

    if (strchr(argv[0], '/')) {
        try_file(argv[0], argv);
        return;
    }
    const char *path = getenv("PATH");
    if (!path)
        path = "/bin:/usr/bin"; /* what glibc's confstr(_CS_PATH) says */
    for (size_t length;; path += length + 1) {
        length = strcspn(path, ":");
        /* An empty entry is the working directory. */
        if (name_length && length + 1 + name_length < sizeof file) {
            memcpy(file, path, length);
            file[length] = '/';
            memcpy(file + length + (length > 0), argv[0], name_length + 1);
            try_file(file, argv);
            if (errno == EACCES)
                refused = true;
            else if (errno != ENOENT && errno != ENOTDIR && errno != ESTALE && errno != ENODEV && errno != ETIMEDOUT)
                return;
        }
        if (!path[length])
            break;
    }
    errno = refused ? EACCES : ENOENT;
}
