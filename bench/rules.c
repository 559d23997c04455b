/*
 * What each of the detector's rules costs, in instructions: for bench/rules.mjs, which counts them with callgrind.
 *   rules compile FOLDER [RULES]      the database of all rules, and for each rule that of all others
 *   rules scan FOLDER TEXT [RULES]    scans the text with each of them in turn, once in scan_measured
 * RULES: YAML of more rules, which are taken as if they were built in. Only the rules that ONLY names, with commas,
 * are left out in turn, where it is set. `compile` prints their ids in the order of the scans; the scan of all rules
 * comes first.
 *
 * Compiled and measured apart, as a program that callgrind runs takes fifty times as long.
 */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "without.h"

#define PIECE 16384

static void need(bool truth, const char *what) {
    if (truth)
        return;
    fprintf(stderr, "rules: %s\n", what);
    exit(2);
}

static struct buf read_file(const char *path) {
    struct buf b;
    size_t n = 1;
    FILE *f = fopen(path, "r");
    need(f != NULL, path);
    for (buf_init(&b, 1u << 30); n; b.len += n) {
        CHECK(buf_reserve(&b, 1u << 16) == 0);
        n = fread(b.p + b.len, 1, b.cap - b.len, f);
    }
    fclose(f);
    return b;
}

/* All rules as the detector has them; the user's beside them are the last ones. */
static struct detect *all_rules(const char *own) {
    struct detect *d;
    struct detect_options options = {0};
    char why[512];
    if (own) {
        struct buf yaml = read_file(own);
        options = (struct detect_options){.rules = (const char *)yaml.p, .rules_len = yaml.len};
    }
    need(detect_new(&d, &options, why, sizeof why) == 0, why);
    return d;
}

static bool is_asked(const char *id) {
    const char *only = getenv("ONLY"), *at = only;
    size_t n = strlen(id);
    while (at && (at = strstr(at, id))) {
        if ((at == only || at[-1] == ',') && (at[n] == 0 || at[n] == ','))
            return true;
        at += n;
    }
    return !only || !*only;
}

/* The file of the database without a rule; SIZE_MAX: of all. */
static const char *path_of(const char *folder, size_t rule) {
    static char path[4096];
    snprintf(path, sizeof path, rule == SIZE_MAX ? "%s/all" : "%s/%zu", folder, rule);
    return path;
}

/* ---- compile ---- */

static void compile(const char *folder, const struct detect *d, size_t rule) {
    char *bytes = NULL;
    size_t len = 0;
    hs_database_t *db = without_compile(d, rule, rule == SIZE_MAX ? rule : rule + 1);
    need(hs_serialize_database(db, &bytes, &len) == HS_SUCCESS, "serialising");
    FILE *f = fopen(path_of(folder, rule), "w");
    need(f && fwrite(bytes, 1, len, f) == len && fclose(f) == 0, "writing a database");
    free(bytes);
    hs_free_database(db);
}

/* ---- scan ---- */

static struct detect_findings found;

/* Pieces end where lines end, as in bench/detect.c. */
static void scan(const struct detect *d, struct detect_work *w, const struct buf *text) {
    for (size_t at = 0; at < text->len;) {
        size_t n = text->len - at < PIECE ? text->len - at : PIECE;
        const uint8_t *end = n == PIECE ? memchr(text->p + at + n, '\n', text->len - at - n) : NULL;
        n = end ? (size_t)(end - text->p) + 1 - at : text->len - at;
        CHECK(detect_scan(d, w, text->p + at, n, DETECT_JSON, &found) == 0);
        at += n;
    }
}

/* Callgrind counts what happens in it, by its name. */
void scan_measured(const struct detect *d, struct detect_work *w, const struct buf *text);
__attribute__((noinline, noclone, used)) void scan_measured(const struct detect *d, struct detect_work *w,
                                                            const struct buf *text) {
    scan(d, w, text);
}

static void scan_without(const char *folder, const struct detect *d, struct detect_work *w, size_t rule,
                         const struct buf *text) {
    struct buf bytes = read_file(path_of(folder, rule));
    hs_database_t *db;
    need(hs_deserialize_database((const char *)bytes.p, bytes.len, &db) == HS_SUCCESS, "a database");
    struct detect others = without_make(d, w, rule, rule == SIZE_MAX ? rule : rule + 1, db);
    scan(&others, w, text); /* memory that grows, and symbols that are bound, are no rule's cost */
    scan_measured(&others, w, text);
    without_done(&others);
    buf_wipe(&bytes);
}

int main(int argc, char **argv) {
    bool compiles = argc > 2 && strcmp(argv[1], "compile") == 0;
    int own = compiles ? 3 : 4;
    need(argc > 2 && (compiles || (strcmp(argv[1], "scan") == 0 && argc > 3)) && argc <= own + 1,
         "compile FOLDER [RULES], or scan FOLDER TEXT [RULES]");
    need(sodium_init() >= 0, "libsodium");
    struct detect *d = all_rules(argc > own ? argv[own] : NULL);
    struct buf text = {0};
    struct detect_work *w = NULL;
    if (!compiles) {
        text = read_file(argv[3]);
        CHECK(detect_work_new(&w, d) == 0);
        scan_without(argv[2], d, w, SIZE_MAX, &text);
    } else {
        compile(argv[2], d, SIZE_MAX);
    }
    for (size_t i = 0; i < d->rules.count; i++) {
        if (!is_asked(d->rules.list[i].id))
            continue;
        if (compiles) {
            compile(argv[2], d, i);
            puts(d->rules.list[i].id);
        } else {
            scan_without(argv[2], d, w, i, &text);
        }
    }
    detect_findings_done(&found);
    detect_work_free(w);
    detect_free(d);
    buf_wipe(&text);
    return 0;
}
