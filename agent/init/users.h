/* Users and groups out of /etc/passwd and /etc/group (passwd(5), group(5)), read directly: NSS needs shared objects,
 * which a static binary cannot load and a `FROM scratch` image does not have. */
#ifndef BATON_USERS_H
#define BATON_USERS_H

#include "base.h"

enum { IDENTITY_GROUPS_MAX = 64 };

/* As whom a program runs. */
struct identity {
    uid_t uid;
    gid_t gid;
    size_t group_count;
    gid_t groups[IDENTITY_GROUPS_MAX]; /* supplementary; `gid` is not repeated, and none comes twice */
    char home[256];                    /* "/" when unknown */
};

/* Resolves a name or number each. The rules are those of `docker run --user` and of USER in a Dockerfile
 * (moby/sys/user, GetExecUser), so that a program gets the same rights under both:
 *
 *   - digits are always a uid (or gid), 0..2147483647, never a name, and need no entry; the first entry counts;
 *   - without `group` (NULL): the entry's primary group, and all groups that have the user as a member. A uid without
 *     an entry gets group 0, and no other;
 *   - with `group`: that group alone, whatever the user is a member of;
 *   - `user` NULL: PID 1's own uid, and its own gid where that uid has no entry.
 *
 * A file that does not exist is an empty one. Malformed lines are skipped: Docker takes a number that it cannot read
 * for 0, which is root. False leaves *out undefined, a static fragment for people in *why, and errno: EINVAL (no such
 * user or group), E2BIG (more than IDENTITY_GROUPS_MAX groups), or that of open(2) or read(2). */
bool user_resolve(const char *user, const char *group, struct identity *out, const char **why);

/* The same, out of the given files. */
bool user_resolve_in(const char *passwd_path, const char *group_path, const char *user, const char *group,
                     struct identity *out, const char **why);

#endif
