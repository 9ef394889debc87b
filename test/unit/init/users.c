#include "users.h"

#include "check.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct identity who;
static const char *why;

static void write_file(const char *path, const char *text, size_t length)
{
    FILE *file = fopen(path, "w");
    CHECK(file && fwrite(text, 1, length, file) == length && !fclose(file));
}

static void files(const char *passwd, const char *group)
{
    write_file("passwd", passwd, strlen(passwd));
    write_file("group", group, strlen(group));
}

static bool resolve(const char *user, const char *group)
{
    why = NULL;
    errno = 0;
    return user_resolve_in("passwd", "group", user, group, &who, &why);
}

static bool is(uid_t uid, gid_t gid, size_t groups, const char *home)
{
    return who.uid == uid && who.gid == gid && who.group_count == groups && !strcmp(who.home, home);
}

static void check_rules(void)
{
    files("root:x:0:0:root:/root:/bin/sh\n"
          "app:x:1000:1001:An, app:/srv/app:/bin/false\n"
          "other:x:1000:2002::/other:/bin/false\n"
          "app:x:7:7::/seven:/bin/false\n"
          "77:x:78:79::/digits:\n",
          "root:x:0:\n"
          "app:x:1001:\n"
          "adm:x:4:syslog,app\n"
          "tty:x:5:ap,apps,,app2\n"
          "audio:x:29:app\n"
          "again:x:29:app\n"
          "primary:x:1001:app\n"
          "29:x:30:other\n");

    CHECK(resolve("root", NULL) && is(0, 0, 0, "/root"));
    CHECK(resolve("app", NULL) && is(1000, 1001, 2, "/srv/app") && who.groups[0] == 4 && who.groups[1] == 29);
    /* A uid gets all that the first entry with it gets. */
    CHECK(resolve("1000", NULL) && is(1000, 1001, 2, "/srv/app"));
    CHECK(resolve("other", NULL) && is(1000, 2002, 1, "/other") && who.groups[0] == 30);
    /* A group replaces every other one. */
    CHECK(resolve("app", "audio") && is(1000, 29, 0, "/srv/app"));
    CHECK(resolve("app", "29") && is(1000, 29, 0, "/srv/app"));
    CHECK(resolve("app", "4242") && is(1000, 4242, 0, "/srv/app"));
    CHECK(resolve("5555", "audio") && is(5555, 29, 0, "/"));
    /* No entry: group 0, as `docker run --user 5555`. */
    CHECK(resolve("5555", NULL) && is(5555, 0, 0, "/"));
    /* Digits are never a name. */
    CHECK(resolve("77", NULL) && is(77, 0, 0, "/"));
    CHECK(resolve("2147483647", "2147483647") && is(2147483647, 2147483647, 0, "/"));

    CHECK(!resolve("nobody", NULL) && errno == EINVAL && strstr(why, "no such user"));
    CHECK(!resolve("", NULL) && errno == EINVAL);
    CHECK(!resolve("ap", NULL) && !resolve("appx", NULL) && !resolve("app:x", NULL));
    CHECK(!resolve("app", "none") && errno == EINVAL && strstr(why, "no such group"));
    CHECK(!resolve("app", "") && errno == EINVAL);
    CHECK(!resolve("2147483648", NULL) && errno == EINVAL && strstr(why, "uid"));
    CHECK(!resolve("app", "99999999999999999999") && errno == EINVAL && strstr(why, "gid"));
    CHECK(!resolve("-1", NULL) && !resolve("+1", NULL) && !resolve(" 1", NULL));
}

/* PID 1's own user, with and without an entry. */
static void check_own(void)
{
    char text[256];

    snprintf(text, sizeof text, "me:x:%u:55::/me:\n", (unsigned)geteuid());
    files(text, "more:x:66:me\n");
    CHECK(resolve(NULL, NULL) && is(geteuid(), 55, 1, "/me") && who.groups[0] == 66);
    CHECK(resolve(NULL, "66") && is(geteuid(), 66, 0, "/me"));
    files("", "");
    CHECK(resolve(NULL, NULL) && is(geteuid(), getegid(), 0, "/"));
}

