/* PID 1's own log lines, where nobody reads them. */
#include "base.h"

#include "check.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { LINES = 50 };

static char unread[1 << 20];

static int64_t time_of(int lines)
{
    int64_t began = now_ms();
    for (int i = 0; i < lines; i++)
        say("line %d", i);
    return now_ms() - began;
}

int main(void)
{
    int ends[2], terminal = dup(STDERR_FILENO);

    if (pipe(ends) || fcntl(ends[0], F_SETFL, O_NONBLOCK) || fcntl(ends[1], F_SETFL, O_NONBLOCK))
        return 1;
    dup2(ends[1], STDERR_FILENO);
    while (write(STDERR_FILENO, unread, sizeof unread) > 0)
        continue;
    int64_t first = time_of(1), further = time_of(LINES);
    while (read(ends[0], unread, sizeof unread) > 0)
        continue;
    say("read again");
    ssize_t length = read(ends[0], unread, sizeof unread - 1);
    unread[length > 0 ? length : 0] = 0;
    dup2(terminal, STDERR_FILENO);

    /* A reader that is slow is given some time, and one that has stopped costs that time once. */
    CHECK(first > 0);
    CHECK(further < first * LINES / 2);
    CHECK(length > 0 && !strcmp(unread, "baton: read again\n"));
    return check_report();
}
