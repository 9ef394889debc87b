#include "listeners.h"

#include <string.h>
#include <unistd.h>

static struct listener listeners[LISTENERS_MAX];
static size_t used; /* slots that were ever taken */

struct listener *listener_next(const struct listener *after)
{
    for (size_t i = after ? (size_t)(after - listeners) + 1 : 0; i < used; i++)
        if (*listeners[i].name)
            return &listeners[i];
    return NULL;
}

struct listener *listener_find(const char *name)
{
    FOR_EACH_LISTENER(listener)
        if (!strcmp(listener->name, name))
            return listener;
    return NULL;
}

static struct listener *refuse(int error, const char *text, const char **why)
{
    errno = error;
    *why = text;
    return NULL;
}

/* It becomes part of LISTEN_FDNAMES, whose separator is ':' (sd_listen_fds(3)), and of `spawn`, whose is ','. */
static bool is_name(const char *name)
{
    size_t length = 0;

    for (; name[length]; length++)
        if (name[length] < ' ' || name[length] > '~' || name[length] == ':' || name[length] == ',')
            return false;
    return length && length < NAME_SIZE;
}

struct listener *listener_open(const char *name, const char *address, int backlog, const char **why)
{
    struct listener *listener = listener_find(name);
    if (listener && strcmp(listener->asked, address))
        return refuse(EEXIST, "another address is held under this name", why);
    if (listener)
        return listener;
    if (!is_name(name))
        return refuse(EINVAL, "a name has 1 to 64 printable ASCII characters, no colon and no comma", why);
    if (strlen(address) >= ADDRESS_TEXT_SIZE)
        return refuse(ENAMETOOLONG, "the address is too long", why);
    for (listener = listeners; listener < listeners + used && *listener->name;)
        listener++;
    if (listener == listeners + LISTENERS_MAX)
        return refuse(ENFILE, "64 sockets are held already", why);

    const struct socket_options options = {.backlog = backlog};
    int fd = socket_open(address, &options, listener->bound, sizeof listener->bound, why);
    if (fd < 0)
        return NULL;
    if (listener == listeners + used)
        used++;
    listener->fd = fd;
    listener->backlog = backlog;
    size_t length = strlen(address);
    listener->revivable = !strncmp(address, "tcp:", 4) && !(length >= 2 && !strcmp(address + length - 2, ":0"));
    strcpy(listener->name, name);
    strcpy(listener->asked, address);
    return listener;
}

void listener_close(struct listener *listener)
{
    close(listener->fd);
    *listener->name = 0;
}

void listener_revive(struct listener *listener)
{
    if (socket_listening(listener->fd))
        return;
    if (listen(listener->fd, listener->backlog)) {
        listener->revivable = false; /* or poll would report it without end */
        say("%s was shut down by the program, and cannot listen again: %s", listener->bound, errno_name(errno));
    } else
        say("%s was shut down by the program (shutdown(2) ends it for everybody, close(2) would not): listening again",
            listener->bound);
}
