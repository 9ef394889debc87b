#include "check.h"
#include "http.h"

#include <stdlib.h>
#include <string.h>

/* Parses it in pieces of `step` bytes, from memory of exactly its size, so that AddressSanitizer sees any excess. */
static int parse(struct http_request *request, const char *text, size_t length, size_t step)
{
    int status = 0;

    memset(request, 0, sizeof *request);
    for (size_t have = 0; !status && have < length;) {
        have = have + step < length ? have + step : length;
        char *exact = malloc(have);
        memcpy(exact, text, have);
        status = http_parse(request, exact, have);
        free(exact);
    }
    return status;
}

/* The same whole and byte by byte. */
static int parse_both(struct http_request *request, const char *text, size_t length)
{
    struct http_request bytewise;
    int status = parse(request, text, length, length);

    CHECK(parse(&bytewise, text, length, 1) == status);
    CHECK(bytewise.method == request->method && bytewise.path == request->path);
    CHECK(bytewise.path_length == request->path_length && bytewise.length == request->length);
    CHECK(bytewise.keep_alive == request->keep_alive && bytewise.has_body == request->has_body);
    return status;
}

static const struct {
    const char *text;
    int status;
    enum http_method method;
    const char *path;
    bool keep_alive, has_body;
} valid[] = {
    {"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n", 200, HTTP_GET, "/livez", true, false},
    {"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", 200, HTTP_HEAD, "/", true, false},
    {"GET /livez HTTP/1.1\nHost: a\n\n", 200, HTTP_GET, "/livez", true, false},
    {"\r\n\n\r\nGET /livez HTTP/1.1\r\nHost: a\r\n\r\n", 200, HTTP_GET, "/livez", true, false},
    {"GET /livez?verbose=1&a=/b?c HTTP/1.1\r\nHost: a\r\n\r\n", 200, HTTP_GET, "/livez", true, false},
    {"GET /? HTTP/1.1\r\nHost: a\r\n\r\n", 200, HTTP_GET, "/", true, false},
    {"GET http://10.0.0.1:9901/readyz?x HTTP/1.1\r\nHost: a\r\n\r\n", 200, HTTP_GET, "/readyz", true, false},
    {"GET HTTPS://[::1]/readyz HTTP/1.1\r\nHost: a\r\n\r\n", 200, HTTP_GET, "/readyz", true, false},
    {"GET http://a HTTP/1.1\r\nHost: a\r\n\r\n", 200, HTTP_GET, "", true, false},
    {"GET http://a?x=/y HTTP/1.1\r\nHost: a\r\n\r\n", 200, HTTP_GET, "", true, false},
    {"GET //livez HTTP/1.1\r\nHost: a\r\n\r\n", 200, HTTP_GET, "//livez", true, false},
    /* Host: may be empty, may be an address, its case is free. */
    {"GET /a HTTP/1.1\r\nhOsT:\r\n\r\n", 200, HTTP_GET, "/a", true, false},
    {"GET /a HTTP/1.1\r\nHost:\t [fe80::1%25eth0]:80 \t\r\n\r\n", 200, HTTP_GET, "/a", true, false},
    /* Other methods, whatever their target. */
    {"POST /a HTTP/1.1\r\nHost: a\r\n\r\n", 200, HTTP_OTHER, NULL, true, false},
    {"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 200, HTTP_OTHER, NULL, true, false},
    {"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 200, HTTP_OTHER, NULL, true, false},
    {"get /a HTTP/1.1\r\nHost: a\r\n\r\n", 200, HTTP_OTHER, NULL, true, false},
    {"GETS /a HTTP/1.1\r\nHost: a\r\n\r\n", 200, HTTP_OTHER, NULL, true, false},
    /* Persistence: RFC 9112, 9.3. */
    {"GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 200, HTTP_GET, "/a", false, false},
    {"GET /a HTTP/1.1\r\nHost: a\r\nConnection: keep-alive , CLOSE\r\n\r\n", 200, HTTP_GET, "/a", false, false},
    {"GET /a HTTP/1.1\r\nHost: a\r\nConnection: ,x,\r\nconnection: close\r\n\r\n", 200, HTTP_GET, "/a", false, false},
    {"GET /a HTTP/1.1\r\nHost: a\r\nConnection: closed, Xclose\r\n\r\n", 200, HTTP_GET, "/a", true, false},
    {"GET /a HTTP/1.1\r\nHost: a\r\nX-Connection: close\r\n\r\n", 200, HTTP_GET, "/a", true, false},
    {"GET /a HTTP/1.0\r\n\r\n", 200, HTTP_GET, "/a", false, false},
    {"GET /a HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", 200, HTTP_GET, "/a", true, false},
    {"GET /a HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", 200, HTTP_GET, "/a", false, false},
    {"GET /a HTTP/1.9\r\nHost: a\r\n\r\n", 200, HTTP_GET, "/a", true, false},
    /* Bodies. */
    {"GET /a HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", 200, HTTP_GET, "/a", true, false},
    {"GET /a HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n", 200, HTTP_GET, "/a", true, true},
    {"GET /a HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\n", 200, HTTP_GET, "/a", true, true},
    {"GET /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n", 200, HTTP_GET, "/a", true, true},
    {"GET /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 200, HTTP_GET, "/a", true, true},
    {"GET /a HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n", 200, HTTP_GET, "/a", true,
     true},
    /* Values are anybody's business. */
    {"GET /a HTTP/1.1\r\nHost: a\r\nX: \xff\x80 \t caf\xc3\xa9 : , \"\r\nY:\r\nZ:z\r\n\r\n", 200, HTTP_GET, "/a", true,
     false},
};

static void check_valid(void)
{
    for (size_t i = 0; i < COUNT(valid); i++) {
        struct http_request request;
        const char *text = valid[i].text;
        size_t length = strlen(text);

        int status = parse_both(&request, text, length);
        if (status != valid[i].status)
            fprintf(stderr, "%s-> %d\n", text, status);
        CHECK(status == valid[i].status);
        CHECK(request.length == length);
        CHECK(request.method == valid[i].method);
        CHECK(request.keep_alive == valid[i].keep_alive);
        CHECK(request.has_body == valid[i].has_body);
        if (valid[i].path) {
            CHECK(request.path_length == strlen(valid[i].path));
            CHECK(!memcmp(text + request.path, valid[i].path, request.path_length));
        }
        /* Without its last byte it is incomplete, and what follows it is left alone. */
        CHECK(parse_both(&request, text, length - 1) == 0);
        char followed[512];
        memcpy(followed, text, length);
        memcpy(followed + length, "\x01GET", 4);
        CHECK(parse_both(&request, followed, length + 4) == valid[i].status && request.length == length);
    }
}

static const struct {
    const char *text;
    int status;
} invalid[] = {
    /* The request line. */
    {"GET /\r\n", 400},
    {"GET\r\n", 400},
    {" GET / HTTP/1.1\r\n", 400},
    {"GET  / HTTP/1.1\r\n", 400},
    {"GET /  HTTP/1.1\r\n", 400},
    {"GET / HTTP/1.1 \r\n", 400},
    {"GET\t/ HTTP/1.1\r\n", 400},
    {"GET /a b HTTP/1.1\r\n", 400},
    {"G(T / HTTP/1.1\r\n", 400},
    {"GET / http/1.1\r\n", 400},
    {"GET / HTTP/1\r\n", 400},
    {"GET / HTTP/11.1\r\n", 400},
    {"GET / HTTP/1.x\r\n", 400},
    {"GET / HTTP/1,1\r\n", 400},
    {"GET livez HTTP/1.1\r\n", 400},
    {"GET * HTTP/1.1\r\n", 400},
    {"GET http:///livez HTTP/1.1\r\n", 400},
    {"GET http:// HTTP/1.1\r\n", 400},
    {"GET ftp://a/livez HTTP/1.1\r\n", 400},
    {"GET a:80 HTTP/1.1\r\n", 400},
    {"GET /livez#top HTTP/1.1\r\n", 400},
    {"GET /\xc3\xa9 HTTP/1.1\r\n", 400},
    {"GET / HTTP/2.0\r\n", 505},
    {"GET / HTTP/0.9\r\n", 505},
    {"PRI * HTTP/2.0\r\n", 505},
    /* Line ends and control characters: refused at once. */
    {"\x16", 400},
    {"GET /\x7f", 400},
    {"GET /\rX", 400},
    {"\r\r", 400},
    {"GET / HTTP/1.1\r\nHost: a\r\nX: a\rb", 400},
    {"GET / HTTP/1.1\r\nHost: a\r\nX: a\x0b", 400},
    /* Fields. */
    {"GET / HTTP/1.1\r\n Host: a\r\n", 400},
    {"GET / HTTP/1.1\r\nHost : a\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: a\r\n\tfolded: x\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: a\r\n: x\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: a\r\n(X): x\r\n", 400},
    {"GET / HTTP/1.1\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n", 400},
    {"GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: a b\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: a/b\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: u@a\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n", 400},
};

static void check_invalid(void)
{
    for (size_t i = 0; i < COUNT(invalid); i++) {
        struct http_request request;
        size_t length = strlen(invalid[i].text);

        int status = parse_both(&request, invalid[i].text, length);
        if (status != invalid[i].status)
            fprintf(stderr, "%s-> %d\n", invalid[i].text, status);
        CHECK(status == invalid[i].status);
        /* Not before its last byte: none of these is refused for something else. */
        CHECK(parse(&request, invalid[i].text, length - 1, 1) == 0);
    }
    struct http_request request;
    CHECK(parse_both(&request, "GET / HTTP/1.1\r\nHost: a\0b", 25) == 400);
}

/* `head`, then as many `x` as make the whole `length` bytes, then `tail`. */
static char *padded(const char *head, const char *tail, size_t length)
{
    static char text[HTTP_HEAD_MAX + 64];

    memset(text, 'x', length);
    memcpy(text, head, strlen(head));
    memcpy(text + length - strlen(tail), tail, strlen(tail));
    return text;
}

static void check_limits(void)
{
    static const char *const fields = "GET / HTTP/1.1\r\nHost: a\r\nX: ", *const target = "GET /";
    struct http_request request;

    CHECK(parse_both(&request, padded(fields, "\r\n\r\n", HTTP_HEAD_MAX), HTTP_HEAD_MAX) == 200);
    CHECK(request.length == HTTP_HEAD_MAX);
    CHECK(parse_both(&request, padded(fields, "", HTTP_HEAD_MAX), HTTP_HEAD_MAX - 1) == 0);
    CHECK(parse_both(&request, padded(fields, "", HTTP_HEAD_MAX), HTTP_HEAD_MAX) == 431);
    CHECK(parse_both(&request, padded(fields, "\r\n\r\n", HTTP_HEAD_MAX + 1), HTTP_HEAD_MAX + 1) == 431);
    CHECK(parse_both(&request, padded(target, "", HTTP_HEAD_MAX), HTTP_HEAD_MAX - 1) == 0);
    CHECK(parse_both(&request, padded(target, "", HTTP_HEAD_MAX), HTTP_HEAD_MAX) == 414);
    CHECK(parse_both(&request, memset(padded("", "", HTTP_HEAD_MAX), '\n', HTTP_HEAD_MAX), HTTP_HEAD_MAX) == 414);
    CHECK(parse_both(&request, "", 0) == 0);
}

int main(void)
{
    check_valid();
    check_invalid();
    check_limits();
    return check_report();
}
