/* The control socket: accepts, checks the peer, reads one request, and passes the agent's replies on. It answers
 * `page PATH` itself. One request a connection; a fixed table of them, so that nobody can make PID 1 grow. */
#ifndef BATON_CONTROL_H
#define BATON_CONTROL_H

#include "base.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { CONTROL_CONNECTIONS = 16, CONTROL_POLLS = CONTROL_CONNECTIONS + 2 };

/* "@baton/<inode of the mount namespace>", which the client computes for itself: no file is needed, and containers that
 * share a network namespace, where abstract addresses live, do not collide. */
const char *control_default_address(void);

/* The socket address of a path, or of the default address for NULL or "". False with ENAMETOOLONG. */
bool control_address(const char *path, struct sockaddr_un *at, socklen_t *size);

/* The first call: `pages` answers `page PATH`. */
void control_begin(const void *pages);

/* Opens the default address (NULL or ""), or a socket file (0600) beside it, in place of one that was opened before. False
 * with errno; *why says more. */
bool control_open(const char *path, const char **why);

/* The descriptors to wait for; at most CONTROL_POLLS. Returns how many. */
size_t control_polls(struct pollfd *polls);

/* Serves whatever can be served without blocking. */
void control_serve(void);

/* Closes connections whose time to send a request is over; when the next one is due (ms, CLOCK_MONOTONIC; 0: none). */
int64_t control_expire(int64_t now);

/* Passes a reply on to whoever made the request; false when nobody waits for it (it left). */
bool control_reply(uint64_t request, bool last, const char *code, const char *text);

#endif
