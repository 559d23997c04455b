/*
 * Files of a ClickHouse, judged without it. They come by standard input, one object a line, sorted
 * by name:
 *   {"name": "config.d/net.xml", "file": PATH, "base64": BYTES}
 * Everything is read before the sandbox, parsed in it, with no file and no socket, and told as one
 * host.
 */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "audit/config/folder.h"
#include "base/err.h"
#include "ipc/child.h"
#include "proc/audit/audit.h"

#define MEMORY_MAX (1u << 30)

struct files {
    struct config_file at[CTREE_FILES];
    size_t count;
};

static int take_file(struct files *all, const char *line, size_t len) {
    const char *name, *path, *text;
    size_t text_len, used = 0;
    json_t *o = json_loadb(line, len, 0, NULL);
    int rc = o && all->count < CTREE_FILES &&
                     json_unpack(o, "{s:s, s:s, s:s%}", "name", &name, "file", &path, "base64",
                                 &text, &text_len) == 0
                 ? 0
                 : ERR_SYNTAX;
    struct config_file *f = &all->at[all->count];
    char *bytes = rc ? NULL : malloc(text_len + 1);
    if (!rc) {
        *f = (struct config_file){.name = strdup(name), .path = strdup(path), .bytes = bytes};
        rc = f->name && f->path && f->bytes ? 0 : ERR_NOMEM;
        all->count++;
    }
    if (!rc && sodium_base642bin((uint8_t *)bytes, text_len + 1, text, text_len, NULL, &used, NULL,
                                 sodium_base64_VARIANT_ORIGINAL))
        rc = ERR_SYNTAX;
    f->len = used;
    json_decref(o);
    return rc;
}

static void unreadable(struct probe *p, const struct config_file *f) {
    const struct probe_note n = {.id = "config",
                                 .severity = "high",
                                 .title = "A file cannot be read, so what it says is not judged",
                                 .fix = "mend it; the server would not start with it either"};
    probe_note_at(p, &n, f->path, 0, f->why);
}

static int confine(void) {
    static const int none[] = {-1};
    const struct rlimit memory = {MEMORY_MAX, MEMORY_MAX};
    const struct sandbox_spec spec = {.syscalls = none, .best_effort = true};
    struct sandbox_state state;
    return setrlimit(RLIMIT_AS, &memory) ? ERR_INTERNAL : sandbox_enter(&spec, &state);
}

/* Notes about files that cannot be read come last: judging begins with an empty result. */
static void judge(struct files *all) {
    struct config_read read;
    struct ctree substitutions[2];
    struct probe_result result;
    struct probe p = {.result = &result};
    const struct conn_pair nowhere = {.address = "", .port = 0};
    config_read_all(&read, substitutions, all->at, all->count);
    config_judge(&p, &read);
    for (size_t i = 0; i < all->count; i++)
        if (all->at[i].why[0])
            unreadable(&p, &all->at[i]);
    json_t *o = audit_result_json(&nowhere, &result, 0);
    json_dumpf(o, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(o);
    ctree_done(&read.server);
    ctree_done(&read.users);
    ctree_done(&substitutions[0]);
    ctree_done(&substitutions[1]);
}

int audit_config(void) {
    static struct files all;
    char *line = NULL;
    size_t size = 0;
    int rc = 0;
    for (ssize_t n; !rc && (n = getline(&line, &size, stdin)) > 0;)
        rc = take_file(&all, line, (size_t)n);
    free(line);
    if (!rc)
        rc = confine();
    if (!rc)
        judge(&all);
    for (size_t i = 0; i < all.count; i++) {
        free((void *)(uintptr_t)all.at[i].name);
        free((void *)(uintptr_t)all.at[i].path);
        free((void *)(uintptr_t)all.at[i].bytes);
    }
    return rc || fflush(stdout) ? ERR_IO : 0;
}
