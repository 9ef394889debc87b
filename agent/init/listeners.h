/* The sockets that are held for the service, by name. */
#ifndef BATON_LISTENERS_H
#define BATON_LISTENERS_H

#include "processes.h"
#include "sockets.h"

enum { LISTENERS_MAX = 64 };

struct listener {
    char name[NAME_SIZE]; /* empty: the slot is free */
    char asked[ADDRESS_TEXT_SIZE], bound[ADDRESS_TEXT_SIZE];
    int fd;
    int backlog;
    bool revivable; /* see listener_revive */
};

/* The held socket after `after`, or the first one after NULL; NULL after the last. */
struct listener *listener_next(const struct listener *after);
#define FOR_EACH_LISTENER(listener) for (struct listener *listener = NULL; (listener = listener_next(listener));)

struct listener *listener_find(const char *name);

/* Opens and holds one, or returns the one of the same name and address. NULL with errno; *why says more. */
struct listener *listener_open(const char *name, const char *address, int backlog, const char **why);

void listener_close(struct listener *listener);

/* Listens again on a TCP socket that a program has shut down, which it did for every holder: shutdown(2) is of the socket,
 * not of the descriptor. What waited in its queue was reset by the kernel; what comes from now on is not. Not for a port that the
 * kernel chose: shutdown(2) frees it, and the next would be another (net/ipv4/tcp.c, tcp_disconnect). */
void listener_revive(struct listener *listener);

#endif
