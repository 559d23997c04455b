/*
 * The slices of json.h. The sealer walks request histories and answers with it, up to tens of
 * megabytes, so walking skips strings 16 bytes at a time and allocates nothing; only the canonical
 * form of an object with many members takes memory (slices, no content).
 */
#include "llm/json.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "llm/reqscan.h"
#include "llm/scan.h"

static bool is_space(uint8_t c) {
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

int jv_parse(struct jv *ret, const void *text, size_t len) {
    const uint8_t *p = text;
    struct reqscan s;
    *ret = (struct jv){0};
    reqscan_init_any(&s);
    int rc = reqscan_feed(&s, p, len);
    if (!rc)
        rc = reqscan_done(&s);
    explicit_bzero(&s, sizeof s);
    if (rc)
        return rc;
    while (len && is_space(p[len - 1]))
        len--;
    while (len && is_space(*p)) {
        p++;
        len--;
    }
    *ret = (struct jv){p, len};
    return 0;
}

/* ---- skipping ---- */

/* p is after the opening quote; gives the place after the closing one, or e. */
static const uint8_t *skip_string(const uint8_t *p, const uint8_t *e) {
    for (;;) {
        p = scan_for(p, e, '"', '\\');
        if (p == e)
            return e;
        if (*p == '"')
            return p + 1;
        if (e - p < 2)
            return e;
        p += 2;
    }
}

static const uint8_t *skip_value(const uint8_t *p, const uint8_t *e) {
    if (p == e)
        return e;
    if (*p == '"')
        return skip_string(p + 1, e);
    if (*p == '{' || *p == '[') {
        size_t depth = 0;
        while (p < e) {
            uint8_t c = *p++;
            if (c == '"')
                p = skip_string(p, e);
            else if (c == '{' || c == '[')
                depth++;
            else if ((c == '}' || c == ']') && --depth == 0)
                return p;
        }
        return e;
    }
    while (p < e && *p != ',' && *p != '}' && *p != ']' && *p != ':' && !is_space(*p))
        p++;
    return p;
}

static const uint8_t *skip_space(const uint8_t *p, const uint8_t *e) {
    while (p < e && is_space(*p))
        p++;
    return p;
}

bool jv_each(struct jv c, size_t *pos, struct jv *ret_key, struct jv *ret_value) {
    struct jv no_key;
    if (!ret_key)
        ret_key = &no_key;
    *ret_key = *ret_value = (struct jv){0};
    if (c.len < 2 || (c.p[0] != '{' && c.p[0] != '[') || *pos >= c.len)
        return false;
    const uint8_t *e = c.p + c.len - 1; /* the closing bracket */
    const uint8_t *p = skip_space(c.p + (*pos ? *pos : 1), e);
    if (p < e && *p == ',')
        p = skip_space(p + 1, e);
    if (c.p[0] == '{') {
        if (p == e || *p != '"')
            return false;
        const uint8_t *end = skip_string(p + 1, e);
        *ret_key = (struct jv){p, (size_t)(end - p)};
        p = skip_space(end, e);
        if (p == e || *p != ':')
            return false;
        p = skip_space(p + 1, e);
    }
    const uint8_t *end = skip_value(p, e);
    if (end == p)
        return false;
    *ret_value = (struct jv){p, (size_t)(end - p)};
    *pos = (size_t)(end - c.p);
    return true;
}

struct jv jv_get(struct jv object, const char *name) {
    struct jv key, value, found = {0};
    if (!jv_is_object(object))
        return found;
    for (size_t pos = 0; jv_each(object, &pos, &key, &value);)
        if (jv_equals(key, name))
            found = value;
    return found;
}

struct jv jv_get2(struct jv object, const char *outer, const char *name) {
    return jv_get(jv_get(object, outer), name);
}

struct jv jv_at(struct jv array, size_t i) {
    struct jv value;
    for (size_t pos = 0; jv_is_array(array) && jv_each(array, &pos, NULL, &value);)
        if (i-- == 0)
            return value;
    return (struct jv){0};
}

size_t jv_count(struct jv container) {
    struct jv value;
    size_t n = 0;
    for (size_t pos = 0; jv_each(container, &pos, NULL, &value);)
        n++;
    return n;
}

/* ---- small values ---- */

static bool is_word(struct jv v, const char *word) {
    return v.p && v.len == strlen(word) && !memcmp(v.p, word, v.len);
}

bool jv_is_null(struct jv v) {
    return is_word(v, "null");
}

bool jv_is_true(struct jv v) {
    return is_word(v, "true");
}

bool jv_is_empty(struct jv v) {
    struct jv key, value;
    size_t pos = 0;
    if (!v.p || jv_is_null(v) || is_word(v, "\"\""))
        return true;
    return jv_is_array(v) && !jv_each(v, &pos, &key, &value);
}

uint32_t jv_u32(struct jv v, uint32_t otherwise) {
    uint64_t n = 0;
    if (!v.len || v.len > 10)
        return otherwise;
    for (size_t i = 0; i < v.len; i++) {
        if (v.p[i] < '0' || v.p[i] > '9')
            return otherwise;
        n = n * 10 + (uint64_t)(v.p[i] - '0');
    }
    return n > UINT32_MAX ? otherwise : (uint32_t)n;
}

/* ---- characters ---- */

/* Reads a string's inside, one run or one decoded character at a time. */
struct reader {
    const uint8_t *p, *e;
    uint8_t bytes[4]; /* a decoded escape */
};

static struct reader reader_of(struct jv s) {
    struct reader r = {0};
    if (jv_is_string(s)) {
        r.p = s.p + 1;
        r.e = s.p + s.len - 1;
    }
    return r;
}

static uint32_t hex4(const uint8_t *p) {
    uint32_t v = 0;
    for (int i = 0; i < 4; i++) {
        uint32_t c = p[i] | 0x20u;
        v = v << 4 | (c <= '9' ? c & 15 : c - 'a' + 10);
    }
    return v & 0xffff;
}

static size_t utf8_put(uint8_t out[4], uint32_t cp) {
    if (cp < 0x80) {
        out[0] = (uint8_t)cp;
        return 1;
    }
    size_t n = cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
    static const uint8_t lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n - 1; i > 0; i--, cp >>= 6)
        out[i] = (uint8_t)(0x80 | (cp & 63));
    out[0] = (uint8_t)(lead[n] | cp);
    return n;
}

