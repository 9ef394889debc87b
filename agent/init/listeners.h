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
};

extern struct listener listeners[LISTENERS_MAX];

struct listener *listener_find(const char *name);

/* Opens and holds one, or returns the one of the same name and address. NULL with errno; *why says more. */
struct listener *listener_open(const char *name, const char *address, int backlog, const char **why);

void listener_close(struct listener *listener);

#endif
