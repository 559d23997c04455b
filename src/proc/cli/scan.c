/*
 * `safehouse scan`: the detector over files, folders and standard input. It needs no installation and
 * connects to nothing. What it prints says where something is and of what class, never the value: its
 * output goes to terminals, logs and CI systems.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "proc/cli/cli.h"
#include "write/detect/detect.h"

#define MUTES_MAX 64
#define FILE_MAX (1u << 30)
#define DEPTH_MAX 64
#define RULES_FILE_MAX (4u << 20)
#define BINARY_LOOK 8192 /* bytes in which a NUL says that a file is no text */

struct scan {
    struct detect *d;
    struct detect_work *w;
    struct detect_findings found;
    bool json, as_json;
    json_t *results; /* of SARIF, or NULL */
    size_t count, files, failed;
};

/* ---- saying ---- */

/* Paths come from a file system: what is no UTF-8 is written with '?', and no control characters. */
static json_t *path_text(const char *path) {
    json_t *text = json_string(path);
    if (text)
        return text;
    char *copy = strdup(path);
    for (char *s = copy; s && *s; s++)
        if ((unsigned char)*s < 0x20 || (unsigned char)*s >= 0x7f)
            *s = '?';
    text = copy ? json_string(copy) : NULL;
    free(copy);
    return text;
}

struct position {
    size_t at, line, line_start;
};

static void move(struct position *p, const uint8_t *text, size_t to) {
    for (; p->at < to; p->at++) {
        if (text[p->at] == '\n') {
            p->line++;
            p->line_start = p->at + 1;
        }
    }
}

static json_t *sarif_result(const char *path, struct detect_rule_info rule, const struct position *p,
                            const struct detect_finding *f) {
    return json_pack("{s:s, s:s, s:{s:s+}, s:[{s:{s:{s:o}, s:{s:I, s:I, s:I, s:I}}}]}", "ruleId", rule.id,
                     "level", rule.personal ? "warning" : "error", "message", "text",
                     rule.personal ? "personal data: " : "secret: ", rule.class, "locations",
                     "physicalLocation", "artifactLocation", "uri", path_text(path), "region",
                     "startLine", (json_int_t)p->line, "startColumn",
                     (json_int_t)(f->start - p->line_start + 1), "byteOffset", (json_int_t)f->start,
                     "byteLength", (json_int_t)(f->end - f->start));
}

static bool say(struct scan *s, const char *path, const uint8_t *text, struct position *p,
                const struct detect_finding *f) {
    static const char *const checks[] = {"none", "ok", "bad"};
    struct detect_rule_info rule = detect_rule(s->d, f->rule);
    move(p, text, f->start);
    size_t column = f->start - p->line_start + 1;
    s->count++;
    if (s->results)
        return json_array_append_new(s->results, sarif_result(path, rule, p, f)) == 0;
    if (s->json)
        return cli_print_json(json_pack(
            "{s:o, s:s, s:s, s:b, s:I, s:I, s:I, s:I, s:s}", "path", path_text(path), "class",
            rule.class, "rule", rule.id, "personal", (int)rule.personal, "start", (json_int_t)f->start,
            "end", (json_int_t)f->end, "line", (json_int_t)p->line, "column", (json_int_t)column,
            "checksum", checks[f->check]));
    return printf("%s:%zu:%zu: %s (%s)\n", path, p->line, column, rule.class, rule.id) > 0;
}

/* ---- one text ---- */

static int scan_bytes(struct scan *s, const char *path, const uint8_t *p, size_t len) {
    struct position at = {0, 1, 0};
    int rc = detect_scan(s->d, s->w, p, len, s->as_json ? DETECT_JSON : DETECT_TEXT, &s->found);
    if (rc) {
        s->failed++;
        cli_fail_err(rc, NULL, path);
        return CLI_GO;
    }
    s->files++;
    for (size_t i = 0; i < s->found.count; i++)
        if (!say(s, path, p, &at, &s->found.items[i]))
            return cli_fail(CLI_INCOMPLETE, NULL, "the output could not be written");
    return CLI_GO;
}

