#include "processes.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct process processes[PROCESSES_MAX];

struct process *process_slot(void)
{
    for (size_t i = 0; i < PROCESSES_MAX; i++)
        if (!processes[i].pid) {
            processes[i] = (struct process){.exec_fd = -1};
            return &processes[i];
        }
    return NULL;
}

struct process *process_find(pid_t pid)
{
    for (size_t i = 0; i < PROCESSES_MAX; i++)
        if (processes[i].pid == pid && pid > 0)
            return &processes[i];
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
