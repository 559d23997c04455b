/*
 * The configuration's `detect` as the sealer gets it: a memory file of lines, because the sealer
 * opens no files and reads no configuration.
 *
 *   on                           first; without it nothing is looked for, and nothing else follows
 *   mute NAME
 *   class CLASS ACTION
 *   project PROJECT CLASS ACTION
 *   rules                        the rest is the user's own rules, in YAML
 *
 * It is tried on a detector here, so that what the sealer gets works, and a wrong rule is told to
 * whoever wrote it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "proc/supervisor/policy.h"
#include "write/detect/detect.h"

#define RULES_BYTES (4u << 20)

static int read_rules(const char *path, struct buf *out, struct why *why) {
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    int rc = fd < 0 || fstat(fd, &st) ? err_from_errno(errno) : S_ISREG(st.st_mode) ? 0 : ERR_USAGE;
    for (ssize_t n = 1; !rc && n > 0;) {
        rc = buf_reserve(out, 4096);
        n = rc ? 0 : read(fd, out->p + out->len, 4096);
        if (n < 0)
            rc = err_from_errno(errno);
        else
            out->len += (size_t)n;
    }
    if (fd >= 0)
        close(fd);
    return rc ? why_say(why, rc, "the rules in %.1000s cannot be read: %s", path, err_text(rc)) : 0;
}

/* ---- trying it ---- */

static int check_classes(const struct detect *d, const struct config_pairs *pairs,
                         struct why *why) {
    for (size_t i = 0; i < pairs->count; i++)
        if (!detect_has_class(d, pairs->at[i].name))
            return why_say(why, ERR_USAGE, "line %u: no rule is of the class or family %.60s",
                           pairs->at[i].mark.line, pairs->at[i].name);
    return 0;
}

static int try(const struct config *c, const struct buf *rules, struct why *why) {
    const char **mute = calloc(c->detect.mute.count + 1, sizeof *mute);
    char sentence[512];
    struct detect *d = NULL;
    if (!mute)
        return why_say(why, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < c->detect.mute.count; i++)
        mute[i] = c->detect.mute.at[i].text;
    const struct detect_options options = {(const char *)rules->p, rules->len, mute};
    int rc = detect_new(&d, &options, sentence, sizeof sentence);
    free(mute);
    if (!rc)
        rc = detect_try(d, sentence, sizeof sentence);
    if (rc)
        return why_say(why, rc, "detect: %.500s", sentence);
    rc = check_classes(d, &c->detect.classes, why);
    for (size_t i = 0; !rc && i < c->detect.projects.count; i++)
        rc = check_classes(d, &c->detect.projects.at[i].classes, why);
    detect_free(d);
    return rc;
}

/* ---- the memory file ---- */

static int put_classes(struct buf *out, const char *project, const struct config_pairs *pairs) {
    int rc = 0;
    for (size_t i = 0; !rc && i < pairs->count; i++)
        rc = project ? buf_printf(out, "project %s %s %s\n", project, pairs->at[i].name,
                                  pairs->at[i].text)
                     : buf_printf(out, "class %s %s\n", pairs->at[i].name, pairs->at[i].text);
    return rc;
}

static int put_all(struct buf *out, const struct config *c, const struct buf *rules) {
    if (!c->detect.enabled)
        return 0;
    int rc = buf_append_str(out, "on\n");
    for (size_t i = 0; !rc && i < c->detect.mute.count; i++)
        rc = buf_printf(out, "mute %s\n", c->detect.mute.at[i].text);
    if (!rc)
        rc = put_classes(out, NULL, &c->detect.classes);
    for (size_t i = 0; !rc && i < c->detect.projects.count; i++)
        rc = put_classes(out, c->detect.projects.at[i].name, &c->detect.projects.at[i].classes);
    if (!rc && rules->len)
        rc = buf_append_str(out, "rules\n");
    return rc ? rc : buf_append(out, rules->p, rules->len);
}

static int make_file(const struct buf *text, int *ret) {
    int fd = memfd_create("safehouse-detect", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return err_from_errno(errno);
    if (write(fd, text->p, text->len) != (ssize_t)text->len || fchmod(fd, 0600) ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_WRITE | F_SEAL_SEAL)) {
        int rc = err_from_errno(errno);
        close(fd);
        return rc;
    }
    *ret = fd;
    return 0;
}

int policy_make(const struct config *c, int *ret_fd, struct why *why) {
    struct buf rules, text;
    buf_init(&rules, RULES_BYTES);
    buf_init(&text, 2 * RULES_BYTES);
    int rc = *c->detect.rules ? read_rules(c->detect.rules, &rules, why) : 0;
    if (!rc &&
        (rules.len || c->detect.mute.count || c->detect.classes.count || c->detect.projects.count))
        rc = try(c, &rules, why);
    if (!rc) {
        rc = put_all(&text, c, &rules);
        if (!rc)
            rc = make_file(&text, ret_fd);
        if (rc)
            why_say(why, rc, "making the detector's memory file: %s", err_text(rc));
    }
    buf_wipe(&rules);
    buf_wipe(&text);
    return rc;
}

bool policy_same(int a, int b) {
    struct stat x, y;
    if (fstat(a, &x) || fstat(b, &y) || x.st_size != y.st_size)
        return false;
    size_t len = (size_t)x.st_size;
    if (!len)
        return true;
    void *p = mmap(NULL, len, PROT_READ, MAP_SHARED, a, 0);
    void *q = mmap(NULL, len, PROT_READ, MAP_SHARED, b, 0);
    bool same = p != MAP_FAILED && q != MAP_FAILED && !memcmp(p, q, len);
    if (p != MAP_FAILED)
        munmap(p, len);
    if (q != MAP_FAILED)
        munmap(q, len);
    return same;
}
