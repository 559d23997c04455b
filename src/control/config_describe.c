/*
 * The effective configuration as YAML, along the same tables as the reader, so that it can print
 * what a file can say and nothing else. The struct holds no secret: a provider's keys are names of
 * places.
 */
#include <string.h>

#include "base/err.h"
#include "control/config_int.h"
#include "control/dialect.h"
#include "control/money.h"

struct printing {
    struct buf *out;
    int rc; /* the first error */
};

static void put(struct printing *p, const char *text) {
    if (!p->rc)
        p->rc = buf_append_str(p->out, text);
}

/* Every text is quoted: it reads back as a text, whatever it looks like. There are no control
 * characters in it. */
static void put_text(struct printing *p, const char *text) {
    put(p, "\"");
    for (const char *s = text; *s && !p->rc; s++) {
        if (*s == '"' || *s == '\\')
            put(p, "\\");
        p->rc = p->rc ? p->rc : buf_append(p->out, s, 1);
    }
    put(p, "\"");
}

/* The key at this depth; for the first field of a list's item the dash stands before it. */
static void put_key(struct printing *p, unsigned depth, bool *dash, const char *name) {
    for (unsigned i = 0; i < depth; i++)
        put(p, i + 1 == depth && dash && *dash ? "- " : "  ");
    if (dash)
        *dash = false;
    put(p, name);
    put(p, ":");
}

static void put_number(struct printing *p, const struct config_field *f, uint64_t v) {
    char money[MONEY_TEXT];
    if (p->rc)
        return;
    if (f->none && v == 0)
        p->rc = buf_append_str(p->out, " none\n");
    else if (f->kind == CONFIG_MONEY) {
        money_format(money, v);
        p->rc = buf_printf(p->out, " %s\n", money);
    } else {
        p->rc = buf_printf(p->out, " %llu%s\n", (unsigned long long)v,
                           f->kind == CONFIG_DURATION ? "ms" : "");
    }
}

static void put_dialects(struct printing *p, uint32_t set) {
    static const char *const names[] = DIALECT_NAMES;
    const char *comma = "";
    put(p, " [");
    for (uint32_t i = 0; names[i]; i++) {
        if (!(set >> i & 1))
            continue;
        put(p, comma);
        put(p, names[i]);
        comma = ", ";
    }
    put(p, "]\n");
}

static void put_list(struct printing *p, const char *first, size_t stride, size_t count) {
    put(p, " [");
    for (size_t i = 0; i < count; i++) {
        put(p, i ? ", " : "");
        put_text(p, first + i * stride);
    }
    put(p, "]\n");
}

static bool has_any(const struct config_schema *schema, const char *base);

/* Has it a value that a file could have given? */
static bool is_set(const struct config_field *f, const char *base) {
    const char *place = base + f->offset;
    uint64_t v;
    switch (f->kind) {
    case CONFIG_TEXT:
        return place[0] != 0;
    case CONFIG_NUMBER:
    case CONFIG_SIZE:
    case CONFIG_DURATION:
    case CONFIG_MONEY:
        memcpy(&v, place, sizeof v);
        return v != UINT64_MAX && (v >= f->min || f->none); /* UINT64_MAX: inherited */
    case CONFIG_TEXTS:
        return *(const size_t *)(const void *)(base + f->count_offset) != 0;
    case CONFIG_NAMES:
    case CONFIG_PAIRS:
    case CONFIG_ITEMS:
    case CONFIG_MAP:
        return ((const struct config_array *)(const void *)place)->count != 0;
    case CONFIG_SECTION:
        return has_any(f->sub, place);
    default:
        return true;
    }
}

static bool has_any(const struct config_schema *schema, const char *base) {
    for (size_t i = 0; i < schema->count; i++)
        if (is_set(&schema->fields[i], base))
            return true;
    return false;
}

static void put_fields(struct printing *p, const struct config_schema *schema, const char *base,
                       unsigned depth, bool *dash);

static void put_items(struct printing *p, const struct config_field *f,
                      const struct config_array *a, unsigned depth) {
    for (size_t i = 0; i < a->count; i++) {
        const char *item = (const char *)a->at + i * f->sub->bytes;
        bool dash = f->kind == CONFIG_ITEMS;
        if (f->kind == CONFIG_MAP) {
            for (unsigned k = 0; k <= depth; k++)
                put(p, "  ");
            put_text(p, item);
            put(p, has_any(f->sub, item) ? ":\n" : ": {}\n");
        }
        put_fields(p, f->sub, item, depth + (f->kind == CONFIG_MAP ? 2 : 1),
                   f->kind == CONFIG_ITEMS ? &dash : NULL);
    }
}

static void put_pairs(struct printing *p, const struct config_pairs *pairs, unsigned depth) {
    for (size_t i = 0; i < pairs->count; i++) {
        for (unsigned k = 0; k <= depth; k++)
            put(p, "  ");
        put_text(p, pairs->at[i].name);
        put(p, ": ");
        put_text(p, pairs->at[i].text);
        put(p, "\n");
    }
}

static void put_value(struct printing *p, const struct config_field *f, const char *base,
                      unsigned depth) {
    const char *place = base + f->offset;
    const struct config_names *names = (const void *)place;
    switch (f->kind) {
    case CONFIG_TEXT:
        put(p, " ");
        put_text(p, place);
        put(p, "\n");
        break;
    case CONFIG_FLAG:
        put(p, *(const bool *)(const void *)place ? " true\n" : " false\n");
        break;
    case CONFIG_RULE:
        put(p, " ");
        put(p, f->words[*(const enum config_rule *)(const void *)place == CONFIG_LENIENT]);
        put(p, "\n");
        break;
    case CONFIG_NUMBER:
    case CONFIG_SIZE:
    case CONFIG_DURATION:
    case CONFIG_MONEY:
        put_number(p, f, *(const uint64_t *)(const void *)place);
        break;
    case CONFIG_DIALECTS:
        put_dialects(p, *(const uint32_t *)(const void *)place);
        break;
    case CONFIG_TEXTS:
        put_list(p, place, f->room, *(const size_t *)(const void *)(base + f->count_offset));
        break;
    case CONFIG_NAMES:
        put_list(p, names->count ? names->at[0].text : "", sizeof names->at[0], names->count);
        break;
    case CONFIG_PAIRS:
        put(p, "\n");
        put_pairs(p, (const void *)place, depth);
        break;
    case CONFIG_ITEMS:
    case CONFIG_MAP:
        put(p, "\n");
        put_items(p, f, (const void *)place, depth);
        break;
    case CONFIG_SECTION:
        put(p, "\n");
        put_fields(p, f->sub, place, depth + 1, NULL);
        break;
    }
}

static void put_fields(struct printing *p, const struct config_schema *schema, const char *base,
                       unsigned depth, bool *dash) {
    for (size_t i = 0; i < schema->count; i++) {
        const struct config_field *f = &schema->fields[i];
        if (!is_set(f, base))
            continue;
        put_key(p, depth, dash, f->name);
        put_value(p, f, base, depth);
    }
}

int config_describe(const struct config *c, struct buf *out) {
    struct printing p = {.out = out};
    put_fields(&p, &config_schema, (const char *)c, 0, NULL);
    return p.rc;
}
