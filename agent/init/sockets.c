#include "sockets.h"

#include <arpa/inet.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_MAX_BYTES = sizeof((struct sockaddr_un *)0)->sun_path - 1 }; /* a path and its NUL, or a NUL and a name */

static bool refuse(const char **why, int error, const char *reason)
{
    *why = reason;
    errno = error;
    return false;
}

/* Digits alone: no sign, no blank, no second spelling of the same port. */
static bool parse_port(const char *text, in_port_t *port)
{
    long number;
    size_t digits = strspn(text, "0123456789");

    if (!digits || digits > 5 || text[digits] || !parse_number(text, 0, UINT16_MAX, &number))
        return false;
    *port = htons((uint16_t)number);
    return true;
}

static bool parse_ipv6(const char *host, size_t length, struct address *out, const char **why)
{
    char text[INET6_ADDRSTRLEN];
    struct sockaddr_in6 *in6 = &out->at.in6;
    const char *percent = memchr(host, '%', length);
    size_t digits = percent ? (size_t)(percent - host) : length;

    in6->sin6_family = AF_INET6;
    out->size = sizeof *in6;
    if (digits >= sizeof text)
        return refuse(why, EINVAL, "what is in the brackets is no IPv6 address");
    memcpy(text, host, digits);
    text[digits] = '\0';
    if (inet_pton(AF_INET6, text, &in6->sin6_addr) != 1)
        return refuse(why, EINVAL, "what is in the brackets is no IPv6 address");

    bool link_local = IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr) || IN6_IS_ADDR_MC_LINKLOCAL(&in6->sin6_addr);
    if (link_local != (percent != NULL))
        return refuse(why, EINVAL, link_local ? "a link-local address needs its interface: [fe80::1%eth0]"
                                              : "only a link-local address has an interface (%eth0)");
    if (!percent)
        return true;
    size_t zone_length = length - digits - 1;
    if (!zone_length || zone_length >= sizeof out->zone)
        return refuse(why, EINVAL, "the interface after % has a name of 1 to 15 characters");
    for (size_t i = 0; i < zone_length; i++) {
        char c = percent[1 + i];
        if (c <= ' ' || c > '~' || c == '/' || c == '%')
            return refuse(why, EINVAL, "the interface after % has a character that no interface's name has");
        out->zone[i] = c;
    }
    return true;
}

static bool parse_ipv4(const char *host, size_t length, struct address *out)
{
    char text[INET_ADDRSTRLEN];

    if (length >= sizeof text)
        return false;
    memcpy(text, host, length);
    text[length] = '\0';
    out->at.in.sin_family = AF_INET;
    out->size = sizeof out->at.in;
    return inet_pton(AF_INET, strcmp(text, "localhost") ? text : "127.0.0.1", &out->at.in.sin_addr) == 1;
}

static bool parse_inet(const char *text, struct address *out, const char **why)
{
    bool brackets = text[0] == '[';
    const char *end = brackets ? strchr(text, ']') : strrchr(text, ':');

    if (!end)
        return refuse(why, EINVAL, brackets ? "the closing bracket is missing" : "the port is missing: HOST:PORT");
    const char *host = text + brackets;
    size_t length = (size_t)(end - host);
    if (brackets && *++end != ':')
        return refuse(why, EINVAL, "the port is missing: [HOST]:PORT");
    if (!brackets && memchr(host, ':', length))
        return refuse(why, EINVAL, "an IPv6 address goes in brackets: [::1]:8080");

    if (brackets) {
        if (!parse_ipv6(host, length, out, why))
            return false;
    } else if (!length || (length == 1 && *host == '*')) {
        out->any = true;
        out->at.in6.sin6_family = AF_INET6;
        out->size = sizeof out->at.in6;
    } else if (!parse_ipv4(host, length, out)) {
        return refuse(why, EINVAL, "the host is neither an IP address, nor localhost, nor * (no name is looked up)");
    }
    /* The port is at the same place in both families. */
    if (!parse_port(end + 1, &out->at.in.sin_port))
        return refuse(why, EINVAL, "the port is not a number from 0 to 65535");
    return true;
}

