/* Any text: parsed without a fault, and what is accepted has a normal form that parses to itself. */
#include "sockets.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[1024], once[ADDRESS_TEXT_SIZE], twice[ADDRESS_TEXT_SIZE];
    struct address address, again;
    const char *why = NULL;

    if (size >= sizeof text)
        return 0;
    if (size)
        memcpy(text, data, size);
    text[size] = '\0';
    if (!address_parse(text, &address, &why)) {
        if (!why || (errno != EINVAL && errno != ENAMETOOLONG))
            abort();
        return 0;
    }
    if (address.size < sizeof(sa_family_t) || address.size > sizeof address.at)
        abort();
    if (!address_format(&address, once, sizeof once) || !address_parse(once, &again, &why) ||
        memcmp(&address, &again, sizeof address) || !address_format(&again, twice, sizeof twice) || strcmp(once, twice))
        abort();
    return 0;
}
