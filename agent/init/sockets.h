/* The sockets that PID 1 opens and holds for the service, and the addresses that people write for them:
 *
 *   tcp://HOST:PORT, udp://HOST:PORT   HOST: an IPv4 address, an IPv6 address in brackets (with a %zone where it is
 *                                      link-local), `localhost` (127.0.0.1), or nothing or `*`: every address of the
 *                                      machine, IPv4 and IPv6. PORT: 0..65535; 0 = one that the kernel chooses.
 *   unix:///PATH?mode=0660             a stream socket; the path may be percent-encoded, mode is octal
 *   unix:@NAME                         a stream socket with an abstract name, percent-encoded likewise
 *
 * No name is ever looked up: a resolver can block, needs files that a `FROM scratch` image lacks, and answers
 * differently from one start to the next. `[::]` takes IPv4 too, as in Go, Node and systemd, whatever the
 * sysctl bindv6only says; `*` differs from it only in that 0.0.0.0 is used where the kernel has no IPv6. */
#ifndef BATON_SOCKETS_H
#define BATON_SOCKETS_H

#include "base.h"

#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

enum {
    SOCKET_BACKLOG = 4096, /* asked for by default; net.core.somaxconn caps it: listen(2) */
    ADDRESS_TEXT_SIZE = 512, /* holds every formatted address: 108 bytes of path, each as %XX, and the rest */
};

enum transport { TRANSPORT_TCP, TRANSPORT_UDP, TRANSPORT_UNIX };

/* An address, parsed; no field depends on the machine. */
struct address {
    enum transport transport;
    bool any;       /* HOST was nothing or `*`: 0.0.0.0 will do where there is no IPv6 */
    int mode;       /* permissions of the socket file, 0..0777; -1 = as the umask has it */
    socklen_t size; /* of the member of `at` that is in use: bind(2) */
    union {
        struct sockaddr generic;
        struct sockaddr_in in;
        struct sockaddr_in6 in6; /* sin6_scope_id is 0: see `zone` */
        struct sockaddr_un un;
    } at;
    char zone[IF_NAMESIZE]; /* an interface's name or index, as written; empty = none */
};

struct socket_options {
    int backlog; /* 1 and up; 0 = SOCKET_BACKLOG. Not for udp */
};

/* Parses an address. False leaves *out undefined, a static fragment for people in *why ("the port is not a number …"),
 * and errno EINVAL, or ENAMETOOLONG for a path or name of more than 107 bytes. Pure. */
bool address_parse(const char *text, struct address *out, const char **why);

/* Writes the one normal form, which parses to the same address again. False when `size` does not hold it; it fits
 * ADDRESS_TEXT_SIZE. Pure. */
bool address_format(const struct address *address, char *text, size_t size);

/* Opens a listening (tcp, unix) or bound (udp) socket, CLOEXEC, and writes its normalised address with the port that
 * the kernel chose to `bound` (ADDRESS_TEXT_SIZE). `options` may be NULL. Returns -1 with errno, and a static fragment
 * for people in *why. EINVAL, ENAMETOOLONG: the address does not parse; ENODEV: no interface has the zone's name;
 * ENOTSOCK: the path is a file of another kind; ENOBUFS: `size` is too small; others as of socket(2), bind(2),
 * listen(2) and unlink(2).
 *
 * O_NONBLOCK is not set: it belongs to the open file description, which all generations share (fcntl(2)), and programs
 * that want it set it themselves. SO_REUSEPORT is not set: it would open a second queue, whose connections die
 * with the process that has it. A socket file that nobody answers on (connect gives ECONNREFUSED) is replaced;
 * one that answers is EADDRINUSE, and it and every other file stay as they are. */
int socket_open(const char *address, const struct socket_options *options, char *bound, size_t size, const char **why);

/* The inode that /proc/PID/fd shows as socket:[N]; 0 when `fd` is not a socket. */
ino_t socket_inode(int fd);

/* Is it a listening socket (SO_ACCEPTCONN: socket(7))? */
bool socket_listening(int fd);

/* How many connections wait to be accepted: of a listening TCP socket the kernel tells it as tcpi_unacked (tcp(7),
 * TCP_INFO; net/ipv4/tcp.c, tcp_get_info). -1 for every other socket, whose queue nobody can ask for. */
long socket_queue(int fd);

#endif
