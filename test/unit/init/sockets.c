#include "sockets.h"

#include "check.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *why;
static char bound[ADDRESS_TEXT_SIZE];

static int open_socket(const char *address)
{
    why = NULL;
    *bound = '\0';
    return socket_open(address, NULL, bound, sizeof bound, &why);
}

/* Parsed, and printed in its normal form; NULL when it is refused. */
static const char *normal(const char *text)
{
    static char out[ADDRESS_TEXT_SIZE];
    struct address address;

    why = NULL;
    return address_parse(text, &address, &why) && address_format(&address, out, sizeof out) ? out : NULL;
}

static void check_accepted(void)
{
    static const char *const pairs[][2] = {
        {"tcp://127.0.0.1:8080", "tcp://127.0.0.1:8080"},
        {"tcp://0.0.0.0:0", "tcp://0.0.0.0:0"},
        {"tcp://localhost:65535", "tcp://127.0.0.1:65535"},
        {"tcp://:80", "tcp://*:80"},
        {"tcp://*:80", "tcp://*:80"},
        {"tcp://[::]:80", "tcp://[::]:80"},
        {"tcp://[0:0:0:0:0:0:0:1]:080", "tcp://[::1]:80"},
        {"udp://[fe80::1%eth0]:53", "udp://[fe80::1%eth0]:53"},
        {"udp://[ff02::fb%2]:5353", "udp://[ff02::fb%2]:5353"},
        {"udp://:53", "udp://*:53"},
        {"unix:///run/web.sock", "unix:///run/web.sock"},
        {"unix:///run/web.sock?mode=660", "unix:///run/web.sock?mode=0660"},
        {"unix:///run/a%20b%3Fc%25d%41?mode=0", "unix:///run/a%20b%3Fc%25dA?mode=0000"},
        {"unix:///\xC3\xA9", "unix:///%C3%A9"},
        {"unix:@web", "unix:@web"},
        {"unix:@baton/4026531841", "unix:@baton/4026531841"},
        {"unix:@a?b%2fc", "unix:@a%3Fb/c"},
        {"unix:@@", "unix:@@"},
    };

    for (size_t i = 0; i < COUNT(pairs); i++) {
        const char *text = normal(pairs[i][0]);
        CHECK(text && !strcmp(text, pairs[i][1]));
        if (!text || strcmp(text, pairs[i][1]))
            fprintf(stderr, "%s: %s\n", pairs[i][0], text ? text : why);
    }
}

static void check_refused(void)
{
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"", "begin with"},
        {":8080", "begin with"},
        {"http://127.0.0.1:80", "begin with"},
        {"TCP://127.0.0.1:80", "begin with"},
        {"tcp://", "port is missing"},
        {"tcp://127.0.0.1", "port is missing"},
        {"tcp://[::1]", "port is missing"},
        {"tcp://[::1]80", "port is missing"},
        {"tcp://[::1:80", "closing bracket"},
        {"tcp://::1:80", "brackets"},
        {"tcp://127.0.0.1:", "port is not"},
        {"tcp://127.0.0.1:65536", "port is not"},
        {"tcp://127.0.0.1:-1", "port is not"},
        {"tcp://127.0.0.1:+1", "port is not"},
        {"tcp://127.0.0.1: 1", "port is not"},
        {"tcp://127.0.0.1:80/", "port is not"},
        {"tcp://127.0.0.1:000080", "port is not"},
        {"tcp://example.com:80", "no name is looked up"},
        {"tcp://127.1:80", "neither an IP address"},
        {"tcp://256.0.0.1:80", "neither an IP address"},
        {"tcp://1.2.3.4.5.6.7.8.9.10.11:80", "neither an IP address"},
        {"tcp://[127.0.0.1]:80", "no IPv6 address"},
        {"tcp://[]:80", "no IPv6 address"},
        {"tcp://[1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa]:80", "no IPv6 address"},
        {"tcp://[fe80::1]:80", "needs its interface"},
        {"tcp://[::1%lo]:80", "only a link-local"},
        {"tcp://[fe80::1%]:80", "1 to 15"},
        {"tcp://[fe80::1%0123456789abcdef]:80", "1 to 15"},
        {"tcp://[fe80::1%a/b]:80", "no interface's name"},
        {"unix:", "unix:///run"},
        {"unix:/run/x", "unix:///run"},
        {"unix://run/x", "unix:///run"},
        {"unix:@", "empty"},
        {"unix:///run/%4", "hexadecimal"},
        {"unix:///run/%", "hexadecimal"},
        {"unix:///run/%g0", "hexadecimal"},
        {"unix:///run/%00x", "NUL"},
        {"unix:///run/x?", "only option"},
        {"unix:///run/x?backlog=1", "only option"},
        {"unix:///run/x?mode=", "octal"},
        {"unix:///run/x?mode=8", "octal"},
        {"unix:///run/x?mode=1777", "octal"},
        {"unix:///run/x?mode=00660", "octal"},
        {"unix:///run/x?mode=0660&x", "octal"},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        errno = 0;
        CHECK(!normal(cases[i].text) && errno == EINVAL && why && strstr(why, cases[i].why));
        if (!why || !strstr(why, cases[i].why))
            fprintf(stderr, "%s: %s\n", cases[i].text, why ? why : "accepted");
    }
}