static int scan_descriptor(struct scan *s, const char *path, int fd) {
    struct buf b;
    int rc = 0, code = CLI_GO;
    ssize_t n = 1;
    buf_init(&b, FILE_MAX);
    while (!rc && n > 0) {
        rc = buf_reserve(&b, 1u << 16);
        n = rc ? 0 : read(fd, b.p + b.len, b.cap - b.len);
        if (n < 0)
            rc = err_from_errno(errno);
        else
            b.len += (size_t)n;
    }
    if (rc) {
        s->failed++;
        cli_fail_err(rc, NULL, path);
    } else {
        code = scan_bytes(s, path, b.p, b.len);
    }
    buf_wipe(&b);
    return code;
}

/* ---- files and folders ---- */

/* `named`: the person said this very file, so it is scanned whatever it is. */
static int scan_file(struct scan *s, const char *path, bool named) {
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | (named ? 0 : O_NOFOLLOW));
    int code = CLI_GO;
    if (fd < 0 || fstat(fd, &st) < 0) {
        s->failed++;
        cli_fail_err(err_from_errno(errno), NULL, path);
    } else if (!S_ISREG(st.st_mode) && named) {
        code = scan_descriptor(s, path, fd);
    } else if (S_ISREG(st.st_mode) && st.st_size > (off_t)FILE_MAX) {
        s->failed++;
        cli_fail_err(ERR_LIMIT, NULL, path);
    } else if (S_ISREG(st.st_mode) && st.st_size > 0) {
        char head[BINARY_LOOK];
        ssize_t n = pread(fd, head, sizeof head, 0);
        if (n > 0 && (named || !memchr(head, 0, (size_t)n)))
            code = scan_descriptor(s, path, fd);
        sodium_memzero(head, sizeof head);
    }
    if (fd >= 0)
        close(fd);
    return code;
}

