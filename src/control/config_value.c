/*
 * Single values of the configuration: each is taken out of a YAML scalar by its kind, or refused
 * with its place and what it must be.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "control/config_int.h"
#include "control/dialect.h"
#include "control/money.h"

int config_wrong(struct config_reading *r, struct config_mark at, const char *fmt, ...) {
    int n = at.line ? snprintf(r->why, CONFIG_WHY, "%s:%u:%u: ", r->name, at.line, at.column)
                    : snprintf(r->why, CONFIG_WHY, "%s: ", r->name);
    if (n > 0 && n < CONFIG_WHY) {
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(r->why + n, (size_t)(CONFIG_WHY - n), fmt, ap);
        va_end(ap);
    }
    return ERR_SYNTAX;
}

struct config_mark config_mark_of(const yaml_node_t *n) {
    return (struct config_mark){(uint32_t)n->start_mark.line + 1,
                                (uint32_t)n->start_mark.column + 1};
}

const char *config_scalar(const yaml_node_t *n) {
    const char *s = n->type == YAML_SCALAR_NODE ? (const char *)n->data.scalar.value : NULL;
    return s && strlen(s) == n->data.scalar.length ? s : NULL; /* "listen\\0..." is not "listen" */
}

/* A text that fits, with nothing in it that could end a line elsewhere. */
int config_take_text(struct config_reading *r, const yaml_node_t *value, const char *name,
                     char *out, size_t room) {
    const char *s = config_scalar(value);
    struct config_mark at = config_mark_of(value);
    if (!s || value->data.scalar.length == 0)
        return config_wrong(r, at, "\"%s\" must be a text", name);
    if (value->data.scalar.length >= room)
        return config_wrong(r, at, "\"%s\" is longer than %zu bytes", name, room - 1);
    for (size_t i = 0; i < value->data.scalar.length; i++)
        if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f)
            return config_wrong(r, at, "\"%s\" has a control character in it", name);
    memcpy(out, s, value->data.scalar.length + 1);
    return 0;
}

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit *units_of(enum config_kind kind, size_t *ret_count,
                                   const char **ret_must) {
    static const struct unit plain[] = {{"", 1}};
    static const struct unit sizes[] = {{"", 1},          {"K", 1u << 10},   {"KiB", 1u << 10},
                                        {"M", 1u << 20},  {"MiB", 1u << 20}, {"G", 1u << 30},
                                        {"GiB", 1u << 30}};
    static const struct unit times[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
    *ret_must = "a number";
    *ret_count = 1;
    if (kind == CONFIG_SIZE) {
        *ret_must = "a number of bytes, KiB, MiB or GiB";
        *ret_count = sizeof sizes / sizeof sizes[0];
        return sizes;
    }
    if (kind == CONFIG_DURATION) {
        *ret_must = "a time, as in 500ms, 10s, 5m or 1h";
        *ret_count = sizeof times / sizeof times[0];
        return times;
    }
    return plain;
}

/* How a bound is shown: in the field's own terms. */
static void show_bound(char out[32], const struct config_field *f, uint64_t v) {
    if (f->kind == CONFIG_MONEY)
        money_format(out, v);
    else
        snprintf(out, 32, "%llu%s", (unsigned long long)v, f->kind == CONFIG_DURATION ? "ms" : "");
}

static int check_bounds(struct config_reading *r, struct config_mark at,
                        const struct config_field *f, uint64_t v) {
    char min[32], max[32];
    if (v >= f->min && v <= f->max)
        return 0;
    show_bound(min, f, f->min);
    show_bound(max, f, f->max);
    return config_wrong(r, at, "\"%s\" must be between %s and %s", f->name, min, max);
}

static int take_money(struct config_reading *r, const yaml_node_t *value,
                      const struct config_field *f, uint64_t *ret) {
    const char *s = config_scalar(value);
    struct config_mark at = config_mark_of(value);
    uint64_t v;
    if (!s || !money_parse(s, &v))
        return config_wrong(r, at, "\"%s\" must be an amount, as in 12.50", f->name);
    *ret = v;
    return check_bounds(r, at, f, v);
}

/* "33554432", with units where the kind has some, and "none" where the field may say so. */
int config_take_number(struct config_reading *r, const yaml_node_t *value,
                       const struct config_field *f, uint64_t *ret) {
    const char *s = config_scalar(value), *must;
    struct config_mark at = config_mark_of(value);
    char *end = NULL;
    size_t count, i = 0;
    if (f->none && s && strcmp(s, "none") == 0) {
        *ret = 0;
        return 0;
    }
    if (f->kind == CONFIG_MONEY)
        return take_money(r, value, f, ret);
    const struct unit *units = units_of(f->kind, &count, &must);
    errno = 0;
    unsigned long long v = s && s[0] >= '0' && s[0] <= '9' ? strtoull(s, &end, 10) : 0;
    while (end && i < count && strcmp(end, units[i].name) != 0)
        i++;
    if (!end || errno || i == count)
        return config_wrong(r, at, "\"%s\" must be %s", f->name, must);
    uint64_t scaled;
    if (__builtin_mul_overflow((uint64_t)v, units[i].factor, &scaled))
        scaled = UINT64_MAX;
    *ret = scaled;
    return check_bounds(r, at, f, scaled);
}

int config_take_word(struct config_reading *r, const yaml_node_t *value, const char *name,
                     const char *zero, const char *one, bool *ret) {
    const char *s = config_scalar(value);
    if (!s || (strcmp(s, zero) != 0 && strcmp(s, one) != 0))
        return config_wrong(r, config_mark_of(value), "\"%s\" must be %s or %s", name, zero, one);
    *ret = strcmp(s, one) == 0;
    return 0;
}

static int take_dialect(struct config_reading *r, const yaml_node_t *value, const char *name,
                        uint32_t *set) {
    static const char *const names[] = DIALECT_NAMES;
    const char *s = config_scalar(value);
    for (uint32_t i = 0; s && names[i]; i++) {
        if (strcmp(s, names[i]) == 0) {
            *set |= 1u << i;
            return 0;
        }
    }
    return config_wrong(r, config_mark_of(value), "\"%s\" must be openai, deepseek or anthropic",
                        name);
}

int config_take_dialects(struct config_reading *r, yaml_node_t *value, const char *name,
                         uint32_t *ret) {
    *ret = 0;
    if (value->type != YAML_SEQUENCE_NODE)
        return take_dialect(r, value, name, ret);
    for (yaml_node_item_t *i = value->data.sequence.items.start; i < value->data.sequence.items.top;
         i++) {
        int rc = take_dialect(r, yaml_document_get_node(r->document, *i), name, ret);
        if (rc)
            return rc;
    }
    return *ret ? 0 : config_wrong(r, config_mark_of(value), "\"%s\" names none", name);
}
