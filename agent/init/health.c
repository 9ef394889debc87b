#include "health.h"
#include "signals.h"
#include "sockets.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PAUSE_MS = 200 };

static char asked[ADDRESS_TEXT_SIZE], opened[ADDRESS_TEXT_SIZE]; /* as asked for, normalised; with the port chosen */
static int listener = -1, pages_fd = -1;
static pid_t responder;
static int64_t started, start_at;

static void start(int64_t now)
{
    start_at = 0;
    started = now;
    responder = fork();
    if (responder < 0) {
        say("health responder: fork: %s; trying again", errno_name(errno));
        responder = 0;
        start_at = now + PAUSE_MS;
    }
    if (responder)
        return;

    /* Both are moved out of the way first: each may stand where the other belongs. All else is CLOEXEC. */
    int socket = fcntl(listener, F_DUPFD_CLOEXEC, 10), memory = fcntl(pages_fd, F_DUPFD_CLOEXEC, 10);
    if (dup2(socket, 3) == 3 && dup2(memory, 4) == 4)
        /* Without the environment: it may hold secrets, and this process talks to the network. */
        execle("/proc/self/exe", "baton", "health-responder", (char *)NULL, (char *[]){NULL});
    say("health responder: %s", errno_name(errno));
    _exit(EXIT_CANNOT_EXEC);
}

static void stop(void)
{
    if (listener < 0)
        return;
    close(listener);
    listener = -1;
    start_at = 0;
    if (responder)
        kill(responder, SIGKILL);
    responder = 0;
}

bool health_open(const char *address, int pages, char *bound, size_t size, const char **why)
{
    if (!strcmp(address, "off")) {
        stop();
        *asked = 0;
        snprintf(bound, size, "off");
        return true;
    }
    struct address parsed;
    char normal[ADDRESS_TEXT_SIZE];
    if (!address_parse(address, &parsed, why))
        return false;
    address_format(&parsed, normal, sizeof normal);
    if (listener < 0 || strcmp(asked, normal)) {
        char at[ADDRESS_TEXT_SIZE];
        int fd = socket_open(normal, &(struct socket_options){.backlog = 128}, at, sizeof at, why);
        if (fd < 0)
            return false;
        stop();
        listener = fd;
        pages_fd = pages;
        memcpy(asked, normal, sizeof asked);
        memcpy(opened, at, sizeof opened);
        start(now_ms());
    }
    snprintf(bound, size, "%s", opened);
    return true;
}

bool health_reaped(pid_t pid, int64_t now)
{
    if (!responder || pid != responder)
        return false;
    responder = 0;
    if (now - started >= PAUSE_MS)
        start(now);
    else
        start_at = started + PAUSE_MS;
    return true;
}

int64_t health_tick(int64_t now)
{
    if (start_at && start_at <= now)
        start(now);
    return start_at;
}