/* Folders of tools, whose contents are somebody else's or a copy of what is scanned anyway. */
static bool is_skipped(const char *name) {
    static const char *const names[] = {".", "..", ".git", ".hg", ".svn", "node_modules", "__pycache__"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

static int scan_path(struct scan *s, const char *path, bool named, int depth);

static int scan_folder(struct scan *s, const char *path, int depth) {
    struct dirent **entries = NULL;
    int n = depth < DEPTH_MAX ? scandir(path, &entries, NULL, alphasort) : -1, code = CLI_GO;
    if (n < 0) {
        s->failed++;
        cli_fail_err(depth < DEPTH_MAX ? err_from_errno(errno) : ERR_LIMIT, NULL, path);
    }
    for (int i = 0; i < n; i++) {
        char inner[CLI_PATH];
        if (code == CLI_GO && !is_skipped(entries[i]->d_name) && cli_path(inner, path, entries[i]->d_name))
            code = scan_path(s, inner, false, depth + 1);
        free(entries[i]);
    }
    free(entries);
    return code;
}

static int scan_path(struct scan *s, const char *path, bool named, int depth) {
    struct stat st;
    if (named && strcmp(path, "-") == 0)
        return scan_descriptor(s, "-", STDIN_FILENO);
    if ((named ? stat(path, &st) : lstat(path, &st)) == 0 && S_ISDIR(st.st_mode))
        return scan_folder(s, path, depth);
    return scan_file(s, path, named);
}

/* ---- the whole ---- */

static bool print_sarif(struct scan *s) {
    json_t *rules = json_array();
    for (size_t i = 0; i < detect_rules(s->d); i++) {
        struct detect_rule_info rule = detect_rule(s->d, i);
        json_array_append_new(rules, json_pack("{s:s, s:{s:s}}", "id", rule.id, "shortDescription",
                                               "text", rule.class));
    }
    json_t *results = s->results;
    s->results = NULL;
    return cli_print_json(json_pack(
        "{s:s, s:s, s:[{s:{s:{s:s, s:s, s:o}}, s:s, s:o}]}", "$schema",
        "https://json.schemastore.org/sarif-2.1.0.json", "version", "2.1.0", "runs", "tool", "driver",
        "name", "safehouse", "informationUri", "https://docs.oasis-open.org/sarif/sarif/v2.1.0/",
        "rules", rules, "columnKind", "utf16CodeUnits", "results", results));
}

/* "a,b,c" into names, borrowed from `list`, which is cut up. */
static bool split(char *list, const char *names[MUTES_MAX + 1]) {
    size_t n = 0;
    for (char *s = strtok(list, ","); s; s = strtok(NULL, ",")) {
        if (n == MUTES_MAX)
            return false;
        names[n++] = s;
    }
    names[n] = NULL;
    return true;
}

static int read_rules(const char *path, struct buf *out) {
    int fd = open(path, O_RDONLY | O_CLOEXEC), rc = 0;
    ssize_t n = 1;
    if (fd < 0)
        return cli_fail_err(err_from_errno(errno), NULL, path);
    while (!rc && n > 0) {
        rc = buf_reserve(out, 4096);
        n = rc ? 0 : read(fd, out->p + out->len, out->cap - out->len);
        rc = n < 0 ? err_from_errno(errno) : rc;
        out->len += n > 0 ? (size_t)n : 0;
    }
    close(fd);
    return rc ? cli_fail_err(rc, NULL, path) : CLI_GO;
}

static int prepare(struct scan *s, const char *rules, const char *mute) {
    const char *muted[MUTES_MAX + 1] = {NULL};
    struct detect_options options = {.mute = muted};
    struct buf own;
    char why[512], *list = mute ? strdup(mute) : NULL;
    int code = CLI_GO;
    buf_init(&own, RULES_FILE_MAX);
    if (list && !split(list, muted))
        code = cli_fail(CLI_USAGE, NULL, "at most %d rules can be muted", MUTES_MAX);
    if (code == CLI_GO && rules)
        code = read_rules(rules, &own);
    if (code == CLI_GO) {
        options.rules = (const char *)own.p;
        options.rules_len = own.len;
        int rc = detect_new(&s->d, &options, why, sizeof why);
        if (!rc)
            rc = detect_try(s->d, why, sizeof why);
        if (rc)
            code = cli_fail(rc == ERR_NOMEM ? CLI_INTERNAL : CLI_USAGE, NULL, "%s", why);
        else if (detect_work_new(&s->w, s->d))
            code = cli_fail_err(ERR_NOMEM, NULL, "making the detector");
    }
    buf_wipe(&own);
    free(list);
    return code;
}

static int list_rules(const struct scan *s) {
    for (size_t i = 0; i < detect_rules(s->d); i++) {
        struct detect_rule_info rule = detect_rule(s->d, i);
        printf("%-32s %-30s %-20s %s\n", rule.id, rule.class, rule.family ? rule.family : "-",
               rule.personal ? "personal" : "secret");
    }
    return CLI_DONE;
}

int cli_scan(int argc, char **argv) {
    static const struct cli_usage usage = {
        "safehouse scan [OPTIONS] FILES...",
        "Finds secrets and personal data in files, folders and standard input (-), and says where they\n"
        "are, never what they are. Exit code 1 when something was found, 3 when a file could not be read."};
    const char *rules = NULL, *mute = NULL;
    bool sarif = false, list = false;
    struct scan s = {0};
    const struct cli_option options[] = {
        {"--json", NULL, .flag = &s.json, .help = "one object a line"},
        {"--sarif", NULL, .flag = &sarif, .help = "one SARIF 2.1.0 document"},
        {"--as-json", NULL, .flag = &s.as_json, .help = "the input is JSON: look at its strings, decoded"},
        {"--rules", "FILE", .text = &rules, .help = "rules of your own, beside the built-in ones (YAML)"},
        {"--mute", "NAMES", .text = &mute, .help = "rules or classes to leave out, with commas"},
        {"--list", NULL, .flag = &list, .help = "print the rules and end"},
        {0}};
    int words, code = cli_parse(&usage, options, argc, argv, 0, 1 << 20, &words);
    if (code != CLI_GO)
        return code;
    if (!words && !list)
        return cli_fail(CLI_USAGE, "name files, folders, or - for standard input", "nothing to scan");
    code = prepare(&s, rules, mute);
    if (code == CLI_GO && list)
        code = list_rules(&s);
    if (code == CLI_GO && sarif && !(s.results = json_array()))
        code = CLI_INTERNAL;
    for (int i = 1; code == CLI_GO && i <= words; i++)
        code = scan_path(&s, argv[i], true, 0);
    if (code == CLI_GO && sarif && !print_sarif(&s))
        code = CLI_INTERNAL;
    if (code == CLI_GO)
        code = s.failed ? CLI_INCOMPLETE : s.count ? CLI_FOUND : CLI_DONE;
    json_decref(s.results);
    detect_findings_done(&s.found);
    detect_work_free(s.w);
    detect_free(s.d);
    return code;
}
