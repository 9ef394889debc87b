/* What PID 1 tells the agent, kept until the agent has said `done`: an agent that dies is followed by one that is told
 * again. One fixed arena of whole frames, oldest first. */
#ifndef BATON_EVENTS_H
#define BATON_EVENTS_H

#include "wire.h"

enum {
    EVENTS_SIZE = 256 * 1024,
    /* Kept free for signals and ends of processes, which are of more weight than all else. */
    EVENTS_RESERVE = 64 * 1024,
};

/* How much of the arena an event may take: all of it, all but the reserve, or half of that, so that what a program says of
 * itself all the time leaves room for requests and for what it says once. */
enum event_class { EVENT_VITAL, EVENT_DROPPABLE, EVENT_CHATTER };

/* Opens an event of this verb with the next sequence number as its first field; add the other fields with frame_…,
 * then event_close. */
struct buffer *event_open(const char *verb);

/* The sequence number, or 0 when there was no room. A vital event is then for the caller to bring again; any other is dropped
 * and counted. */
uint64_t event_close(enum event_class class);

/* The event of a signal. One that waits and that no agent has seen yet stands for a second of the same number and
 * origin too (signal(7): standard signals do not queue), and once room is scarce also one that was seen and is not
 * done; its number is then returned again. */
uint64_t event_signal(int number, bool from_kernel, pid_t pid, uid_t uid);

/* Forgets an event; false when there is none of this number. */
bool event_done(uint64_t seq);

/* Copies what was not delivered yet, oldest first, as far as `out` has more than `spare` bytes of room. */
void events_deliver(struct buffer *out, size_t spare);

/* A new agent: everything is to be delivered again. */
void events_rewind(void);

unsigned long events_dropped(void);

#endif