/* unix(7): 107 bytes and a NUL for a path, a NUL and 107 bytes for a name. */
static void check_length(void)
{
    char text[160];
    struct address address;

    for (int abstract = 0; abstract < 2; abstract++) {
        int scheme = snprintf(text, sizeof text, abstract ? "unix:@" : "unix:///") - !abstract;
        memset(text + scheme + !abstract, 'x', sizeof text - (size_t)scheme - 1);
        text[scheme + 107] = '\0';
        CHECK(address_parse(text, &address, &why) && address.size == sizeof(struct sockaddr_un));
        text[scheme + 107] = 'x';
        text[scheme + 108] = '\0';
        errno = 0;
        CHECK(!address_parse(text, &address, &why) && errno == ENAMETOOLONG);
    }

    /* The longest text there is fits; one byte less does not. */
    char path[8 + 107 * 3 + 16];
    size_t used = (size_t)snprintf(path, sizeof path, "unix:///");
    for (int i = 0; i < 106; i++)
        used += (size_t)snprintf(path + used, sizeof path - used, "%%FF");
    snprintf(path + used, sizeof path - used, "?mode=0777");
    char out[ADDRESS_TEXT_SIZE];
    CHECK(address_parse(path, &address, &why));
    CHECK(address_format(&address, out, sizeof out) && !strcmp(out, path));
    for (size_t size = 1; size <= strlen(path); size++)
        CHECK(!address_format(&address, out, size));
}

static int option(int fd, int level, int name)
{
    int value = -1;
    socklen_t length = sizeof value;
    return getsockopt(fd, level, name, &value, &length) ? -1 : value;
}

static unsigned port_of(const char *text)
{
    return (unsigned)atoi(strrchr(text, ':') + 1);
}

static bool reachable(int family, unsigned port)
{
    in_port_t number = htons((uint16_t)port);
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = number, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = number, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool ok = !(family == AF_INET ? connect(fd, (struct sockaddr *)&in, sizeof in)
                                  : connect(fd, (struct sockaddr *)&in6, sizeof in6));
    close(fd);
    return ok;
}

static void check_tcp(void)
{
    int fd = open_socket("tcp://127.0.0.1:0");
    char first[ADDRESS_TEXT_SIZE];

    CHECK(fd >= 0 && !strncmp(bound, "tcp://127.0.0.1:", 16) && port_of(bound) > 0);
    CHECK(socket_listening(fd));
    CHECK(socket_inode(fd) > 0);
    CHECK(fcntl(fd, F_GETFD) == FD_CLOEXEC);
    CHECK(!(fcntl(fd, F_GETFL) & O_NONBLOCK));
    CHECK(option(fd, SOL_SOCKET, SO_REUSEADDR) == 1);
    CHECK(option(fd, SOL_SOCKET, SO_REUSEPORT) == 0);
    CHECK(reachable(AF_INET, port_of(bound)));

    strcpy(first, bound);
    CHECK(open_socket(first) == -1 && errno == EADDRINUSE && strstr(why, "another program"));
    close(fd);
    fd = open_socket(first);
    CHECK(fd >= 0 && !strcmp(bound, first));
    close(fd);

    CHECK(open_socket("tcp://192.0.2.1:0") == -1 && errno == EADDRNOTAVAIL && strstr(why, "no interface"));
    CHECK(open_socket("tcp://[fe80::1%no-such]:0") == -1 && errno == ENODEV);
    CHECK(open_socket("tcp://x:0") == -1 && errno == EINVAL);

    char small[8];
    int before = dup(0);
    CHECK(socket_open("tcp://127.0.0.1:0", NULL, small, sizeof small, &why) == -1 && errno == ENOBUFS);
    close(before);
    int after = dup(0);
    CHECK(before == after); /* nothing was left open */
    close(after);
}

