/* Why this container ends, for those who ask Kubernetes: what /dev/termination-log holds then is the message of its
 * last state. https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/ */
#ifndef BATON_TERMINATION_H
#define BATON_TERMINATION_H

#include "base.h"

/* Adds a line to it. For what PID 1 decides by itself: the agent writes its own reasons, and what it or the program
 * wrote stays. Nothing where the file does not exist (the kubelet makes one for each start of a container), cannot be
 * written, or would get longer than the 4096 bytes that the kubelet reads; never an error. Keeps errno. */
void termination_write(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same, and say(). */
void termination_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
