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
    bool found; /* a file that only a ClickHouse's configuration has */
};

static int add(struct reading *r, const char *name, const char *path, const uint8_t *p,
               size_t len) {
    const size_t room = sodium_base64_ENCODED_LEN(len, sodium_base64_VARIANT_ORIGINAL);
    char *text = malloc(room), *line = NULL;
    if (text)
        sodium_bin2base64(text, room, p, len, sodium_base64_VARIANT_ORIGINAL);
    json_t *o =
        text ? json_pack("{s:s, s:s, s:s}", "name", name, "file", path, "base64", text) : NULL;
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

static bool is_main(const char *name) {
    return strncmp(name, "config.", 7) == 0 || strncmp(name, "users.", 6) == 0;
}

/* Of what lies at the top much is something else, so only the main files must be readable. */
static int take(struct reading *r, const char *name) {
    static uint8_t bytes[FILE_MAX + 1];
    char path[CLI_PATH];
    struct stat st;
    const bool must = is_main(name) || strchr(name, '/') != NULL;
    if (!cli_path(path, r->dir, name))
        return cli_fail(CLI_USAGE, "use a shorter one", "the folder's path is too long");
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return errno == ENOENT || !must
                   ? CLI_GO
                   : cli_fail(CLI_USAGE, "run it as a user who may", "%.1000s cannot be read: %s",
                              path, strerror(errno));
    size_t have = 0;
    ssize_t n = fstat(fd, &st) || !S_ISREG(st.st_mode) ? -1 : 1;
    while (n > 0 && have < sizeof bytes) {
        n = read(fd, bytes + have, sizeof bytes - have);
        have += n > 0 ? (size_t)n : 0;
    }
    close(fd);
    if (!must && (n < 0 || have > FILE_MAX))
        return CLI_GO;
    if (n < 0 || have > FILE_MAX || r->count == FILES_MAX)
        return cli_fail(CLI_USAGE, NULL, "%.1000s: %s", path,
                        n < 0             ? "this is no file that can be read"
                        : have > FILE_MAX ? "it is larger than 1 MiB"
                                          : "more than 256 files");
    r->found |= is_main(name);
    int code = add(r, name, path, bytes, have);
    sodium_memzero(bytes, have); /* passwords */
    return code;
}

static bool ends_in(const char *name, const char *const *ends) {
    const size_t n = strlen(name);
    for (; name[0] != '.' && *ends; ends++) {
        const size_t m = strlen(*ends);
        if (n > m && strcmp(name + n - m, *ends) == 0)
            return true;
    }
    return false;
}

static int is_file(const struct dirent *e) {
    return ends_in(e->d_name, (const char *const[]){".xml", ".yaml", ".yml", NULL});
}

static int is_over(const struct dirent *e) {
    return ends_in(e->d_name, (const char *const[]){".xml", ".conf", ".yaml", ".yml", NULL});
}

static int is_folder(const struct dirent *e) {
    return ends_in(e->d_name, (const char *const[]){".d", NULL});
}

static int by_name(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* What is in a folder ("": the folder itself) and counts, sorted by name. */
static int take_all(struct reading *r, const char *folder, int (*counts)(const struct dirent *),
                    int (*one)(struct reading *r, const char *name)) {
    char path[CLI_PATH], name[CLI_PATH];
    struct dirent **list = NULL;
    int code = CLI_GO;
    if (!cli_path(path, r->dir, folder))
        return cli_fail(CLI_USAGE, "use a shorter one", "the folder's path is too long");
    int n = scandir(path, &list, counts, by_name);
    if (n < 0)
        return errno == ENOENT || errno == ENOTDIR
                   ? CLI_GO
                   : cli_fail(CLI_USAGE, "run it as a user who may", "%.1000s cannot be read: %s",
                              path, strerror(errno));
    for (int i = 0; i < n; i++) {
        const int len =
            snprintf(name, sizeof name, "%s%s%s", folder, *folder ? "/" : "", list[i]->d_name);
        if (code == CLI_GO)
            code = len > 0 && len < (int)sizeof name
                       ? one(r, name)
                       : cli_fail(CLI_USAGE, "use a shorter one", "the folder's path is too long");
        free(list[i]);
    }
    free(list);
    return code;
}

static int take_folder(struct reading *r, const char *name) {
    return take_all(r, name, is_over, take);
}

int audit_config_read(const char *dir, struct buf *out) {
    struct reading r = {.dir = dir, .out = out};
    int code = take_all(&r, "", is_file, take);
    if (code == CLI_GO)
        code = take_all(&r, "", is_folder, take_folder);
    if (code == CLI_GO && !r.found)
        code = cli_fail(CLI_USAGE, "it is usually /etc/clickhouse-server",
                        "there is no configuration of ClickHouse in %.1000s", dir);
    return code;
}