static int hex_digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = memchr(digits, c | ('A' <= c && c <= 'F' ? 0x20 : 0), sizeof digits - 1);

    return at ? (int)(at - digits) : -1;
}

/* Decodes %XX (RFC 3986, 2.1) into `out`, which is zeroed and takes `size` bytes. */
static bool percent_decode(const char *text, size_t length, char *out, size_t size, size_t *used, const char **why)
{
    *used = 0;
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        if (c == '%') {
            int high = length - i > 2 ? hex_digit(text[i + 1]) : -1;
            int low = length - i > 2 ? hex_digit(text[i + 2]) : -1;
            if (high < 0 || low < 0)
                return refuse(why, EINVAL, "a % is not followed by two hexadecimal digits (% itself is %25)");
            c = (char)(high << 4 | low);
            i += 2;
        }
        if (!c)
            return refuse(why, EINVAL, "there is a NUL (%00) in it");
        if (*used == size)
            return refuse(why, ENAMETOOLONG, "it is longer than the 107 bytes that Linux allows (unix(7))");
        out[(*used)++] = c;
    }
    return true;
}

static bool parse_mode(const char *query, struct address *out, const char **why)
{
    static const char key[] = "?mode=";

    if (strncmp(query, key, sizeof key - 1))
        return refuse(why, EINVAL, "the only option is ?mode=0660 (a ? of the path itself is %3F)");
    query += sizeof key - 1;
    size_t digits = strspn(query, "01234567");
    if (!digits || digits > 4 || query[digits])
        return refuse(why, EINVAL, "the mode is not an octal number from 0 to 0777");
    out->mode = 0;
    for (size_t i = 0; i < digits; i++)
        out->mode = out->mode * 8 + (query[i] - '0');
    return out->mode <= 0777 || refuse(why, EINVAL, "the mode is not an octal number from 0 to 0777");
}

static bool parse_unix(const char *text, struct address *out, const char **why)
{
    struct sockaddr_un *un = &out->at.un;
    bool abstract = text[0] == '@';
    size_t used;

    if (!abstract && strncmp(text, "///", 3))
        return refuse(why, EINVAL, "a path is written unix:///run/web.sock, an abstract name unix:@web");
    text += abstract ? 1 : 2;
    size_t length = abstract ? strlen(text) : strcspn(text, "?");
    /* The NUL that marks an abstract name stands where its '@' was. */
    if (!percent_decode(text, length, un->sun_path + abstract, NAME_MAX_BYTES, &used, why))
        return false;
    if (!used)
        return refuse(why, EINVAL, "the abstract name is empty");
    un->sun_family = AF_UNIX;
    /* One more: the NUL in front of a name, or the one behind a path. */
    out->size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + used + 1);
    return !text[length] || parse_mode(text + length, out, why);
}

bool address_parse(const char *text, struct address *out, const char **why)
{
    memset(out, 0, sizeof *out);
    out->mode = -1;
    if (!strncmp(text, "tcp://", 6)) {
        out->transport = TRANSPORT_TCP;
        return parse_inet(text + 6, out, why);
    }
    if (!strncmp(text, "udp://", 6)) {
        out->transport = TRANSPORT_UDP;
        return parse_inet(text + 6, out, why);
    }
    if (!strncmp(text, "unix:", 5)) {
        out->transport = TRANSPORT_UNIX;
        return parse_unix(text + 5, out, why);
    }
    return refuse(why, EINVAL, "it does not begin with tcp://, udp:// or unix:");
}

static bool format_unix(const struct address *address, char *text, size_t size)
{
    const char *name = address->at.un.sun_path;
    size_t left = address->size - offsetof(struct sockaddr_un, sun_path) - 1;
    bool abstract = !*name;
    size_t used = (size_t)snprintf(text, size, "unix:%s", abstract ? "@" : "//");

    for (name += abstract; left; name++, left--) {
        unsigned char c = (unsigned char)*name;
        bool plain = c > ' ' && c < 0x7f && c != '%' && c != '?';
        if (used < size)
            used += (size_t)snprintf(text + used, size - used, plain ? "%c" : "%%%02X", c);
    }
    if (address->mode >= 0 && used < size)
        used += (size_t)snprintf(text + used, size - used, "?mode=%04o", (unsigned)address->mode);
    return used < size;
}