/* The next bytes of the decoded string; 0 at its end. `lone` is put for a lone surrogate, 0: the
 * surrogate itself. */
static size_t reader_next(struct reader *r, const uint8_t **ret, uint32_t lone) {
    const uint8_t *p = r->p, *e = r->e;
    if (p == e)
        return 0;
    if (*p != '\\') {
        const uint8_t *end = memchr(p, '\\', (size_t)(e - p));
        r->p = end ? end : e;
        *ret = p;
        return (size_t)(r->p - p);
    }
    uint32_t cp = e - p > 1 ? p[1] : '\\';
    p += e - p > 1 ? 2 : 1;
    switch (cp) {
    case 'b':
        cp = '\b';
        break;
    case 'f':
        cp = '\f';
        break;
    case 'n':
        cp = '\n';
        break;
    case 'r':
        cp = '\r';
        break;
    case 't':
        cp = '\t';
        break;
    case 'u':
        if (e - p < 4)
            break;
        cp = hex4(p);
        p += 4;
        if ((cp & 0xfc00) == 0xd800 && e - p >= 6 && p[0] == '\\' && p[1] == 'u' &&
            (hex4(p + 2) & 0xfc00) == 0xdc00) {
            cp = 0x10000 + ((cp & 0x3ff) << 10) + (hex4(p + 2) & 0x3ff);
            p += 6;
        } else if ((cp & 0xf800) == 0xd800 && lone) {
            cp = lone;
        }
        break;
    default:
        break;
    }
    r->p = p;
    *ret = r->bytes;
    return utf8_put(r->bytes, cp);
}

bool jv_equals(struct jv string, const char *text) {
    size_t len = strlen(text), n;
    const uint8_t *run;
    if (!jv_is_string(string))
        return false;
    for (struct reader r = reader_of(string); (n = reader_next(&r, &run, 0)) > 0;) {
        if (n > len || memcmp(run, text, n) != 0)
            return false;
        text += n;
        len -= n;
    }
    return len == 0;
}

/* By the decoded bytes, as memcmp orders them; a shorter one first. */
static int compare_strings(struct jv a, struct jv b) {
    struct reader ra = reader_of(a), rb = reader_of(b);
    const uint8_t *pa = NULL, *pb = NULL;
    size_t na = 0, nb = 0;
    for (;;) {
        if (!na)
            na = reader_next(&ra, &pa, 0);
        if (!nb)
            nb = reader_next(&rb, &pb, 0);
        if (!na || !nb)
            return na ? 1 : nb ? -1 : 0;
        size_t n = na < nb ? na : nb;
        int c = memcmp(pa, pb, n);
        if (c)
            return c;
        pa += n;
        pb += n;
        na -= n;
        nb -= n;
    }
}

bool jv_same(struct jv a, struct jv b) {
    return jv_is_string(a) && jv_is_string(b) && compare_strings(a, b) == 0;
}

int jv_text(struct jv string, struct buf *out) {
    const uint8_t *run;
    size_t n;
    int rc = jv_is_string(string) ? 0 : ERR_SYNTAX;
    struct reader r = reader_of(string);
    while (!rc && (n = reader_next(&r, &run, 0xfffd)) > 0)
        rc = buf_append(out, run, n);
    explicit_bzero(r.bytes, sizeof r.bytes);
    return rc;
}

bool jv_text_fits(struct jv string, char *out, size_t size) {
    const uint8_t *run;
    size_t n, len = 0;
    out[0] = 0;
    if (!jv_is_string(string))
        return false;
    for (struct reader r = reader_of(string); (n = reader_next(&r, &run, 0xfffd)) > 0; len += n) {
        if (n >= size - len || memchr(run, 0, n)) {
            explicit_bzero(out, len);
            out[0] = 0;
            return false;
        }
        memcpy(out + len, run, n);
    }
    out[len] = 0;
    return true;
}

