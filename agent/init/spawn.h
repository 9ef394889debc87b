/* Starts a program: all that belongs between fork(2) and execve(2). */
#ifndef BATON_SPAWN_H
#define BATON_SPAWN_H

#include "base.h"
#include "users.h"

enum {
    SPAWN_FIRST_FD = 3,           /* SD_LISTEN_FDS_START: sd_listen_fds(3) */
    SPAWN_DESCRIPTORS_MAX = 128,  /* of one program */
    SPAWN_ENVIRONMENT_MAX = 4096, /* entries, ours included */
};

struct spawn_descriptor {
    int fd;              /* in this process; the same one may be given twice */
    const char *name;    /* for LISTEN_FDNAMES: up to 255 printable ASCII characters but ':'. NULL = not announced */
    const char *address; /* for SERVER_STARTER_PORT, as socket_open's `bound`; NULL = not announced there */
};

/* All of it is only read, and only until spawn_process returns. */
struct spawn_request {
    const char *path;         /* the file to execute, NULL = argv[0]. Without a slash: searched in the program's PATH */
    char *const *argv;        /* ends with NULL; at least one */
    char *const *environment; /* ends with NULL; complete: nothing of PID 1's own is added but what is said below */
    const struct spawn_descriptor *descriptors; /* become 3, 4, … in this order; those without a name come last */
    size_t descriptor_count;
    const char *notify_socket;       /* for NOTIFY_SOCKET; NULL = not set */
    const char *directory;           /* entered as the program's user; NULL = PID 1's own */
    const struct identity *identity; /* NULL = PID 1's own */
};

struct spawn_failure {
    int error;      /* an errno */
    char text[508]; /* a sentence without its full stop: "cannot enter the directory /x: ENOENT" */
};

/* How far a child has come. */
enum spawn_state {
    SPAWN_PENDING,   /* between fork and exec: poll the descriptor for POLLIN */
    SPAWN_EXECUTING, /* exec succeeded (or the child was killed before it: its exit status then says so) */
    SPAWN_FAILED,    /* the child exits with 126, or 127 where the program was not found, as in a shell */
};

/* Starts it in a session and process group of its own. stdin, stdout, stderr and the umask are handed down, the signal
 * mask is emptied, every disposition is the default, and every descriptor that is not in the request is closed.
 *
 * LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES (sd_listen_fds(3)), NOTIFY_SOCKET (sd_notify(3)) and SERVER_STARTER_PORT
 * (Perl's Server::Starter: "host:port=fd;path=fd") replace what the environment has under these names; all but
 * NOTIFY_SOCKET are absent when nothing is announced.
 *
 * A PID 1 without privileges can start programs as itself only; they then keep its supplementary groups, whatever the
 * identity says.
 *
 * The group exists once the exec is done: until then signal the process alone.
 *
 * Returns the pid at once, and in *result_fd a nonblocking CLOEXEC descriptor for spawn_poll: the child may hang before
 * its exec (a dead NFS server), and PID 1 must not hang with it. -1 with errno, and no descriptor left open, when there
 * is no child: EAGAIN, ENOMEM (fork(2)), EMFILE, ENFILE (pipe(2)), EINVAL (no argv, too many descriptors, or one with a
 * name after one without). */
pid_t spawn_process(const struct spawn_request *request, int *result_fd);

/* How the exec went. The caller closes `result_fd` when it is no longer pending. */
enum spawn_state spawn_poll(int result_fd, struct spawn_failure *failure);

#endif