bool address_format(const struct address *address, char *text, size_t size)
{
    char host[INET6_ADDRSTRLEN];

    if (address->transport == TRANSPORT_UNIX)
        return format_unix(address, text, size);

    const char *scheme = address->transport == TRANSPORT_TCP ? "tcp" : "udp";
    unsigned port = ntohs(address->at.in.sin_port);
    int used;
    if (address->any) {
        used = snprintf(text, size, "%s://*:%u", scheme, port);
    } else if (address->at.generic.sa_family == AF_INET) {
        inet_ntop(AF_INET, &address->at.in.sin_addr, host, sizeof host);
        used = snprintf(text, size, "%s://%s:%u", scheme, host, port);
    } else {
        inet_ntop(AF_INET6, &address->at.in6.sin6_addr, host, sizeof host);
        used = snprintf(text, size, "%s://[%s%s%s]:%u", scheme, host, *address->zone ? "%" : "", address->zone, port);
    }
    return used >= 0 && (size_t)used < size;
}

/* What people can do about an errno of the network. */
static const char *advice_inet(int error)
{
    switch (error) {
    case EADDRINUSE:
        return "another program has this port, in this container or, where it shares the network, beside it";
    case EADDRNOTAVAIL:
        return "no interface here has that address";
    case EACCES:
        return "a port this low needs CAP_NET_BIND_SERVICE or a lower net.ipv4.ip_unprivileged_port_start";
    case EAFNOSUPPORT:
        return "the kernel has no support for that family of addresses";
    case EMFILE:
    case ENFILE:
        return "no descriptor is left";
    default:
        return "the kernel refuses it";
    }
}

static const char *advice_unix(int error)
{
    switch (error) {
    case EADDRINUSE:
        return "another program answers there";
    case ENOENT:
        return "its directory does not exist";
    case EACCES:
    case EPERM:
        return "its directory may not be written to by this user";
    case EROFS:
        return "its directory is on a read-only file system; mount a volume or a tmpfs there";
    case EMFILE:
    case ENFILE:
        return "no descriptor is left";
    default:
        return "the kernel refuses it";
    }
}

/* Closes, and keeps the errno that led here. */
static void give_up(int fd)
{
    int error = errno;
    close(fd);
    errno = error;
}

static int bind_inet(const struct address *address)
{
    static const int on = 1, off = 0;
    int type = address->transport == TRANSPORT_TCP ? SOCK_STREAM : SOCK_DGRAM;
    int family = address->at.generic.sa_family;

    int fd = socket(family, type | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    /* SO_REUSEADDR: connections of the last container in TIME_WAIT must not keep this one from starting. On a UDP
     * socket it would let a stranger take the port as well (socket(7)). */
    if ((type == SOCK_STREAM && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on)) ||
        (family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off)) ||
        bind(fd, &address->at.generic, address->size)) {
        give_up(fd);
        return -1;
    }
    return fd;
}

static int open_inet(struct address *address, const char **why)
{
    if (*address->zone) {
        long index;
        address->at.in6.sin6_scope_id =
            parse_number(address->zone, 1, INT_MAX, &index) ? (uint32_t)index : if_nametoindex(address->zone);
        if (!address->at.in6.sin6_scope_id) {
            refuse(why, ENODEV, "there is no interface of that name");
            return -1;
        }
    }
    int fd = bind_inet(address);
    if (fd < 0 && address->any && (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL)) {
        in_port_t port = address->at.in6.sin6_port;
        memset(&address->at, 0, sizeof address->at);
        address->at.in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = port};
        address->size = sizeof address->at.in;
        fd = bind_inet(address);
    }
    if (fd < 0)
        *why = advice_inet(errno);
    return fd;
}

