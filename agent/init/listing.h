/* The numbers in a directory of /proc: processes, threads, descriptors. readdir(3) without its allocation. */
#ifndef BATON_LISTING_H
#define BATON_LISTING_H

#include <stdbool.h>

struct listing {
    int fd;
    long length, next;
    _Alignas(8) char buffer[4096];
};

/* `path` from the descriptor `directory`, or AT_FDCWD: openat(2). False with errno. */
bool listing_open(struct listing *listing, int directory, const char *path);

/* The next name that is a number, or NULL at the end, and then the listing is closed. */
const char *listing_next(struct listing *listing);

#endif
