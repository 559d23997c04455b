/* The reader of audit_config.h. Links are followed, as ClickHouse does; what is no regular file, or
 * too large, is told and ends the command: an audit of some of the files would be none. */
#include "proc/cli/audit_config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proc/cli/cli.h"

#define FILE_MAX (1u << 20)
#define FILES_MAX 256

struct reading {
    const char *dir;
    struct buf *out;
    size_t count;
    bool users; /* the files that are read now are of users.xml */
};

static int add(struct reading *r, const char *path, const uint8_t *p, size_t len) {
    const size_t room = sodium_base64_ENCODED_LEN(len, sodium_base64_VARIANT_ORIGINAL);
    char *text = malloc(room), *line = NULL;
    if (text)
        sodium_bin2base64(text, room, p, len, sodium_base64_VARIANT_ORIGINAL);
    json_t *o =
        text ? json_pack("{s:b, s:s, s:s}", "users", (int)r->users, "file", path, "base64", text)
             : NULL;
    if (o)
        line = json_dumps(o, JSON_COMPACT);
    int rc = line ? buf_append_str(r->out, line) : -1;
    if (!rc)
        rc = buf_append_u8(r->out, '\n');
    json_decref(o);
    free(line);
    free(text);
    r->count++;
    return rc ? cli_fail(CLI_INTERNAL, NULL, "%.1000s: its name is no UTF-8, or it is too much",
                         path)
              : CLI_GO;
}

/* ERR: *ret_there false: there is none. */
static int take(struct reading *r, const char *path, bool *ret_there) {
    static uint8_t bytes[FILE_MAX + 1];
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    *ret_there = fd >= 0;
    if (fd < 0)
        return errno == ENOENT ? CLI_GO
                               : cli_fail(CLI_USAGE, "run it as a user who may",
                                          "%.1000s cannot be read: %s", path, strerror(errno));
    size_t have = 0;
    ssize_t n = fstat(fd, &st) || !S_ISREG(st.st_mode) ? -1 : 1;
    while (n > 0 && have < sizeof bytes) {
        n = read(fd, bytes + have, sizeof bytes - have);
        have += n > 0 ? (size_t)n : 0;
    }
    close(fd);
    if (n < 0 || have > FILE_MAX || r->count == FILES_MAX)
        return cli_fail(CLI_USAGE, NULL, "%.1000s: %s", path,
                        n < 0             ? "this is no file that can be read"
                        : have > FILE_MAX ? "it is larger than 1 MiB"
                                          : "more than 256 files");
    int code = add(r, path, bytes, have);
    sodium_memzero(bytes, have); /* passwords */
    return code;
}

static int is_configuration(const struct dirent *e) {
    static const char *const ends[] = {".xml", ".conf", ".yaml", ".yml"};
    const size_t n = strlen(e->d_name);
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        const size_t m = strlen(ends[i]);
        if (e->d_name[0] != '.' && n > m && strcmp(e->d_name + n - m, ends[i]) == 0)
            return 1;
    }
    return 0;
}

static int by_name(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int take_folder(struct reading *r, const char *name) {
    char folder[CLI_PATH], path[CLI_PATH];
    struct dirent **list = NULL;
    bool there;
    int code = CLI_GO;
    if (!cli_path(folder, r->dir, name))
        return cli_fail(CLI_USAGE, "use a shorter one", "the folder's path is too long");
    int n = scandir(folder, &list, is_configuration, by_name);
    if (n < 0)
        return errno == ENOENT || errno == ENOTDIR
                   ? CLI_GO
                   : cli_fail(CLI_USAGE, "run it as a user who may", "%.1000s cannot be read: %s",
                              folder, strerror(errno));
    for (int i = 0; i < n; i++) {
        if (code == CLI_GO)
            code = cli_path(path, folder, list[i]->d_name)
                       ? take(r, path, &there)
                       : cli_fail(CLI_USAGE, "use a shorter one", "the folder's path is too long");
        free(list[i]);
    }
    free(list);
    return code;
}

/* A name with its ending, and the folders that go over it. */
static int take_all(struct reading *r, const char *name) {
    static const char *const ends[] = {".xml", ".yaml", ".yml"};
    char path[CLI_PATH], file[32];
    bool there = false;
    int code = CLI_GO;
    for (size_t i = 0; code == CLI_GO && !there && i < 3; i++) {
        snprintf(file, sizeof file, "%s%s", name, ends[i]);
        code = cli_path(path, r->dir, file)
                   ? take(r, path, &there)
                   : cli_fail(CLI_USAGE, "use a shorter one", "the folder's path is too long");
    }
    snprintf(file, sizeof file, "%s.d", name);
    if (code == CLI_GO)
        code = take_folder(r, file);
    return code == CLI_GO && !r->users ? take_folder(r, "conf.d") : code;
}

int audit_config_read(const char *dir, struct buf *out) {
    struct reading r = {.dir = dir, .out = out};
    int code = take_all(&r, "config");
    r.users = true;
    if (code == CLI_GO)
        code = take_all(&r, "users");
    if (code == CLI_GO && !r.count)
        code = cli_fail(CLI_USAGE, "it is usually /etc/clickhouse-server",
                        "there is no configuration of ClickHouse in %.1000s", dir);
    return code;
}