/* For a listening socket the kernel shows the backlog's limit as tcpi_sacked. */
static unsigned backlog_of(int fd)
{
    struct tcp_info info = {0};
    socklen_t length = sizeof info;
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) ? 0 : info.tcpi_sacked;
}

static void check_backlog(void)
{
    unsigned somaxconn = 0;
    FILE *file = fopen("/proc/sys/net/core/somaxconn", "r");

    CHECK(file && fscanf(file, "%u", &somaxconn) == 1);
    if (file)
        fclose(file);
    int fd = open_socket("tcp://127.0.0.1:0");
    CHECK(backlog_of(fd) == (somaxconn < SOCKET_BACKLOG ? somaxconn : SOCKET_BACKLOG));
    close(fd);
    fd = socket_open("tcp://127.0.0.1:0", &(struct socket_options){.backlog = 7}, bound, sizeof bound, &why);
    CHECK(backlog_of(fd) == 7);
    close(fd);
}

static void check_udp(void)
{
    int fd = open_socket("udp://127.0.0.1:0");
    char first[ADDRESS_TEXT_SIZE];

    CHECK(fd >= 0 && !strncmp(bound, "udp://127.0.0.1:", 16) && port_of(bound) > 0);
    CHECK(!socket_listening(fd) && socket_inode(fd) > 0);
    CHECK(option(fd, SOL_SOCKET, SO_TYPE) == SOCK_DGRAM);
    CHECK(option(fd, SOL_SOCKET, SO_REUSEADDR) == 0);
    strcpy(first, bound);
    CHECK(open_socket(first) == -1 && errno == EADDRINUSE);
    close(fd);
}

/* From here on this process cannot open IPv6 sockets, as on a kernel that was started with ipv6.disable=1. */
static void forbid_ipv6(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET6, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAFNOSUPPORT),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = COUNT(code), .filter = code};

    CHECK(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    CHECK(!prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
}

static void without_ipv6(void)
{
    forbid_ipv6();
    int fd = open_socket("tcp://*:0");
    CHECK(fd >= 0 && !strncmp(bound, "tcp://0.0.0.0:", 14));
    CHECK(reachable(AF_INET, port_of(bound)));
    char again[ADDRESS_TEXT_SIZE];
    snprintf(again, sizeof again, "tcp://:%u", port_of(bound));
    CHECK(open_socket(again) == -1 && errno == EADDRINUSE);
    close(fd);
    CHECK(open_socket("tcp://[::]:0") == -1 && errno == EAFNOSUPPORT);
}

static void check_every_address(void)
{
    int ipv6 = socket(AF_INET6, SOCK_STREAM, 0);

    close(ipv6);
    if (ipv6 >= 0) {
        static const char *const texts[] = {"tcp://*:0", "tcp://:0", "tcp://[::]:0"};
        for (size_t i = 0; i < COUNT(texts); i++) {
            int fd = open_socket(texts[i]);
            CHECK(fd >= 0 && !strncmp(bound, "tcp://[::]:", 11));
            CHECK(option(fd, IPPROTO_IPV6, IPV6_V6ONLY) == 0);
            CHECK(reachable(AF_INET, port_of(bound)));
            CHECK(reachable(AF_INET6, port_of(bound)));
            close(fd);
        }
    }

    fflush(NULL);
    pid_t pid = fork();
    if (!pid) {
        without_ipv6();
        fflush(NULL);
        _exit(failures ? 1 : 0);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && !status);
}

static int mode_of(const char *path)
{
    struct stat status;
    return lstat(path, &status) ? -1 : (int)(status.st_mode & 07777);
}

static bool connects(const char *path)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    strcpy(un.sun_path, path);
    bool ok = !connect(fd, (struct sockaddr *)&un, sizeof un);
    close(fd);
    return ok;
}

