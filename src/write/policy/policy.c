/*
 * The policy of policy.h, read once; lines are few, so looking through them is fast enough for the
 * few findings that there are.
 */
#include "write/policy/policy.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
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
           : !strcmp(word, "block")     ? ACTION_BLOCK
           : !strcmp(word, "mask")      ? ACTION_MASK
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

static int take_lines(struct policy *p, size_t len, const char **ret_rules, size_t *ret_rules_len) {
    char *rest = p->text, *end = p->text + len;
    int rc = 0;
    while (!rc && rest && rest < end) {
        char *text = strsep(&rest, "\n");
        if (!strcmp(text, "rules")) {
            *ret_rules = rest;
            *ret_rules_len = rest ? (size_t)(end - rest) : 0;
            break;
        }
        rc = take_line(p, text);
    }
    return rc;
}

int policy_new(struct policy **ret, int fd, const char *const **ret_mute, const char **ret_rules,
               size_t *ret_rules_len) {
    struct policy *p = calloc(1, sizeof *p);
    size_t len = 0, count = 1;
    *ret = NULL;
    int rc = p ? read_text(p, fd, &len) : ERR_NOMEM;
    for (size_t i = 0; !rc && i < len; i++)
        count += p->text[i] == '\n';
    if (!rc) {
        p->lines = calloc(count, sizeof *p->lines);
        p->mute = calloc(count, sizeof *p->mute);
        rc = p->lines && p->mute ? take_lines(p, len, ret_rules, ret_rules_len) : ERR_NOMEM;
    }
    if (rc) {
        policy_free(p);
        return rc;
    }
    *ret_mute = p->mute;
    *ret = p;
    return 0;
}

void policy_free(struct policy *p) {
    if (!p)
        return;
    free(p->text);
    free(p->lines);
    free(p->mute);
    free(p);
}

bool policy_on(const struct policy *p) {
    return p->on;
}

enum action policy_action(const struct policy *p, const char *project, const char *class, const char *family) {
    enum action a = ACTION_DEFAULT;
    unsigned best = 0;
    for (size_t i = 0; i < p->line_count; i++) {
        const struct line *l = &p->lines[i];
        bool exact = !strcmp(l->class, class);
        if ((!exact && !(family && !strcmp(l->class, family))) || (l->project && strcmp(l->project, project) != 0))
            continue;
        /* what a project says of itself comes first, and of lines of one kind the last one counts */
        unsigned weight = 1u + (l->project ? 2u : 0u) + (exact ? 1u : 0u);
        if (weight >= best) {
            best = weight;
            a = l->action;
        }
    }
    return a;
}

/* A line of all projects counts where none of the project's own says otherwise. */
bool policy_has(const struct policy *p, const char *project, enum action action) {
    for (size_t i = 0; i < p->line_count; i++) {
        const struct line *l = &p->lines[i];
        if (l->action != action)
            continue;
        if (!project || (l->project ? !strcmp(l->project, project)
                                    : policy_action(p, project, l->class, NULL) == action))
            return true;
    }
    return false;
}