int jv_escape(struct buf *out, const void *src, size_t len) {
    static const char digit[] = "0123456789abcdef";
    static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
    const uint8_t *p = len ? src : (const void *)"", *e = p + len;
    int rc = 0;
    while (!rc && p < e) {
        const uint8_t *run = p;
        while (p < e && *p >= ' ' && *p != '"' && *p != '\\')
            p++;
        rc = buf_append(out, run, (size_t)(p - run));
        if (rc || p == e)
            break;
        uint8_t c = *p++;
        const char *at = c ? strchr(from, c) : NULL;
        if (at) {
            const char two[2] = {'\\', to[at - from]};
            rc = buf_append(out, two, 2);
        } else {
            const char six[6] = {'\\', 'u', '0', '0', digit[c >> 4], digit[c & 15]};
            rc = buf_append(out, six, 6);
        }
    }
    return rc;
}

int jv_quote(struct buf *out, const void *src, size_t len) {
    int rc = buf_append_u8(out, '"');
    if (!rc)
        rc = jv_escape(out, src, len);
    return rc ? rc : buf_append_u8(out, '"');
}

/* ---- the canonical form ---- */

/* Bytes that UTF-8 has not; a surrogate's own bytes begin with 0xed. */
enum mark {
    STRING_END = 0xff,
    OBJECT = 0xfe,
    ARRAY = 0xfd,
    CLOSE = 0xfc,
    ATOM = 0xfb,
    STRING = 0xfa
};

struct canon {
    jv_sink *sink;
    void *arg;
    size_t n;
    uint8_t bytes[256]; /* gathers small pieces, a sink's call is not cheap */
};

static void emit(struct canon *c, const void *p, size_t len) {
    if (len > sizeof c->bytes - c->n) {
        c->sink(c->arg, c->bytes, c->n);
        c->n = 0;
    }
    if (len > sizeof c->bytes) {
        c->sink(c->arg, p, len);
    } else {
        memcpy(c->bytes + c->n, p, len);
        c->n += len;
    }
}

static void emit_mark(struct canon *c, enum mark m) {
    uint8_t b = (uint8_t)m;
    emit(c, &b, 1);
}

static void emit_string(struct canon *c, struct jv s) {
    const uint8_t *run;
    size_t n;
    struct reader r = reader_of(s);
    emit_mark(c, STRING);
    while ((n = reader_next(&r, &run, 0)) > 0)
        emit(c, run, n);
    emit_mark(c, STRING_END);
    explicit_bzero(r.bytes, sizeof r.bytes);
}

struct member {
    struct jv key, value;
};

static int by_name(const void *a, const void *b) {
    const struct member *x = a, *y = b;
    int c = compare_strings(x->key, y->key);
    return c ? c : x->key.p < y->key.p ? -1 : 1; /* of the same name: as they stand */
}

static int emit_value(struct canon *c, struct jv v, unsigned depth);

static int emit_object(struct canon *c, struct jv v, unsigned depth) {
    struct member few[16], *m = few;
    size_t n = jv_count(v), i = 0;
    int rc = 0;
    if (n > sizeof few / sizeof *few && !(m = malloc(n * sizeof *m)))
        return ERR_NOMEM;
    for (size_t pos = 0; i < n && jv_each(v, &pos, &m[i].key, &m[i].value);)
        i++;
    qsort(m, i, sizeof *m, by_name);
    emit_mark(c, OBJECT);
    for (size_t k = 0; k < i && !rc; k++) {
        emit_string(c, m[k].key);
        rc = emit_value(c, m[k].value, depth + 1);
    }
    emit_mark(c, CLOSE);
    if (m != few)
        free(m);
    return rc;
}

static int emit_value(struct canon *c, struct jv v, unsigned depth) {
    int rc = 0;
    struct jv key, value;
    if (depth > LIMIT_JSON_DEPTH)
        return ERR_LIMIT;
    if (jv_is_object(v))
        return emit_object(c, v, depth);
    if (jv_is_string(v)) {
        emit_string(c, v);
    } else if (jv_is_array(v)) {
        emit_mark(c, ARRAY);
        for (size_t pos = 0; !rc && jv_each(v, &pos, &key, &value);)
            rc = emit_value(c, value, depth + 1);
        emit_mark(c, CLOSE);
    } else {
        emit_mark(c, ATOM);
        emit(c, v.p, v.len);
        emit_mark(c, STRING_END);
    }
    return rc;
}

int jv_canonical(struct jv v, jv_sink *sink, void *arg) {
    struct canon c = {.sink = sink, .arg = arg};
    int rc = v.p ? emit_value(&c, v, 1) : ERR_SYNTAX;
    if (!rc && c.n)
        c.sink(c.arg, c.bytes, c.n);
    explicit_bzero(&c, sizeof c);
    return rc;
}
