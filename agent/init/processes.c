#include "processes.h"

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

int exit_code_of(int status)
{
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
