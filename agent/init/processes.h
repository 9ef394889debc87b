/* The table of the processes that the agent asked for: PID 1's truth about what runs. */
#ifndef BATON_PROCESSES_H
#define BATON_PROCESSES_H

#include "base.h"

enum { PROCESSES_MAX = 256, NAME_SIZE = 65, ID_SIZE = 24 };

struct process {
    pid_t pid; /* 0: the slot is free */
    char name[NAME_SIZE];
    char request[ID_SIZE]; /* the id of the spawn request while exec is still to be heard of, else empty */
    int exec_fd;       /* where the exec error comes from, or -1 */
    bool exited;       /* the main process is reaped; others of its group may live */
    bool told;         /* its exit is among the events */
    int status;        /* of wait(2), once exited */
    int64_t user_time, system_time; /* µs, once exited */
    long max_rss;                   /* kB, once exited */
    int64_t started;   /* ms, CLOCK_MONOTONIC */
    int stop_signal;   /* for the stop that PID 1 makes without an agent */
    int64_t stop_timeout; /* ms, from the beginning of that stop */
    int64_t stop_grace;   /* ms, from the stop signal that PID 1 got */
    bool stop_group;
    bool killed; /* by PID 1, at the end of its time */
};

/* The taken slot after `after`, or the first one after NULL; NULL after the last. What the loop does to the slot that it is at,
 * freeing it included, is no matter. */
struct process *process_next(const struct process *after);
#define FOR_EACH_PROCESS(process) for (struct process *process = NULL; (process = process_next(process));)

/* A free slot, zeroed but for exec_fd = -1, or NULL. It is taken once its pid is set. */
struct process *process_slot(void);
struct process *process_find(pid_t pid);
/* The one in whose session `pid` is (each has its own), or NULL. */
struct process *process_of_session(pid_t pid);

/* True when no process of its group is left: the main one is reaped and the group does not exist. */
bool process_gone(const struct process *process);

/* Sets how readily the kernel kills it when memory runs out, -1000..1000 (proc_pid_oom_score_adj(5)): the whole
 * session, as each worker has the value of whoever forked it. False with errno, and those that could be set are: EACCES for a
 * process of another user (without CAP_DAC_OVERRIDE) and for less than the container was given (without
 * CAP_SYS_RESOURCE), ESRCH when none is left, ENOENT without /proc. */
bool process_set_oom_score(const struct process *process, int score);

/* Sends a signal to the main process or the whole group; false with errno. Safe against reused pids: a process is
 * signalled only before it is reaped, and a group's number cannot be reused while it has members. */
bool process_kill(const struct process *process, int signal, bool group);

/* The code with which a shell would report the status: 128+n for a signal. */
int exit_code_of(int status);

#endif
