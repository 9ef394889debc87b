#include "termination.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    FILE_MAX = 4096, /* MaxContainerTerminationMessageLength in kubernetes/pkg/kubelet/container */
    LINE_SIZE = 1024,
};

static const char path[] = "/dev/termination-log";

static void append(const char *text)
{
    char line[LINE_SIZE + 1];
    struct stat stat;
    int error = errno;

    /* O_NONBLOCK: whatever somebody has put there instead of a file must not hold PID 1 up. */
    int fd = open(path, O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd >= 0) {
        int length = snprintf(line, sizeof line, "%s\n", text);
        if (!fstat(fd, &stat) && S_ISREG(stat.st_mode) && stat.st_size + length <= FILE_MAX) {
            ssize_t ignored = write(fd, line, (size_t)length);
            (void)ignored;
        }
        close(fd);
    }
    errno = error;
}

void termination_write(const char *format, ...)
{
    char line[LINE_SIZE];
    va_list args;

    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    append(line);
}

void termination_say(const char *format, ...)
{
    char line[LINE_SIZE];
    va_list args;

    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    say("%s", line);
    append(line);
}
