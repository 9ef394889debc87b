#include "processes.h"
#include "listing.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct process processes[PROCESSES_MAX];
/* Slots that were ever taken: the table is looked through on the way of each signal, and most of it was never needed. */
static size_t used;

struct process *process_slot(void)
{
    size_t i = 0;

    while (i < used && processes[i].pid)
        i++;
    if (i == PROCESSES_MAX)
        return NULL;
    if (i == used)
        used++;
    processes[i] = (struct process){.exec_fd = -1};
    return &processes[i];
}

struct process *process_next(const struct process *after)
{
    for (size_t i = after ? (size_t)(after - processes) + 1 : 0; i < used; i++)
        if (processes[i].pid)
            return &processes[i];
    return NULL;
}

struct process *process_find(pid_t pid)
{
    FOR_EACH_PROCESS(process)
        if (process->pid == pid)
            return process;
    return NULL;
}

struct process *process_of_session(pid_t pid)
{
    if (pid <= 0) /* 0 is a process of another PID namespace, and to getsid(2) ourselves */
        return NULL;
    struct process *process = process_find(pid);
    return process ? process : process_find(getsid(pid));
}

bool process_gone(const struct process *process)
{
    return process->exited && kill(-process->pid, 0) && errno == ESRCH;
}

bool process_kill(const struct process *process, int signal, bool group)
{
    if (process->exited && !group) {
        errno = ESRCH;
        return false;
    }
    return !kill(group ? -process->pid : process->pid, signal);
}

/* Returns 0 or an errno. */
static int set_oom_score(pid_t pid, pid_t session, const char *score)
{
    char path[64];
    size_t length = strlen(score);

    snprintf(path, sizeof path, "/proc/%d/oom_score_adj", (int)pid);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    /* From here on the descriptor means this process, and no later one of the same number. */
    int error = getsid(pid) != session ? ESRCH : write(fd, score, length) != (ssize_t)length ? errno : 0;
    close(fd);
    return error;
}

bool process_set_oom_score(const struct process *process, int score)
{
    struct listing listing;
    const char *name;
    char text[16];
    long pid;
    int refusal = 0;
    bool any = false;

    snprintf(text, sizeof text, "%d", score);
    if (!listing_open(&listing, AT_FDCWD, "/proc"))
        return false;
    while ((name = listing_next(&listing))) {
        if (!parse_number(name, 1, INT32_MAX, &pid) || getsid((pid_t)pid) != process->pid)
            continue;
        int error = set_oom_score((pid_t)pid, process->pid, text);
        if (error == ENOENT || error == ESRCH) /* it has ended meanwhile */
            continue;
        any = true;
        if (error && !refusal)
            refusal = error;
    }
    errno = any ? refusal : ESRCH;
    return any && !refusal;
}

int exit_code_of(int status)
{
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