static void check_unix(void)
{
    char address[64];

    umask(022);
    int fd = open_socket("unix:@baton-test-sockets");
    CHECK(fd >= 0 && !strcmp(bound, "unix:@baton-test-sockets") && socket_listening(fd));
    CHECK(open_socket("unix:@baton-test-sockets") == -1 && errno == EADDRINUSE && strstr(why, "answers"));
    close(fd);

    /* The mode is exact whatever the umask is, and the umask is what it was. */
    fd = open_socket("unix:///proc/self/cwd/a%20b?mode=0666");
    CHECK(fd >= 0 && mode_of("a b") == 0666 && umask(022) == 022);
    CHECK(fcntl(fd, F_GETFD) == FD_CLOEXEC && !(fcntl(fd, F_GETFL) & O_NONBLOCK));
    CHECK(!strcmp(bound, "unix:///proc/self/cwd/a%20b?mode=0666"));
    CHECK(connects("a b"));

    /* One that answers stays; a stale one is replaced. */
    ino_t before = socket_inode(fd);
    CHECK(open_socket("unix:///proc/self/cwd/a%20b?mode=0600") == -1 && errno == EADDRINUSE && strstr(why, "answers"));
    CHECK(connects("a b") && mode_of("a b") == 0666);
    close(fd);
    CHECK(!connects("a b") && mode_of("a b") == 0666);
    fd = open_socket("unix:///proc/self/cwd/a%20b?mode=0600");
    CHECK(fd >= 0 && mode_of("a b") == 0600 && connects("a b") && socket_inode(fd) != before);
    close(fd);

    /* Without a mode the umask decides. */
    umask(027);
    fd = open_socket("unix:///proc/self/cwd/plain");
    CHECK(fd >= 0 && mode_of("plain") == 0750 && umask(022) == 027);

    /* A full queue is a sign of life as well. */
    close(fd);
    fd = socket_open("unix:///proc/self/cwd/plain", &(struct socket_options){.backlog = 1}, bound, sizeof bound, &why);
    int clients[4];
    struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "plain"};
    for (size_t i = 0; i < COUNT(clients); i++) {
        clients[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        int full = connect(clients[i], (struct sockaddr *)&un, sizeof un) && errno == EAGAIN;
        CHECK(i < COUNT(clients) - 1 || full);
    }
    CHECK(open_socket("unix:///proc/self/cwd/plain") == -1 && errno == EADDRINUSE && mode_of("plain") >= 0);
    for (size_t i = 0; i < COUNT(clients); i++)
        close(clients[i]);
    close(fd);

    /* So is a datagram socket that is alive; a dead one is stale. */
    int datagram = socket(AF_UNIX, SOCK_DGRAM, 0);
    strcpy(un.sun_path, "datagram");
    CHECK(!bind(datagram, (struct sockaddr *)&un, sizeof un));
    CHECK(open_socket("unix:///proc/self/cwd/datagram") == -1 && errno == EADDRINUSE && mode_of("datagram") >= 0);
    close(datagram);
    fd = open_socket("unix:///proc/self/cwd/datagram");
    CHECK(fd >= 0 && connects("datagram"));

    /* Nothing but a socket is ever removed: a file, a directory, a symlink even to a stale socket. */
    close(open("file", O_CREAT | O_WRONLY, 0640));
    CHECK(!mkdir("directory", 0700) && !symlink("a b", "link") && !symlink("nowhere", "dangling"));
    static const char *const others[] = {"file", "directory", "link", "dangling"};
    for (size_t i = 0; i < COUNT(others); i++) {
        snprintf(address, sizeof address, "unix:///proc/self/cwd/%s", others[i]);
        CHECK(open_socket(address) == -1 && errno == ENOTSOCK && mode_of(others[i]) >= 0);
    }
    CHECK(mode_of("a b") == 0600);
    close(fd);

    CHECK(open_socket("unix:///proc/self/cwd/none/x") == -1 && errno == ENOENT && strstr(why, "directory"));
    CHECK(open_socket("unix:///proc/self/cwd/file/x") == -1 && errno == ENOTDIR);
}

static void check_predicates(void)
{
    int pair[2];

    CHECK(!pipe(pair));
    CHECK(socket_inode(pair[0]) == 0 && !socket_listening(pair[0]));
    close(pair[0]);
    close(pair[1]);
    CHECK(socket_inode(-1) == 0 && !socket_listening(-1));
    CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    CHECK(socket_inode(pair[0]) > 0 && !socket_listening(pair[0]));
    close(pair[0]);
    close(pair[1]);
}

int main(void)
{
    char directory[] = "/tmp/baton-sockets-XXXXXX";

    if (!mkdtemp(directory) || chdir(directory))
        return 1;
    check_accepted();
    check_refused();
    check_length();
    check_tcp();
    check_backlog();
    check_udp();
    check_every_address();
    check_unix();
    check_predicates();

    static const char *const files[] = {"a b", "plain", "datagram", "file", "link", "dangling"};
    for (size_t i = 0; i < COUNT(files); i++)
        unlink(files[i]);
    rmdir("directory");
    CHECK(!rmdir(directory));
    return check_report();
}
