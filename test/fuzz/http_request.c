/* The parser of the health responder: the input is what a client sends, up to the first head's end. */
#include "http.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check(const struct http_request *request, int status, const char *data, size_t size)
{
    require(status == 0 || status == 200 || status == 400 || status == 414 || status == 431 || status == 505);
    require(status != 0 || size < HTTP_HEAD_MAX);
    require(request->length <= size && request->length <= HTTP_HEAD_MAX);
    if (status != 200)
        return;
    require(request->length > 0 && data[request->length - 1] == '\n');
    if (request->method == HTTP_OTHER)
        return;
    require(request->path + request->path_length < request->length);
    for (size_t i = 0; i < request->path_length; i++) {
        char c = data[request->path + i];
        require(c > ' ' && c <= '~' && c != '?' && c != '#');
    }
    require(!request->path_length || data[request->path] == '/');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_request whole = {0}, bytewise = {0};
    const char *text = (const char *)data;
    int status = http_parse(&whole, text, size), later = 0;

    check(&whole, status, text, size);
    for (size_t length = 0; !later && length < size; length++)
        later = http_parse(&bytewise, text, length + 1);
    require(later == status);
    require(!memcmp(&whole, &bytewise, sizeof whole));
    return 0;
}