static void check_malformed(void)
{
    static const char nul[] = "a\0b:x:1:1::/:\nok:x:2:2::/o\0k:\n";

    files("\n"
          ":x:1:1::/:\n"
          "app\n"
          "app:\n"
          "app:x\n"
          "app:x:\n"
          "app:x:1\n"
          "app:x::1::/:\n"
          "app:x:one:1::/:\n"
          "app:x:-1:1::/:\n"
          "app:x:4294967295:1::/:\n"
          "app:x:4294967296:1::/:\n"
          "app:x:1:99999999999999999999::/:\n"
          "app:x: 1:1::/:\n"
          "#app:x:1:1::/:\n"
          "+app:x:1:1::/:\n"
          "+\n"
          "-app:x:1:1::/:\n"
          "app:x:10:11",
          "app\napp:x\napp:x:\napp:x:y:app\n#c:x:1:app\n+c:x:1:app\n:x:1:app\nok:x:12:no,app");
    CHECK(resolve("app", NULL) && is(10, 11, 1, "/") && who.groups[0] == 12);
    CHECK(!resolve("#app", NULL) && !resolve("+app", NULL) && !resolve("+", NULL));
    CHECK(!resolve("app", "app") && resolve("app", "ok") && who.gid == 12);

    /* A home that is relative or does not fit is none. */
    char line[400] = "long:x:1:1::/";
    memset(line + 13, 'h', 300);
    strcpy(line + 313, ":/bin/sh\nrelative:x:2:2::home:\n");
    files(line, "");
    CHECK(resolve("long", NULL) && is(1, 1, 0, "/"));
    CHECK(resolve("relative", NULL) && is(2, 2, 0, "/"));

    write_file("passwd", nul, sizeof nul - 1);
    CHECK(!resolve("a", NULL) && resolve("ok", NULL) && is(2, 2, 0, "/"));
}

/* Lines far longer than any buffer, and members at every place of them. */
static void check_long(void)
{
    static char text[1 << 18];
    size_t used = (size_t)snprintf(text, sizeof text, "big:x:1:");

    for (int i = 0; i < 20000; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "user%d,", i);
    snprintf(text + used, sizeof text - used, "last\nsmall:x:2:last\n");
    files("user0:x:1:9::/:\nuser19999:x:2:9::/:\nlast:x:3:9::/:\nuser:x:4:9::/:\n", text);
    CHECK(resolve("user0", NULL) && who.group_count == 1 && who.groups[0] == 1);
    CHECK(resolve("user19999", NULL) && who.group_count == 1);
    CHECK(resolve("last", NULL) && who.group_count == 2 && who.groups[1] == 2);
    CHECK(resolve("user", NULL) && who.group_count == 0);
    CHECK(resolve("user", "small") && who.gid == 2);

    /* Entries on both sides of the reader's 1 KiB. */
    for (size_t pad = 1000; pad < 1030; pad++) {
        memset(text, '#', pad);
        snprintf(text + pad, sizeof text - pad, "\nedge:x:123:456::/edge:\n");
        files(text, "");
        CHECK(resolve("edge", NULL) && is(123, 456, 0, "/edge"));
    }

    used = 0;
    for (int i = 0; i < IDENTITY_GROUPS_MAX; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "g%d:x:%d:edge\n", i, 1000 + i);
    files("edge:x:1:1::/:\n", text);
    CHECK(resolve("edge", NULL) && who.group_count == IDENTITY_GROUPS_MAX && who.groups[63] == 1063);
    snprintf(text + used, sizeof text - used, "more:x:2000:edge\n");
    files("edge:x:1:1::/:\n", text);
    CHECK(!resolve("edge", NULL) && errno == E2BIG && strstr(why, "64"));
    CHECK(resolve("edge", "more") && who.gid == 2000);
}

static void check_files(void)
{
    unlink("passwd");
    unlink("group");
    CHECK(resolve("1234", NULL) && is(1234, 0, 0, "/"));
    CHECK(resolve("1234", "5") && is(1234, 5, 0, "/"));
    CHECK(!resolve("app", NULL) && errno == EINVAL);
    CHECK(!resolve("1234", "app") && errno == EINVAL);
    /* A file that is there and cannot be read is not an empty one. */
    CHECK(!user_resolve_in("/", "group", "1234", NULL, &who, &why) && errno == EISDIR && strstr(why, "cannot be read"));
    files("app:x:1:1::/:\n", "");
    CHECK(!user_resolve_in("passwd", "/", "app", NULL, &who, &why) && errno == EISDIR);

    int before = dup(0);
    close(before);
    CHECK(resolve("app", NULL) && !resolve("none", NULL) && !resolve("app", "none"));
    int after = dup(0);
    CHECK(before == after); /* nothing was left open */
    close(after);
    /* The machine's own: uid 0 is root everywhere. */
    CHECK(user_resolve("0", NULL, &who, &why) && who.uid == 0 && who.gid == 0);
}

int main(void)
{
    char directory[] = "/tmp/baton-users-XXXXXX";

    if (!mkdtemp(directory) || chdir(directory))
        return 1;
    check_rules();
    check_own();
    check_malformed();
    check_long();
    check_files();
    unlink("passwd");
    unlink("group");
    CHECK(!rmdir(directory));
    return check_report();
}
