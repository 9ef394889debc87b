/* The head of an HTTP/1.x request, parsed as it arrives: RFC 9112, as strict as it asks a server to be. Pure: no I/O,
 * no memory of its own. Of the fields only those are kept that decide about the connection. */
#ifndef BATON_HTTP_H
#define BATON_HTTP_H

#include "base.h"

/* Bytes of a head, from its first to the line feed of its empty line; empty lines before it count. */
enum { HTTP_HEAD_MAX = 8192 };

enum http_method { HTTP_OTHER, HTTP_GET, HTTP_HEAD };

struct http_request {
    enum http_method method; /* HTTP_OTHER until the request line is parsed */
    int minor;               /* of the version: HTTP/1.minor */
    size_t path;             /* its offset in the head; only for GET and HEAD */
    size_t path_length;      /* without the query; 0 for "http://host", which means the root */
    size_t length;           /* of the whole head, once it is complete */
    bool keep_alive;         /* the client wants the connection to stay (RFC 9112, 9.3) */
    bool has_body;           /* a body was announced: what follows the head is no request */

    /* The parser's own. */
    size_t scanned;
    size_t line;
    bool has_request_line, has_host, has_length, has_encoding, is_chunked, says_close, says_keep_alive;
};

/* Parses on; `data` holds all `length` bytes of the connection since the end of the last request, and `request` was all
 * zero before the first call. Returns 0 when more bytes are needed (never once there are HTTP_HEAD_MAX), 200 when the
 * head is complete and valid, otherwise the status to answer before closing: 400, 414 (the request line alone is too
 * long; RFC 9112, 3), 431 (the head is), 505. */
int http_parse(struct http_request *request, const char *data, size_t length);

#endif
