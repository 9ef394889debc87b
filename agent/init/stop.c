#include "stop.h"
#include "processes.h"
#include "signals.h"
#include "termination.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* A group whose last member is reaped by another process than us ends without a word. */
enum { GROUP_LOOK_MS = 100 };

static int64_t asked, began;

void stop_begin(int64_t stop_asked, int64_t now)
{
    if (began)
        return;
    asked = stop_asked;
    began = now;
    FOR_EACH_PROCESS(process)
        process_kill(process, process->stop_signal, process->stop_group || process->exited);
}

int64_t stop_grace(void)
{
    int64_t shortest = STOP_GRACE_NONE;

    FOR_EACH_PROCESS(process)
        if (process->stop_grace < shortest)
            shortest = process->stop_grace;
    return shortest;
}

bool stop_begun(void)
{
    return began != 0;
}

int64_t stop_tick(int64_t now)
{
    int64_t next = 0;

    if (!began)
        return 0;
    FOR_EACH_PROCESS(process) {
        if (process->killed)
            continue;
        int64_t own = began + process->stop_timeout, last = asked + process->stop_grace;
        int64_t due = own < last ? own : last;
        if (due <= now) {
            process_kill(process, SIGKILL, false); /* it has no group of its own until its setsid(2) */
            process_kill(process, SIGKILL, true);
            termination_say("pid %d did not end within %lld ms%s: killing it", (int)process->pid,
                            (long long)(own < last ? process->stop_timeout : process->stop_grace),
                            own < last ? "" : " of the container's stop signal");
            process->killed = true;
            continue;
        }
        if (process->exited && due > now + GROUP_LOOK_MS)
            due = now + GROUP_LOOK_MS;
        if (!next || due < next)
            next = due;
    }
    return next;
}

bool stop_complete(void)
{
    FOR_EACH_PROCESS(process) {
        /* Of a group that was killed a zombie may stay, whose parent left the group and does not reap it. */
        if (!process->exited || !(process->killed || process_gone(process)))
            return false;
    }
    return true;
}

/* Kills the direct children: proc_pid_task_tid_children(5). Orphans of theirs become ours, as their subreaper. */
static void kill_children(void)
{
    char path[64], text[4096];

    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = 0;
    for (char *at = text, *end; *at; at = end) {
        long pid = strtol(at, &end, 10);
        if (end == at || *end != ' ') /* the last one may be cut, and would then be a stranger's number */
            return;
        if (pid > 1)
            kill((pid_t)pid, SIGKILL);
    }
}

void stop_reap_all(void)
{
    for (;;) {
        /* kill(-1) is for a real PID 1 only: elsewhere it would mean every process of this user. */
        if (getpid() == 1)
            kill(-1, SIGKILL);
        else {
            FOR_EACH_PROCESS(process)
                kill(-process->pid, SIGKILL);
            kill_children();
        }
        if (waitpid(-1, NULL, 0) < 0 && errno == ECHILD)
            return;
    }
}