/* The mode by umask, and not by a chmod(2) afterwards: the file never exists with another one. */
static int bind_with_mode(int fd, const struct address *address)
{
    mode_t before = 0;

    if (address->mode >= 0)
        before = umask(0777 & ~(mode_t)address->mode);
    int result = bind(fd, &address->at.generic, address->size);
    if (address->mode >= 0)
        umask(before);
    return result;
}

/* Removes a socket file that a dead program left behind. Between the question and the unlink lie two system calls, in
 * which another program could put its own socket there; Linux has no way to do both at once. */
static bool remove_stale(const struct address *address, const char **why)
{
    const char *path = address->at.un.sun_path;
    struct stat status;

    if (lstat(path, &status))
        return errno == ENOENT || refuse(why, errno, advice_unix(errno));
    if (!S_ISSOCK(status.st_mode))
        return refuse(why, ENOTSOCK, "a file that is no socket is in its place; remove it or choose another path");

    int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (probe < 0)
        return refuse(why, errno, advice_unix(errno));
    int error = connect(probe, &address->at.generic, address->size) ? errno : 0;
    close(probe);
    if (error == EACCES)
        return refuse(why, EADDRINUSE, "a socket is in its place, and this user may not ask whether a program answers");
    /* Anything but ECONNREFUSED is a sign of life: EAGAIN a full queue, EPROTOTYPE a datagram socket. */
    if (error != ECONNREFUSED && error != ENOENT)
        return refuse(why, EADDRINUSE, advice_unix(EADDRINUSE));
    return !unlink(path) || errno == ENOENT || refuse(why, errno, advice_unix(errno));
}

static int open_unix(const struct address *address, const char **why)
{
    bool file = address->at.un.sun_path[0];
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd >= 0 && !bind_with_mode(fd, address))
        return fd;
    *why = advice_unix(errno);
    if (fd < 0)
        return -1;
    if (errno == EADDRINUSE && file && remove_stale(address, why)) {
        if (!bind_with_mode(fd, address))
            return fd;
        *why = advice_unix(errno);
    }
    give_up(fd);
    return -1;
}

/* The address that the socket has now, with the port that the kernel chose. */
static bool describe(int fd, struct address *address, char *text, size_t size)
{
    if (address->transport != TRANSPORT_UNIX) {
        address->size = sizeof address->at;
        if (getsockname(fd, &address->at.generic, &address->size))
            return false;
        address->any = false;
    }
    if (address_format(address, text, size))
        return true;
    errno = ENOBUFS;
    return false;
}

int socket_open(const char *text, const struct socket_options *options, char *bound, size_t size, const char **why)
{
    struct address address;
    int backlog = options && options->backlog ? options->backlog : SOCKET_BACKLOG;

    if (!address_parse(text, &address, why))
        return -1;
    bool local = address.transport == TRANSPORT_UNIX;
    int fd = local ? open_unix(&address, why) : open_inet(&address, why);
    if (fd < 0)
        return -1;
    /* bind(2) to a port that is bound but does not listen yet succeeds under SO_REUSEADDR: listen(2) then says so. */
    if (address.transport != TRANSPORT_UDP && listen(fd, backlog))
        *why = local ? advice_unix(errno) : advice_inet(errno);
    else if (describe(fd, &address, bound, size))
        return fd;
    else
        *why = "its address cannot be read back";
    int error = errno;
    if (local && address.at.un.sun_path[0])
        unlink(address.at.un.sun_path);
    close(fd);
    errno = error;
    return -1;
}

ino_t socket_inode(int fd)
{
    struct stat status;

    return !fstat(fd, &status) && S_ISSOCK(status.st_mode) ? status.st_ino : 0;
}

bool socket_listening(int fd)
{
    int listening = 0;
    socklen_t length = sizeof listening;

    return !getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) && listening;
}

long socket_queue(int fd)
{
    struct tcp_info info;
    socklen_t size = sizeof info;

    if (!socket_listening(fd) || getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size))
        return -1;
    return (long)info.tcpi_unacked;
}
