/* The names of rowtype.h. Pure; run by the console on what the store says. */
#include "read/query/rowtype.h"

#include <stdbool.h>
#include <string.h>

#include "base/err.h"

static const struct {
    const char *name;
    uint32_t size;
} fixed[] = {
    {"UInt8", 1},     {"Int8", 1},       {"Bool", 1},     {"Enum8", 1},    {"UInt16", 2},
    {"Int16", 2},     {"Date", 2},       {"Enum16", 2},   {"BFloat16", 2}, {"UInt32", 4},
    {"Int32", 4},     {"Float32", 4},    {"Date32", 4},   {"DateTime", 4}, {"DateTime32", 4},
    {"IPv4", 4},      {"Decimal32", 4},  {"UInt64", 8},   {"Int64", 8},    {"Float64", 8},
    {"DateTime64", 8}, {"Decimal64", 8}, {"UInt128", 16}, {"Int128", 16},  {"UUID", 16},
    {"IPv6", 16},     {"Decimal128", 16}, {"UInt256", 32}, {"Int256", 32}, {"Decimal256", 32},
};

static bool is(const char *p, size_t len, const char *word) {
    return strlen(word) == len && !memcmp(p, word, len);
}

/* Behind the item that begins at `at`: up to the next comma outside of brackets and quotes, or `end`. */
static size_t item_end(const char *p, size_t at, size_t end) {
    int depth = 0;
    for (; at < end; at++) {
        const char c = p[at];
        if (c == '\'' || c == '`') {
            for (at++; at < end && p[at] != c; at++)
                at += p[at] == '\\';
        } else if (c == '(') {
            depth++;
        } else if (c == ')') {
            depth--;
        } else if (c == ',' && depth == 0) {
            return at;
        }
    }
    return end;
}

/* A tuple's element may have a name before its type. */
static size_t skip_name(const char *p, size_t len) {
    size_t i = 0;
    if (len && p[0] == '`') {
        for (i = 1; i < len && p[i] != '`'; i++)
            i += p[i] == '\\';
        return i + 2 < len && p[i + 1] == ' ' ? i + 2 : 0;
    }
    while (i < len && p[i] != ' ' && p[i] != '(')
        i++;
    return i < len && p[i] == ' ' ? i + 1 : 0;
}

static int number(const char *p, size_t len, uint32_t max, uint32_t *ret) {
    uint64_t v = 0;
    if (!len || len > 9)
        return ERR_SYNTAX;
    for (size_t i = 0; i < len; i++) {
        if (p[i] < '0' || p[i] > '9')
            return ERR_SYNTAX;
        v = v * 10 + (uint64_t)(p[i] - '0');
    }
    *ret = (uint32_t)v;
    return v && v <= max ? 0 : ERR_SYNTAX;
}

static int parse(struct rowtypes *t, const char *p, size_t len, int depth, uint16_t *ret);

/* The arguments as children of node `of`. */
static int children(struct rowtypes *t, uint16_t of, const char *p, size_t len, bool named, int depth) {
    uint16_t last = 0;
    uint32_t n = 0;
    for (size_t at = 0; at < len;) {
        const size_t end = item_end(p, at, len);
        size_t from = at;
        uint16_t child;
        while (from < end && p[from] == ' ')
            from++;
        if (named)
            from += skip_name(p + from, end - from);
        int rc = parse(t, p + from, end - from, depth + 1, &child);
        if (rc)
            return rc;
        if (last)
            t->at[last].next = child;
        else
            t->at[of].child = child;
        last = child;
        n++;
        at = end + 1;
    }
    t->at[of].size = n;
    return 0;
}

static int decimal(const char *p, size_t len, uint32_t *ret) {
    uint32_t digits = 0;
    int rc = number(p, item_end(p, 0, len), 76, &digits);
    *ret = digits <= 9 ? 4 : digits <= 18 ? 8 : digits <= 38 ? 16 : 32;
    return rc;
}

static int with_children(struct rowtypes *t, uint16_t of, const char *p, size_t len, int depth) {
    static const uint32_t counts[] = {
        [ROWTYPE_NULLABLE] = 1, [ROWTYPE_ARRAY] = 1, [ROWTYPE_MAP] = 2, [ROWTYPE_LOW] = 1};
    const enum rowtype_kind kind = t->at[of].kind;
    int rc = children(t, of, p, len, kind == ROWTYPE_TUPLE, depth);
    if (!rc && kind == ROWTYPE_TUPLE)
        return t->at[of].size ? 0 : ERR_UNSUPPORTED; /* Tuple() */
    return !rc && t->at[of].size != counts[kind] ? ERR_SYNTAX : rc;
}

static int parse(struct rowtypes *t, const char *p, size_t len, int depth, uint16_t *ret) {
    static const struct {
        const char *name;
        enum rowtype_kind kind;
    } nested[] = {{"Nullable", ROWTYPE_NULLABLE}, {"Array", ROWTYPE_ARRAY}, {"Map", ROWTYPE_MAP},
                  {"Tuple", ROWTYPE_TUPLE},       {"LowCardinality", ROWTYPE_LOW}};
    const char *open = memchr(p, '(', len);
    const size_t name = open ? (size_t)(open - p) : len;
    if (depth > ROWTYPE_DEPTH || t->n + 1 >= ROWTYPE_NODES)
        return ERR_LIMIT;
    if (!len || (open && p[len - 1] != ')'))
        return ERR_SYNTAX;
    const char *args = open ? open + 1 : p + len;
    const size_t args_len = open ? len - name - 2 : 0;
    const uint16_t me = *ret = ++t->n;
    t->at[me] = (struct rowtype){.kind = ROWTYPE_FIXED};
    if (is(p, name, "String")) {
        t->at[me].kind = ROWTYPE_STRING;
        return 0;
    }
    if (is(p, name, "FixedString"))
        return number(args, args_len, 1u << 24, &t->at[me].size);
    if (is(p, name, "Decimal"))
        return decimal(args, args_len, &t->at[me].size);
    for (size_t i = 0; i < sizeof nested / sizeof nested[0]; i++)
        if (open && is(p, name, nested[i].name)) {
            t->at[me].kind = nested[i].kind;
            return with_children(t, me, args, args_len, depth);
        }
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++)
        if (is(p, name, fixed[i].name)) {
            t->at[me].size = fixed[i].size;
            return 0;
        }
    if (name > 8 && !memcmp(p, "Interval", 8)) {
        t->at[me].size = 8;
        return 0;
    }
    return ERR_UNSUPPORTED;
}

int rowtype_parse(struct rowtypes *t, const char *text, size_t len, uint16_t *ret) {
    return parse(t, text, len, 0, ret);
}
