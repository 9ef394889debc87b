/* One binary, many roles, chosen by the first argument. */
#include "roles.h"
#include "signals.h"

#include <string.h>

static const struct {
    const char *name;
    int (*main)(int argc, char **argv);
} roles[] = {
    {"run", supervisor_main},
    {"init", init_main},
    {"health", client_main},
    {"ready", client_main},
    {"live", client_main},
    {"status", client_main},
    {"reload", client_main},
    {"drain", client_main},
    {"health-responder", responder_main},
    {"look", look_main},
};

int main(int argc, char **argv)
{
    signals_block_all();
    for (size_t i = 0; argc > 1 && i < COUNT(roles); i++)
        if (!strcmp(argv[1], roles[i].name))
            return roles[i].main(argc - 1, argv + 1);
    return agent_main(argc, argv);
}
