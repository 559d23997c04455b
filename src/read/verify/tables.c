/*
 * Are the tables what they were made as (verify_int.h)? A TTL would delete rows later, another
 * expression of an ALIAS column would show readers another cell. Codecs and settings are left out:
 * they change how rows lie on the disk, not what they are.
 *
 * The expected texts are the engine's own of the statements in src/store/schema.c.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/bytes.h"
#include "base/err.h"
#include "read/verify/verify_int.h"

#define DEFINITION_MAX (64u << 10)

static const struct table {
    const char *name, *definition;
} tables[] = {
#include "read/verify/tables.inc"
};

static int append(void *arg, const void *p, size_t len) {
    return buf_append(arg, p, len);
}

/* Past the parenthesis that closes the one at p. */
static const char *past_parentheses(const char *p) {
    int depth = 0;
    bool quoted = false;
    for (; *p; p++) {
        if (quoted) {
            if (*p == '\\' && p[1])
                p++;
            else
                quoted = *p != '\'';
        } else if (*p == '\'') {
            quoted = true;
        } else if (*p == '(') {
            depth++;
        } else if (*p == ')' && --depth == 0) {
            return p + 1;
        }
    }
    return p;
}

/* One space for any, no CODEC(...), no settings. In place. */
static void plain(char *text) {
    char *out = text;
    for (const char *p = text; *p;) {
        if (isspace((unsigned char)*p)) {
            while (isspace((unsigned char)*p))
                p++;
            if (strncmp(p, "CODEC(", 6) == 0)
                p = past_parentheses(p);
            else if (strncmp(p, "SETTINGS ", 9) == 0)
                break;
            else if (*p)
                *out++ = ' ';
        } else {
            *out++ = *p++;
        }
    }
    *out = 0;
}

static bool has_ttl(const char *text) {
    for (const char *p = text; (p = strcasestr(p, "TTL ")) != NULL; p++)
        if (p > text && p[-1] == ' ')
            return true;
    return false;
}

/* Is `text` the definition, of a table whose name has `prefix` before it? */
static bool is_made_so(const char *text, const char *definition, const char *prefix) {
    static const char create[] = "CREATE TABLE safehouse.";
    const size_t head = sizeof create - 1, n = strlen(prefix);
    return strncmp(text, create, head) == 0 && strncmp(text + head, prefix, n) == 0 &&
           strcmp(text + head + n, definition + head) == 0;
}

static int check(struct verify *v, const struct table *t, const char *prefix) {
    struct buf text;
    char sql[64];
    buf_init(&text, DEFINITION_MAX);
    snprintf(sql, sizeof sql, "SHOW CREATE TABLE %s%s", prefix, t->name);
    int rc = verify_ask(v, "TabSeparatedRaw", sql, append, &text);
    if (!rc)
        rc = buf_append_u8(&text, 0);
    if (!rc) {
        plain((char *)text.p);
        if (has_ttl((const char *)text.p))
            verify_say(v, VERIFY_TABLE_TTL, "table %s%s has a TTL: the engine deletes rows of it; take "
                       "it off: ALTER TABLE %s%s REMOVE TTL", prefix, t->name, prefix, t->name);
        else if (!is_made_so((const char *)text.p, t->definition, prefix))
            verify_say(v, VERIFY_TABLE_CHANGED, "table %s%s is not defined as it was made; see SHOW CREATE "
                       "TABLE %s%s", prefix, t->name, prefix, t->name);
    }
    buf_wipe(&text);
    return rc;
}

/* The tables themselves, and those of what holds keep. */
static int check_all(struct verify *v) {
    int rc = 0;
    for (size_t i = 0; !rc && i < sizeof tables / sizeof tables[0]; i++) {
        const int t = (int)i + SHAPE_DATA_KEYS; /* the last is `leaves`, of which nothing is held */
        rc = check(v, &tables[i], "");
        if (!rc && t <= SHAPE_TABLES && v->has_held[t])
            rc = check(v, &tables[i], "held_");
    }
    return rc;
}

/* The store's word about what is there: for the progress, and for how a loss is told. */
static int count_rows(struct verify *v, int t) {
    struct buf out;
    char sql[128];
    buf_init(&out, 1u << 20);
    snprintf(sql, sizeof sql, "SELECT toUInt32(toYYYYMM(time)), count() FROM %s GROUP BY 1",
             shape_of(t)->table);
    int rc = verify_ask(v, "RowBinary", sql, append, &out);
    for (size_t at = 0; !rc && out.len - at >= 12; at += 12) {
        struct month_rows *m = drops_month(&v->drops, t, get_u32(out.p + at));
        if (!m)
            rc = ERR_NOMEM;
        else
            m->there = get_u64(out.p + at + 4);
        v->rows_expected += rc ? 0 : get_u64(out.p + at + 4);
    }
    buf_wipe(&out);
    return rc;
}

/* Tables of rows that a hold kept. */
static int find_held(struct verify *v) {
    struct buf out;
    char name[64];
    buf_init(&out, DEFINITION_MAX);
    int rc = verify_ask(v, "TabSeparatedRaw", "SHOW TABLES", append, &out);
    if (!rc)
        rc = buf_append_u8(&out, 0);
    for (int t = SHAPE_DATA_KEYS; !rc && t <= SHAPE_TABLES; t++) {
        snprintf(name, sizeof name, "held_%s\n", shape_of(t)->table);
        v->has_held[t] = strstr((const char *)out.p, name) != NULL;
    }
    buf_wipe(&out);
    return rc;
}

int tables_check(struct verify *v) {
    int rc = find_held(v);
    if (!rc)
        rc = check_all(v);
    for (int t = SHAPE_DATA_KEYS; !rc && t <= SHAPE_TABLES; t++)
        rc = count_rows(v, t);
    return rc;
}
