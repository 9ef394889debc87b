#include "confine.h"

#include <grp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { NOBODY = 65534 }; /* the kernel's overflow id: user_namespaces(7) */

/* A sanitizer's runtime maps memory and asks for more than the filter lets through. */
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif

/* include/uapi/linux/audit.h. musl comes without the kernel's headers, so that what is needed of them stands here. */
#if defined(SANITIZED)
#define AUDIT_ARCHITECTURE 0
#elif defined(__x86_64__) && defined(__LP64__)
#define AUDIT_ARCHITECTURE 0xc000003e
#elif defined(__aarch64__) && defined(__AARCH64EL__)
#define AUDIT_ARCHITECTURE 0xc00000b7
#else
#define AUDIT_ARCHITECTURE 0
#endif

/* EPERM: without CAP_SETUID and CAP_SETGID. EINVAL: in a user namespace that does not map the id. */
static bool is_not_offered(void)
{
    return errno == EPERM || errno == EINVAL;
}

static bool become_nobody(void)
{
    if (geteuid() != 0)
        return true;
    return (!setgroups(0, NULL) || is_not_offered()) && (!setresgid(NOBODY, NOBODY, NOBODY) || is_not_offered()) &&
           (!setresuid(NOBODY, NOBODY, NOBODY) || is_not_offered());
}

/* capset(2), version 3: two sets of 32. */
static bool drop_capabilities(void)
{
    struct {
        uint32_t version;
        int pid;
    } header = {0x20080522, 0};
    struct {
        uint32_t effective, permitted, inheritable;
    } none[2] = {{0, 0, 0}, {0, 0, 0}};

    return !syscall(SYS_capset, &header, none);
}

/* Where it is lower already, it stays: only a privileged process may raise it. */
static bool limit(int resource, rlim_t value)
{
    struct rlimit both;

    if (getrlimit(resource, &both))
        return false;
    if (both.rlim_max > value)
        both.rlim_max = value;
    both.rlim_cur = both.rlim_max;
    return !setrlimit(resource, &both);
}

#if AUDIT_ARCHITECTURE
/* seccomp(2): classic BPF over struct seccomp_data { int nr; __u32 arch; … }. */
struct instruction {
    uint16_t code;
    uint8_t if_true, if_false; /* instructions to skip */
    uint32_t value;
};

enum {
    LOAD_WORD = 0x20,     /* BPF_LD | BPF_W | BPF_ABS */
    JUMP_IF_EQUAL = 0x15, /* BPF_JMP | BPF_JEQ | BPF_K */
    RETURN = 0x06,        /* BPF_RET | BPF_K */
    NUMBER_OFFSET = 0,
    ARCHITECTURE_OFFSET = 4,
    MODE_FILTER = 2,
};

#define ALLOW 0x7fff0000U
#define KILL 0x80000000U /* the process; before Linux 4.14 the thread, which is the same here */
#define ALLOWED(number) {JUMP_IF_EQUAL, 0, 1, (number)}, {RETURN, 0, 0, ALLOW}

static bool filter_system_calls(void)
{
    static const struct instruction filter[] = {
        {LOAD_WORD, 0, 0, ARCHITECTURE_OFFSET},
        {JUMP_IF_EQUAL, 1, 0, AUDIT_ARCHITECTURE},
        {RETURN, 0, 0, KILL},
        {LOAD_WORD, 0, 0, NUMBER_OFFSET},
#ifdef SYS_poll
        ALLOWED(SYS_poll),
#endif
        ALLOWED(SYS_ppoll),
        ALLOWED(SYS_recvfrom),
        ALLOWED(SYS_sendto),
        ALLOWED(SYS_accept4),
        ALLOWED(SYS_shutdown),
        ALLOWED(SYS_close),
        ALLOWED(SYS_clock_gettime),   /* where the vDSO cannot tell the time */
        ALLOWED(SYS_restart_syscall), /* poll after SIGSTOP and SIGCONT */
        ALLOWED(SYS_madvise),
        ALLOWED(SYS_write),
        ALLOWED(SYS_exit_group),
        {RETURN, 0, 0, KILL},
    };
    struct {
        unsigned short length;
        const struct instruction *filter;
    } program = {COUNT(filter), filter};

    return !prctl(PR_SET_SECCOMP, MODE_FILTER, &program, 0, 0) || errno == EINVAL;
}
#else
static bool filter_system_calls(void)
{
    return true;
}
#endif

/* PR_SET_PDEATHSIG(2const): a change of user clears it, and a parent that died before it was set sends no signal. */
static bool die_with(pid_t parent)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0))
        return false;
    errno = ESRCH;
    return getppid() == parent;
}

bool confine(unsigned descriptors)
{
    pid_t parent = getppid();
    const char *failed = NULL;

    if (!become_nobody())
        failed = "become user 65534";
    else if (!drop_capabilities())
        failed = "drop the capabilities";
    else if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        failed = "refuse new privileges";
    else if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
        failed = "become undumpable";
    else if (!limit(RLIMIT_NOFILE, descriptors) || !limit(RLIMIT_NPROC, 0) || !limit(RLIMIT_CORE, 0))
        failed = "lower the resource limits";
    else if (!die_with(parent))
        failed = "be bound to its parent";
    else if (!filter_system_calls())
        failed = "filter the system calls";
    if (failed)
        say("health responder: cannot %s: %s", failed, errno_name(errno));
    return !failed;
}
