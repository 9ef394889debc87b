#include "look_parse.h"

#include "check.h"

#include <stdint.h>
#include <sys/epoll.h>
#include <sys/syscall.h>

static void test_stat(void)
{
    struct look_stat stat;

    CHECK(look_parse_stat("12 (node) S 1 12 12 0 -1 4194560 2 0\n", &stat));
    CHECK(stat.state == 'S' && stat.parent == 1 && stat.session == 12);

    /* A process names itself: prctl(2) PR_SET_NAME takes any bytes. */
    CHECK(look_parse_stat("7 (a) R 99 98 (97) Z 6 5 4 0 -1\n", &stat));
    CHECK(stat.state == 'Z' && stat.parent == 6 && stat.session == 4);
    CHECK(look_parse_stat("7 (tmux: server\n) D 1 2 3 0\n", &stat));
    CHECK(stat.state == 'D' && stat.parent == 1 && stat.session == 3);

    /* A kernel thread, and init of a container: no parent, no session. */
    CHECK(look_parse_stat("2 (kthreadd) S 0 0 0 0 -1 2129984\n", &stat));
    CHECK(stat.parent == 0 && stat.session == 0);

    CHECK(!look_parse_stat("", &stat));
    CHECK(!look_parse_stat("12 (node", &stat));
    CHECK(!look_parse_stat("12 (node)", &stat));
    CHECK(!look_parse_stat("12 (node) S", &stat));
    CHECK(!look_parse_stat("12 (node) S 1 12", &stat));
    CHECK(!look_parse_stat("12 (node) S 1 12 x", &stat));
}

static void test_target(void)
{
    struct look_target target;

    CHECK(look_parse_target("tfd:        3 events:       19 data:                3  pos:0 ino:2240 sdev:9", &target));
    CHECK(target.events == 0x19 && target.inode == 0x2240 && target.device == 9);
    CHECK(look_parse_target("tfd:        5 events: 80002019 data: ffffffffffffffff  pos:0 ino:deadbeef12 sdev:800001",
                            &target));
    CHECK(target.events == (EPOLLET | EPOLLRDHUP | EPOLLIN | EPOLLERR | EPOLLHUP));
    CHECK(target.inode == UINT64_C(0xdeadbeef12) && target.device == 0x800001);
    /* EPOLLONESHOT after it fired: only the private bits are left. */
    CHECK(look_parse_target("tfd:        5 events: 40000000 data: 5  pos:0 ino:1 sdev:9", &target));
    CHECK(!(target.events & EPOLLIN));

    CHECK(!look_parse_target("pos:\t0", &target));
    CHECK(!look_parse_target("ino:\t1038", &target));
    CHECK(!look_parse_target("mnt_id: events:19 ino:1 sdev:9", &target));
    CHECK(!look_parse_target("tfd:        3 events:       19 data:                3", &target)); /* Linux 4.12 */
    CHECK(!look_parse_target("tfd:        3 events:       19 data:  3  pos:0 ino: sdev:9", &target));
    CHECK(!look_parse_target("tfd: 3 events: 19 data: 3 pos:0 ino:10000000000000000 sdev:9", &target));
}

static void test_syscall(void)
{
    struct look_syscall call;

    CHECK(look_parse_syscall("230 0x0 0x1 0x7ffeb195e770 0xffffffffffffffff 0x4 0x5 0x7ffeb195e758 0x7f22b4dab503\n",
                             &call));
    CHECK(call.number == 230 && call.arguments[1] == 1 && call.arguments[2] == UINT64_C(0x7ffeb195e770));
    CHECK(call.arguments[3] == UINT64_MAX && call.arguments[5] == 5);

    CHECK(!look_parse_syscall("running\n", &call));
    CHECK(!look_parse_syscall("-1 0x7ffeb195e758 0x7f22b4dab503\n", &call));
    CHECK(!look_parse_syscall("", &call));
    CHECK(!look_parse_syscall("0 0x3 0x7f9e\n", &call));
}

static void test_socket(void)
{
    uint64_t inode = 0;

    CHECK(look_parse_socket("socket:[4711]", &inode) && inode == 4711);
    CHECK(look_parse_socket("socket:[18446744073709551615]", &inode) && inode == UINT64_MAX);
    CHECK(!look_parse_socket("pipe:[4711]", &inode));
    CHECK(!look_parse_socket("anon_inode:[eventpoll]", &inode));
    CHECK(!look_parse_socket("/tmp/socket:[4711]", &inode));
    CHECK(!look_parse_socket("socket:[]", &inode));
    CHECK(!look_parse_socket("", &inode));
}

static void test_wait(void)
{
    CHECK(look_wait_of(SYS_accept4) == LOOK_WAIT_ONE);
    CHECK(look_wait_of(SYS_recvmsg) == LOOK_WAIT_ONE);
    CHECK(look_wait_of(SYS_read) == LOOK_WAIT_ONE);
    CHECK(look_wait_of(SYS_pselect6) == LOOK_WAIT_SELECT);
    CHECK(look_wait_of(SYS_ppoll) == LOOK_WAIT_POLL);
    /* An epoll_wait says which epoll, and the epoll's fdinfo says the rest. */
    CHECK(look_wait_of(SYS_epoll_pwait) == LOOK_WAIT_NONE);
    CHECK(look_wait_of(SYS_futex) == LOOK_WAIT_NONE);
    CHECK(look_wait_of(SYS_write) == LOOK_WAIT_NONE);
}

int main(void)
{
    test_stat();
    test_target();
    test_syscall();
    test_socket();
    test_wait();
    return check_report();
}
