/* The roles of the binary. Each is called with its own name as argv[0] and with every signal blocked, and its
 * return value is the exit code. */
#ifndef BATON_ROLES_H
#define BATON_ROLES_H

int supervisor_main(int argc, char **argv); /* run: PID 1 with an agent */
int init_main(int argc, char **argv);       /* init: PID 1 alone */
int client_main(int argc, char **argv);     /* health, ready, live, status, reload, drain */
int responder_main(int argc, char **argv);  /* health-responder: the health endpoint */
int look_main(int argc, char **argv);       /* look: waits until a process tree accepts on given sockets */
int agent_main(int argc, char **argv);      /* anything else: the agent's CLI, on Node; argv is main's own */

#endif
