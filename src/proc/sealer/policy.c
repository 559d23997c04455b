/*
 * What the configuration says of the detector's classes. The supervisor writes it as lines
 * (src/proc/supervisor/policy.c) and has tried it; it is checked here all the same. Lives as long
 * as the process.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "proc/sealer/sealer.h"

#define TEXT_MAX (16u << 20)

struct line {
    const char *project; /* NULL: of all projects */
    const char *class;
    enum action action;
};

struct policy {
    bool on;
    char *text; /* NUL-ended; the lines are cut out of it */
    struct line *lines;
    size_t line_count;
    const char **mute;
    size_t mute_count;
};

/* The whole file from its beginning: its offset is shared with every sealer before. */
static int read_text(struct policy *p, int fd, size_t *ret_len) {
    struct stat st = {0};
    if (fd >= 0 && (fstat(fd, &st) || st.st_size > TEXT_MAX))
        return ERR_IO;
    *ret_len = (size_t)st.st_size;
    p->text = calloc(1, *ret_len + 1);
    if (!p->text)
        return ERR_NOMEM;
    return *ret_len && pread(fd, p->text, *ret_len, 0) != (ssize_t)*ret_len ? ERR_IO : 0;
}

static enum action action_named(const char *word) {
    return !strcmp(word, "fingerprint") ? ACTION_FINGERPRINT
           : !strcmp(word, "seal")      ? ACTION_SEAL
           : !strcmp(word, "allow")     ? ACTION_ALLOW
                                        : ACTION_DEFAULT;
}

static int take_line(struct policy *p, char *text) {
    char *word[4] = {0}, *rest = text;
    size_t n = 0;
    if (!strcmp(text, "on")) {
        p->on = true;
        return 0;
    }
    while (n < 4 && rest)
        word[n++] = strsep(&rest, " ");
    if (rest || n < 2)
        return ERR_SYNTAX;
    if (n == 2 && !strcmp(word[0], "mute")) {
        p->mute[p->mute_count++] = word[1];
        return 0;
    }
    struct line l = {.class = word[n - 2], .action = action_named(word[n - 1])};
    if (n == 4 && !strcmp(word[0], "project"))
        l.project = word[1];
    else if (n != 3 || strcmp(word[0], "class") != 0)
        return ERR_SYNTAX;
    p->lines[p->line_count++] = l;
    return l.action == ACTION_DEFAULT ? ERR_SYNTAX : 0;
}

int policy_new(struct policy **ret, int fd, const char *const **ret_mute, const char **ret_rules,
               size_t *ret_rules_len) {
    struct policy *p = calloc(1, sizeof *p);
    size_t len = 0, count = 1;
    if (!p)
        return ERR_NOMEM;
    *ret = p; /* a start that fails ends the process */
    int rc = read_text(p, fd, &len);
    if (rc)
        return rc;
    char *rest = p->text, *end = p->text + len;
    for (char *s = rest; s < end; s++)
        count += *s == '\n';
    p->lines = calloc(count, sizeof *p->lines);
    p->mute = calloc(count, sizeof *p->mute);
    if (!p->lines || !p->mute)
        return ERR_NOMEM;
    *ret_mute = p->mute;
    while (!rc && rest && rest < end) {
        char *text = strsep(&rest, "\n");
        if (!strcmp(text, "rules")) {
            *ret_rules = rest;
            *ret_rules_len = rest ? (size_t)(end - rest) : 0;
            return 0;
        }
        rc = take_line(p, text);
    }
    return rc;
}

bool policy_on(const struct policy *p) {
    return p->on;
}

enum action policy_action(const struct policy *p, const char *project, const char *class) {
    enum action a = ACTION_DEFAULT;
    for (size_t i = 0; i < p->line_count; i++) {
        const struct line *l = &p->lines[i];
        if (strcmp(l->class, class) != 0)
            continue;
        if (l->project && !strcmp(l->project, project))
            return l->action; /* what a project says of itself comes first */
        if (!l->project)
            a = l->action;
    }
    return a;
}
