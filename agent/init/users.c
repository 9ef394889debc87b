#include "users.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* A file of lines of fields. Fields are read one by one and lines need not fit anywhere: a group may have thousands of
 * members. */
struct reader {
    int fd;
    int error; /* an errno of open or read; 0 = none */
    bool ended;
    size_t at, filled;
    char bytes[1024];
};

struct user {
    char name[256]; /* empty = there is no entry */
    uid_t uid;
    gid_t gid;
    char home[sizeof((struct identity *)0)->home];
};

static bool refuse(const char **why, int error, const char *reason)
{
    *why = reason;
    errno = error;
    return false;
}

static void reader_open(struct reader *reader, const char *path)
{
    memset(reader, 0, offsetof(struct reader, bytes));
    reader->fd = open(path, O_RDONLY | O_CLOEXEC);
    reader->ended = reader->fd < 0;
    if (reader->fd < 0 && errno != ENOENT && errno != ENOTDIR)
        reader->error = errno;
}

static bool reader_close(struct reader *reader, const char **why)
{
    if (reader->fd >= 0)
        close(reader->fd);
    return !reader->error || refuse(why, reader->error, "/etc/passwd or /etc/group cannot be read");
}

/* The next byte; the end of the file is the end of its last line. */
static char read_byte(struct reader *reader)
{
    if (reader->at == reader->filled) {
        ssize_t n;
        do {
            n = read(reader->fd, reader->bytes, sizeof reader->bytes);
        } while (n < 0 && errno == EINTR);
        if (n <= 0) {
            reader->error = n < 0 ? errno : 0;
            reader->ended = true;
            return '\n';
        }
        reader->at = 0;
        reader->filled = (size_t)n;
    }
    return reader->bytes[reader->at++];
}

/* Reads up to ':', '\n' or `end`, and returns which it was. A field that does not fit, or has a NUL in it, is empty. */
static char read_field(struct reader *reader, char end, char *field, size_t size)
{
    size_t length = 0;
    bool fits = true;
    char c;

    while ((c = read_byte(reader)) != ':' && c != '\n' && c != end) {
        fits = fits && c && length + 1 < size;
        if (fits)
            field[length++] = c;
    }
    field[fits ? length : 0] = '\0';
    return c;
}

static void skip_line(struct reader *reader, char last)
{
    while (last != '\n')
        last = read_byte(reader);
}

/* Digits alone. The limit is Docker's and the OCI runtimes'; 4294967295 would mean "leave it as it is" (setuid(2)). */
static bool parse_id(const char *text, uint32_t *id)
{
    long number;

    if (text[strspn(text, "0123456789")] || !parse_number(text, 0, INT32_MAX, &number))
        return false;
    *id = (uint32_t)number;
    return true;
}

static bool is_number(const char *text)
{
    return *text && !text[strspn(text, "0123456789")];
}

/* A comment, or a line for NIS ("+name", "-name": nsswitch.conf(5), compat mode), is no entry. */
static bool is_name(const char *name)
{
    return *name && !strchr("#+-", *name);
}

/* NAME:PASSWORD:UID:GID:COMMENT:HOME:SHELL */
static bool read_user(struct reader *reader, struct user *user)
{
    char unused[2], uid[16], gid[16];
    char last = read_field(reader, ':', user->name, sizeof user->name);

    if (last == ':')
        last = read_field(reader, ':', unused, sizeof unused);
    *uid = *gid = *user->home = '\0';
    if (last == ':')
        last = read_field(reader, ':', uid, sizeof uid);
    if (last == ':')
        last = read_field(reader, ':', gid, sizeof gid);
    if (last == ':')
        last = read_field(reader, ':', unused, sizeof unused);
    if (last == ':')
        last = read_field(reader, ':', user->home, sizeof user->home);
    skip_line(reader, last);
    return is_name(user->name) && parse_id(uid, &user->uid) && parse_id(gid, &user->gid);
}

