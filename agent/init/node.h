/* Where Node and the agent are. */
#ifndef BATON_NODE_H
#define BATON_NODE_H

#include "base.h"

/* Finds Node ($BATON_NODE, else `node` beside this binary, else on PATH) and the agent (`agent.mjs` beside this
 * binary). Says what is missing and returns false when there is none. */
bool node_find(void);

/* After node_find: executes the agent's CLI with argv[1..]. Node's own settings in the environment (NODE_OPTIONS,
 * NODE_…) are meant for the program and must not change the agent: they are handed on as BATON_PROGRAM_NODE_…, which
 * the agent gives back to the program. Returns only when exec fails: an exit code, having said why. */
int node_exec(char **argv);

#endif
