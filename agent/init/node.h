/* Where Node and the agent are, and how they are started. */
#ifndef BATON_NODE_H
#define BATON_NODE_H

#include "base.h"

/* Finds Node ($BATON_NODE, else `node` beside this binary, else on PATH) and the agent (`agent.mjs` beside this
 * binary). NULL, or the sentence that says what is missing.
 *
 * The `node` beside the binary is started through the dynamic loader in `lib` beside it, where there is one: with its
 * own libraries it runs on any base, be that musl's or nothing at all. */
const char *node_find(void);

/* After node_find: executes the agent's CLI with argv[1..]. Variables that are meant for the program and must not
 * change the agent (NODE_*, UV_*, OPENSSL_*, MALLOC_*, GLIBC_TUNABLES; through our own loader LD_*, too) are handed on
 * as BATON_PROGRAM_NODE_… and so on. The program itself gets PID 1's environment, and thus the real ones; what the agent
 * runs on its behalf gets them back (agent/program.ts). Returns only when exec fails: an exit code, having said why. */
int node_exec(char **argv);

#endif
