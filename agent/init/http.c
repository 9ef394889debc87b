#include "http.h"

#include <string.h>
#include <strings.h>

/* A part of a line. */
struct text {
    const char *at;
    size_t length;
};

static bool same(struct text text, const char *word)
{
    return text.length == strlen(word) && !memcmp(text.at, word, text.length);
}

static bool same_ignoring_case(struct text text, const char *word)
{
    return text.length == strlen(word) && !strncasecmp(text.at, word, text.length);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alphanumeric(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* RFC 9110, 5.6.2 */
static bool is_token(struct text text)
{
    for (size_t i = 0; i < text.length; i++)
        if (!is_alphanumeric(text.at[i]) && !memchr("!#$%&'*+-.^_`|~", text.at[i], 15))
            return false;
    return text.length > 0;
}

static struct text trim(struct text text)
{
    while (text.length && (text.at[0] == ' ' || text.at[0] == '\t'))
        text.at++, text.length--;
    while (text.length && (text.at[text.length - 1] == ' ' || text.at[text.length - 1] == '\t'))
        text.length--;
    return text;
}

/* Takes from the front of *rest what ends before `separator`, and the separator; the whole rest when there is none. */
static struct text split(struct text *rest, char separator)
{
    const char *end = rest->length ? memchr(rest->at, separator, rest->length) : NULL;
    struct text first = {rest->at, end ? (size_t)(end - rest->at) : rest->length};
    size_t taken = first.length + (end != NULL);

    rest->at += taken;
    rest->length -= taken;
    return first;
}

/* origin-form or absolute-form (RFC 9112, 3.2); the other two forms belong to methods that we do not have. */
static bool find_path(struct http_request *request, const char *data, struct text target)
{
    static const char *const schemes[] = {"http://", "https://"};

    for (size_t i = 0; i < target.length; i++)
        if (target.at[i] <= ' ' || target.at[i] > '~' || target.at[i] == '#')
            return false;
    if (target.at[0] != '/') {
        size_t skip = 0;
        for (size_t i = 0; i < COUNT(schemes); i++) {
            size_t length = strlen(schemes[i]);
            if (target.length > length && !strncasecmp(target.at, schemes[i], length))
                skip = length;
        }
        size_t authority = skip;
        while (authority < target.length && !memchr("/?", target.at[authority], 2))
            authority++;
        if (!skip || authority == skip)
            return false;
        target.at += authority;
        target.length -= authority;
    }
    request->path = (size_t)(target.at - data);
    request->path_length = split(&target, '?').length;
    return true;
}

/* method SP request-target SP HTTP-version, with single spaces: RFC 9112, 3 */
static int parse_request_line(struct http_request *request, const char *data, struct text line)
{
    struct text method = split(&line, ' ');
    struct text target = split(&line, ' ');
    struct text version = line;

    if (!is_token(method) || !target.length || version.length != 8 || memcmp(version.at, "HTTP/", 5) ||
        !is_digit(version.at[5]) || version.at[6] != '.' || !is_digit(version.at[7]))
        return 400;
    if (version.at[5] != '1')
        return 505;
    request->minor = version.at[7] - '0';
    if (same(method, "GET"))
        request->method = HTTP_GET;
    else if (same(method, "HEAD"))
        request->method = HTTP_HEAD;
    if (request->method != HTTP_OTHER && !find_path(request, data, target))
        return 400;
    request->has_request_line = true;
    return 0;
}

/* uri-host [":" port], by its characters only: we serve the same whatever it says. It may be empty. */
static bool is_host(struct text value)
{
    for (size_t i = 0; i < value.length; i++)
        if (!is_alphanumeric(value.at[i]) && !memchr("-._~%!$&'()*+,;=:[]", value.at[i], 19))
            return false;
    return true;
}

static bool parse_content_length(struct http_request *request, struct text value)
{
    for (size_t i = 0; i < value.length; i++) {
        if (!is_digit(value.at[i]))
            return false;
        if (value.at[i] != '0')
            request->has_body = true;
    }
    return value.length > 0;
}

static bool parse_field(struct http_request *request, struct text line)
{
    const char *colon = memchr(line.at, ':', line.length);
    struct text name = split(&line, ':');
    struct text value = trim(line);

    /* A space before the colon and a folded line fail here too, as RFC 9112, 5.1 and 5.2 ask for. */
    if (!colon || !is_token(name))
        return false;
    if (same_ignoring_case(name, "host")) {
        if (request->has_host || !is_host(value))
            return false;
        request->has_host = true;
    } else if (same_ignoring_case(name, "connection")) {
        while (value.length) {
            struct text option = trim(split(&value, ','));
            request->says_close |= same_ignoring_case(option, "close");
            request->says_keep_alive |= same_ignoring_case(option, "keep-alive");
        }
    } else if (same_ignoring_case(name, "content-length")) {
        if (request->has_length || !parse_content_length(request, value))
            return false;
        request->has_length = true;
    } else if (same_ignoring_case(name, "transfer-encoding")) {
        request->has_encoding = request->has_body = true;
        request->is_chunked = false;
        while (value.length)
            request->is_chunked = same_ignoring_case(trim(split(&value, ',')), "chunked");
    }
    return true;
}

static int finish(struct http_request *request)
{
    /* RFC 9112, 3.2 (Host) and 6.3 (a body whose end cannot be found). */
    if ((request->minor > 0 && !request->has_host) || (request->has_encoding && !request->is_chunked))
        return 400;
    request->keep_alive = !request->says_close && (request->minor > 0 || request->says_keep_alive);
    return 200;
}

static int parse_line(struct http_request *request, const char *data, struct text line)
{
    if (line.length && line.at[line.length - 1] == '\r')
        line.length--;
    if (!request->has_request_line)
        return line.length ? parse_request_line(request, data, line) : 0;
    if (!line.length)
        return finish(request);
    return parse_field(request, line) ? 0 : 400;
}

int http_parse(struct http_request *request, const char *data, size_t length)
{
    size_t end = length < HTTP_HEAD_MAX ? length : HTTP_HEAD_MAX;

    while (request->scanned < end) {
        size_t here = request->scanned++;
        char c = data[here];
        if (c == '\n') {
            int status = parse_line(request, data, (struct text){data + request->line, here - request->line});
            request->line = request->scanned;
            request->length = request->scanned;
            if (status)
                return status;
        } else if (here > request->line && data[here - 1] == '\r') {
            return 400; /* a bare CR: RFC 9112, 2.2 */
        } else if (((unsigned char)c < ' ' && c != '\t' && c != '\r') || c == 0x7f) {
            return 400; /* at once: what speaks TLS to this port shall not have to wait for a deadline */
        }
    }
    if (end == HTTP_HEAD_MAX)
        return request->has_request_line ? 431 : 414;
    return 0;
}