/* The first entry of that name, or, where `name` is NULL, of that uid. user->name is empty when there is none. */
static bool find_user(const char *path, const char *name, uid_t uid, struct user *user, const char **why)
{
    struct reader reader;

    reader_open(&reader, path);
    bool found = false;
    while (!found && !reader.ended)
        found = read_user(&reader, user) && (name ? !strcmp(user->name, name) : user->uid == uid);
    if (!found)
        *user->name = '\0';
    return reader_close(&reader, why);
}

/* NAME:PASSWORD:GID:MEMBER,MEMBER… up to the members; *last is the delimiter in front of them. */
static bool read_group(struct reader *reader, char *name, size_t size, gid_t *gid, char *last)
{
    char unused[2], id[16] = "";

    *last = read_field(reader, ':', name, size);
    if (*last == ':')
        *last = read_field(reader, ':', unused, sizeof unused);
    if (*last == ':')
        *last = read_field(reader, ':', id, sizeof id);
    return is_name(name) && parse_id(id, gid);
}

static bool find_group(const char *path, const char *wanted, gid_t *gid, const char **why)
{
    struct reader reader;
    char name[256], last;
    bool found = false;

    reader_open(&reader, path);
    while (!found && !reader.ended) {
        found = read_group(&reader, name, sizeof name, gid, &last) && !strcmp(name, wanted);
        skip_line(&reader, last);
    }
    return reader_close(&reader, why) && (found || refuse(why, EINVAL, "there is no such group in /etc/group"));
}

static bool has_group(const struct identity *identity, gid_t gid)
{
    bool found = identity->gid == gid;

    for (size_t i = 0; i < identity->group_count; i++)
        found = found || identity->groups[i] == gid;
    return found;
}

static bool add_memberships(const char *path, const char *user, struct identity *out, const char **why)
{
    struct reader reader;
    char name[256], last;
    bool fits = true;

    reader_open(&reader, path);
    while (fits && !reader.ended) {
        gid_t gid;
        bool member = false;
        bool valid = read_group(&reader, name, sizeof name, &gid, &last);
        while (last == ':' || last == ',') {
            last = read_field(&reader, ',', name, sizeof name);
            member = member || !strcmp(name, user);
        }
        if (!valid || !member || has_group(out, gid))
            continue;
        fits = out->group_count < IDENTITY_GROUPS_MAX;
        if (fits)
            out->groups[out->group_count++] = gid;
    }
    return reader_close(&reader, why) &&
           (fits || refuse(why, E2BIG, "the user is in more than 64 groups; name the one that is needed"));
}

bool user_resolve_in(const char *passwd_path, const char *group_path, const char *user, const char *group,
                     struct identity *out, const char **why)
{
    struct user entry;
    bool numeric = !user || is_number(user);

    memset(out, 0, sizeof *out);
    strcpy(out->home, "/");
    if (!user) {
        out->uid = geteuid();
        out->gid = getegid();
    } else if (numeric && !parse_id(user, &out->uid)) {
        return refuse(why, EINVAL, "the uid is not a number from 0 to 2147483647");
    }
    if (!find_user(passwd_path, numeric ? NULL : user, out->uid, &entry, why))
        return false;
    if (*entry.name) {
        out->uid = entry.uid;
        out->gid = entry.gid;
        if (*entry.home == '/')
            strcpy(out->home, entry.home);
    } else if (!numeric) {
        return refuse(why, EINVAL, "there is no such user in /etc/passwd");
    }

    if (!group)
        return !*entry.name || add_memberships(group_path, entry.name, out, why);
    if (!is_number(group))
        return find_group(group_path, group, &out->gid, why);
    return parse_id(group, &out->gid) || refuse(why, EINVAL, "the gid is not a number from 0 to 2147483647");
}

bool user_resolve(const char *user, const char *group, struct identity *out, const char **why)
{
    return user_resolve_in("/etc/passwd", "/etc/group", user, group, out, why);
}
