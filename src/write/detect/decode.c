/*
 * Views: what a reader sees behind the bytes. Escapes of JSON are resolved wherever they stand (no
 * structure is parsed, so broken JSON and events of a stream are decoded as well), full-width and
 * mathematical forms become ASCII as in NFKC, characters without width are dropped, and base64 that
 * holds text is opened, one level. Each view keeps, in segments, which bytes of its source every byte
 * came from; decoding a view again gives the next level.
 */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "write/detect/detect_int.h"
#include "write/detect/sift.h"

#define AROUND 512 /* bytes before and after an escape that a partial view shows */
#define RUN_MIN 24 /* shorter base64 holds no secret worth the search */
#define RUN_MAX (16u << 20)

void view_wipe(struct view *v) {
    buf_wipe(&v->text);
    free(v->segments);
    *v = (struct view){.text.max = v->text.max};
}

static int more_segments(struct view *v) {
    size_t cap = v->cap ? v->cap * 2 : 256;
    struct segment *more = realloc(v->segments, cap * sizeof *more);
    if (!more)
        return ERR_NOMEM;
    v->segments = more;
    v->cap = cap;
    return 0;
}

static inline int segment(struct view *v, size_t at, size_t raw, size_t wide, size_t made) {
    if (v->count == v->cap && more_segments(v))
        return ERR_NOMEM;
    v->segments[v->count++] =
        (struct segment){(uint32_t)at, (uint32_t)raw, (uint16_t)wide, (uint16_t)made};
    return 0;
}

static void begin(struct view *v) {
    buf_clear(&v->text);
    v->escaped = false;
    v->count = 0;
}

/* ---- one character ---- */

/* ASCII of a compatibility character, 0 for one without width, -1 for all others. */
static int fold(uint32_t c) {
    if (c >= 0xff01 && c <= 0xff5e) {
        static const bool signs[128] = {['+'] = true, ['-'] = true, ['.'] = true, ['_'] = true, ['@'] = true, [':'] = true,
                                        ['='] = true, ['/'] = true, ['"'] = true, ['\''] = true, ['#'] = true, ['%'] = true,
                                        ['&'] = true, ['$'] = true, ['~'] = true, ['*'] = true};
        uint32_t ascii = c - 0xfee0;
        return is_alnum((uint8_t)ascii) || signs[ascii] ? (int)ascii : -1;
    }
    if (c >= 0x1d7ce && c <= 0x1d7ff) /* mathematical digits, five styles */
        return (int)('0' + (c - 0x1d7ce) % 10);
    if (c >= 0x1d400 && c <= 0x1d6a3) { /* and letters, thirteen */
        uint32_t letter = (c - 0x1d400) % 52;
        return (int)(letter < 26 ? 'A' + letter : 'a' + letter - 26);
    }
    if (c >= 0x2460 && c <= 0x2468)
        return (int)('1' + c - 0x2460);
    if (c == 0x2070 || (c >= 0x2074 && c <= 0x2079))
        return (int)('0' + c - 0x2070);
    if (c >= 0x2080 && c <= 0x2089)
        return (int)('0' + c - 0x2080);
    if (c == 0xb9 || c == 0xb2 || c == 0xb3)
        return c == 0xb9 ? '1' : (int)('0' + c - 0xb0);
    if (c == 0x3000 || c == 0xa0 || (c >= 0x2000 && c <= 0x200a) || c == 0x202f)
        return ' ';
    if (c == 0x2010 || c == 0x2011 || c == 0x2212)
        return '-';
    if ((c >= 0x200b && c <= 0x200f) || (c >= 0x2060 && c <= 0x2064) || c == 0xfeff || c == 0xad ||
        (c >= 0x202a && c <= 0x202e) || c == 0x180e)
        return 0;
    return -1;
}

/* A well-formed character of two to four bytes that fold may know; its length, or 0. */
static size_t utf8(struct text t, size_t at, uint32_t *ret) {
    uint8_t c = t.p[at];
    size_t n = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
    if (t.len - at < n)
        return 0;
    uint32_t v = c & (0xffu >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        if ((t.p[at + i] & 0xc0) != 0x80)
            return 0;
        v = v << 6 | (t.p[at + i] & 0x3f);
    }
    *ret = v;
    return n;
}

static size_t put_utf8(uint8_t out[4], uint32_t c) {
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (uint8_t)(0xc0 | c >> 6);
        out[1] = (uint8_t)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (uint8_t)(0xe0 | c >> 12);
        out[1] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
        out[2] = (uint8_t)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | c >> 18);
    out[1] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
    out[2] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
    out[3] = (uint8_t)(0x80 | (c & 0x3f));
    return 4;
}

static bool hex4(struct text t, size_t at, uint32_t *ret) {
    if (t.len < 4 || at > t.len - 4)
        return false;
    *ret = 0;
    for (size_t i = 0; i < 4; i++) {
        uint8_t c = t.p[at + i], small = (uint8_t)(c | 0x20);
        uint32_t v = 0;
        if (is_digit(c))
            v = (uint32_t)(c - '0');
        else if (small >= 'a' && small <= 'f')
            v = (uint32_t)(small - 'a' + 10);
        else
            return false;
        *ret = *ret << 4 | v;
    }
    return true;
}

/* What a backslash and this character mean; 0: nothing so simple. */
static const uint8_t meant[256] = {['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
                                   ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t'};

/* What is written at `at`: `*n` bytes of the source, `*m` in `out`. False: the byte itself. */
static bool decode_one(struct text t, size_t at, uint8_t out[4], size_t *n, size_t *m) {
    uint32_t c, low;
    if (t.p[at] != '\\') {
        *n = utf8(t, at, &c);
        int ascii = *n ? fold(c) : -1;
        out[0] = (uint8_t)ascii;
        *m = ascii > 0;
        return ascii >= 0;
    }
    *n = 2;
    *m = 1;
    if (at + 1 < t.len && meant[t.p[at + 1]]) {
        out[0] = meant[t.p[at + 1]];
        return true;
    }
    if (at + 1 >= t.len || t.p[at + 1] != 'u' || !hex4(t, at + 2, &c))
        return false;
    *n = 6;
    if (c >= 0xd800 && c < 0xdc00 && at + 8 <= t.len && t.p[at + 6] == '\\' && t.p[at + 7] == 'u' &&
        hex4(t, at + 8, &low) && low >= 0xdc00 && low < 0xe000) {
        c = 0x10000 + ((c - 0xd800) << 10 | (low - 0xdc00));
        *n = 12;
    }
    int ascii = fold(c);
    if (ascii >= 0) {
        out[0] = (uint8_t)ascii;
        *m = ascii > 0;
    } else {
        *m = put_utf8(out, c >= 0xd800 && c < 0xe000 ? 0xfffd : c);
    }
    return true;
}

/* ---- a whole text ---- */

static bool is_special(struct text t, size_t at) {
    return sift_is_special(t.p[at], at + 1 < t.len ? t.p[at + 1] : 0, at + 2 < t.len ? t.p[at + 2] : 0);
}

#define CHUNK 16 /* blocks whose masks are made at a time */

/* The masks of the blocks in [at, to), as many as are whole and fit; returns how many. */
static size_t specials(uint64_t masks[CHUNK], struct text t, size_t at, size_t to) {
    size_t n = (to - at) / SIFT_BLOCK;
    if (n > CHUNK)
        n = CHUNK;
    if (n && t.len - at - n * SIFT_BLOCK < SIFT_BEHIND)
        n--;
    sift_specials(masks, t.p + at, n);
    return n;
}

/* Where the next thing stands that may have to be decoded. `deep`: the text was decoded once, so that only
 * backslashes are left. */
static size_t next_special(struct text t, size_t at, bool deep) {
    uint64_t masks[CHUNK];
    size_t n = 0;
    if (deep) {
        const uint8_t *p = at < t.len ? memchr(t.p + at, '\\', t.len - at) : NULL;
        return p ? (size_t)(p - t.p) : t.len;
    }
    while (at < t.len && (n = specials(masks, t, at, t.len)) > 0)
        for (size_t i = 0; i < n; i++, at += SIFT_BLOCK)
            if (masks[i])
                return at + (size_t)__builtin_ctzll(masks[i]);
    while (at < t.len && !is_special(t, at))
        at++;
    return at;
}

/* Copies a range of the source to the view, with everything in it decoded. What is decoded is never longer
 * than what it comes from, so room for all of it is there from the start. */
struct copy {
    struct view *v;
    struct text t;
    size_t plain; /* copied so far */
    uint8_t *out; /* where the next byte goes */
    int rc;
};

#define STEP 64   /* bytes that are copied at once, and room for as many behind the end */
#define STEPS 256 /* bytes from which on it is left to memcpy */

static inline void copy_plain(struct copy *c, size_t to) {
    const uint8_t *p = c->t.p + c->plain;
    size_t n = to - c->plain;
    if (n <= STEPS && c->t.len - to >= STEP)
        for (size_t i = 0; i < n; i += STEP)
            memcpy(c->out + i, p + i, STEP);
    else
        memcpy(c->out, p, n);
    c->out += n;
    c->plain = to;
}

static inline void copy_special(struct copy *c, size_t at) {
    uint8_t out[4];
    size_t n = 2, m = 1;
    if (at < c->plain)
        return;
    out[0] = c->t.p[at] == '\\' && at + 1 < c->t.len ? meant[c->t.p[at + 1]] : 0;
    if (!out[0] && !decode_one(c->t, at, out, &n, &m)) {
        c->v->escaped = c->v->escaped || c->t.p[at] == '\\';
        return;
    }
    copy_plain(c, at);
    c->rc = segment(c->v, (size_t)(c->out - c->v->text.p), at, n, m);
    c->v->escaped = c->v->escaped || out[0] == '\\';
    memcpy(c->out, out, sizeof out);
    c->out += m;
    c->plain = at + n;
}

static int decode_range(struct view *v, struct text t, size_t from, size_t to, bool deep) {
    uint64_t masks[CHUNK];
    int rc = buf_reserve(&v->text, to - from + STEP);
    if (!rc)
        rc = segment(v, v->text.len, from, 0, 0);
    if (rc)
        return rc;
    struct copy c = {v, t, from, v->text.p + v->text.len, 0};
    size_t at = from, n;
    while (!deep && at < to && !c.rc && (n = specials(masks, t, at, to)) > 0)
        for (size_t i = 0; i < n && !c.rc; i++, at += SIFT_BLOCK)
            for (uint64_t bits = masks[i]; bits && !c.rc; bits &= bits - 1)
                copy_special(&c, at + (size_t)__builtin_ctzll(bits));
    for (at = next_special(t, at, deep); at < to && !c.rc; at = next_special(t, at + 1, deep))
        copy_special(&c, at);
    if (to > c.plain)
        copy_plain(&c, to);
    v->text.len = (size_t)(c.out - v->text.p);
    /* Steps copy more than is wanted: what is behind the end would stay when the view is cleared. */
    explicit_bzero(c.out, v->text.cap - v->text.len < STEP ? v->text.cap - v->text.len : STEP);
    return c.rc;
}

/* Where a part that shows what stands around the escape in [at, to) ends. */
static size_t part_end(struct text t, size_t to, bool deep) {
    uint8_t out[4];
    size_t n, m, next = next_special(t, to, deep);
    while (next < t.len && next - to < 2 * AROUND) {
        if (decode_one(t, next, out, &n, &m))
            to = next + n;
        else
            n = 1;
        next = next_special(t, next + n, deep);
    }
    return t.len - to > AROUND ? to + AROUND : t.len;
}

int view_decode(struct view *v, struct text t, bool parts, bool deep) {
    uint8_t out[4];
    size_t n, m, done = 0;
    int rc = 0;
    begin(v);
    for (size_t at = next_special(t, 0, deep); !rc && at < t.len; at = next_special(t, at, deep)) {
        if (!decode_one(t, at, out, &n, &m)) {
            at++;
            continue;
        }
        if (!parts)
            return decode_range(v, t, 0, t.len, deep);
        size_t from = at > done + AROUND ? at - AROUND : done, to = part_end(t, at + n, deep);
        if (v->text.len && from > done) {
            rc = segment(v, v->text.len, from, 0, 0);
            if (!rc)
                rc = buf_append(&v->text, VIEW_GAP, VIEW_GAP_BYTES);
        }
        if (!rc)
            rc = decode_range(v, t, from, to, deep);
        at = done = to;
    }
    return rc;
}

static const struct segment *segment_of(const struct view *v, size_t at) {
    size_t low = 0, high = v->count;
    while (high - low > 1) {
        size_t middle = (low + high) / 2;
        if (v->segments[middle].view <= at)
            low = middle;
        else
            high = middle;
    }
    return &v->segments[low];
}

/* Where the byte at `at` of the view comes from: its first byte, or behind its last one. */
static size_t source_of(const struct view *v, size_t at, bool behind) {
    const struct segment *s = segment_of(v, at);
    size_t n = at - s->view;
    if (s->wide == SEGMENT_BASE64)
        return s->raw + (behind ? (n * 4 + 6) / 3 : n * 4 / 3);
    if (n < s->made)
        return s->raw + (behind ? s->wide : 0);
    return s->raw + s->wide + (n - s->made) + behind;
}

void view_source(const struct view *v, size_t start, size_t end, size_t *ret_start, size_t *ret_end) {
    *ret_start = source_of(v, start, false);
    *ret_end = source_of(v, end - 1, true);
}

/* ---- base64 ---- */

static const uint8_t base64_value[256] = {
#define V(c, n) [c] = (n) + 1
    V('A', 0),  V('B', 1),  V('C', 2),  V('D', 3),  V('E', 4),  V('F', 5),  V('G', 6),  V('H', 7),
    V('I', 8),  V('J', 9),  V('K', 10), V('L', 11), V('M', 12), V('N', 13), V('O', 14), V('P', 15),
    V('Q', 16), V('R', 17), V('S', 18), V('T', 19), V('U', 20), V('V', 21), V('W', 22), V('X', 23),
    V('Y', 24), V('Z', 25), V('a', 26), V('b', 27), V('c', 28), V('d', 29), V('e', 30), V('f', 31),
    V('g', 32), V('h', 33), V('i', 34), V('j', 35), V('k', 36), V('l', 37), V('m', 38), V('n', 39),
    V('o', 40), V('p', 41), V('q', 42), V('r', 43), V('s', 44), V('t', 45), V('u', 46), V('v', 47),
    V('w', 48), V('x', 49), V('y', 50), V('z', 51), V('0', 52), V('1', 53), V('2', 54), V('3', 55),
    V('4', 56), V('5', 57), V('6', 58), V('7', 59), V('8', 60), V('9', 61), V('+', 62), V('/', 63),
    V('-', 62), V('_', 63),
#undef V
};

long check_base64(uint8_t *out, size_t size, const uint8_t *p, size_t len) {
    uint32_t bits = 0;
    size_t n = 0, held = 0;
    while (len && p[len - 1] == '=')
        len--;
    for (size_t i = 0; i < len; i++) {
        uint8_t v = base64_value[p[i]];
        if (!v)
            return -1;
        bits = bits << 6 | (uint32_t)(v - 1);
        if ((held += 6) >= 8) {
            if (n == size)
                return -1;
            held -= 8;
            out[n++] = (uint8_t)(bits >> held);
        }
    }
    return (long)n;
}

static size_t encoded_end(struct text t, size_t at) {
    while (at < t.len && base64_value[t.p[at]])
        at++;
    return at;
}

/* Where a next line of the same base64 begins, after the line [at, end); 0: there is none. */
static size_t next_line(struct text t, size_t at, size_t end) {
    if ((end - at) % 4)
        return 0;
    size_t next = end + (end < t.len && t.p[end] == '\r');
    return next + 1 < t.len && t.p[next] == '\n' && base64_value[t.p[next + 1]] ? next + 1 : 0;
}

/* ASCII of any kind, or whole characters of UTF-8 (the last one may be cut off). */
static bool is_text(const uint8_t *p, size_t len) {
    size_t bad = 0;
    for (size_t i = 0; i < len; i++) {
        bad += (p[i] < 0x20 && p[i] != '\n' && p[i] != '\r' && p[i] != '\t') || p[i] == 0x7f;
        size_t more = p[i] >= 0xf0 ? 3 : p[i] >= 0xe0 ? 2 : p[i] >= 0x80 ? 1 : 0;
        bad += more && (p[i] < 0xc2 || p[i] > 0xf4);
        for (; more && i + 1 < len; more--)
            bad += (p[++i] & 0xc0) != 0x80;
    }
    return bad * 16 <= len;
}

/* Decodes the line [at, end) to the view's end. */
static int open_line(struct view *v, struct text t, size_t at, size_t end) {
    int rc = buf_reserve(&v->text, end - at);
    if (!rc)
        rc = segment(v, v->text.len, at, SEGMENT_BASE64, 0);
    if (rc)
        return rc;
    long n = check_base64(v->text.p + v->text.len, end - at, t.p + at, end - at);
    v->text.len += n > 0 ? (size_t)n : 0;
    return 0;
}

int view_base64(struct view *v, struct text t, const struct run *runs, size_t count) {
    uint8_t head[RUN_MIN];
    size_t done = 0;
    int rc = 0;
    begin(v);
    for (size_t k = 0; !rc && k < count; k++) {
        size_t at = runs[k].start, end = runs[k].end, first = at;
        if (at < done || end - at < RUN_MIN || end - at > RUN_MAX)
            continue;
        long n = check_base64(head, sizeof head, t.p + at, RUN_MIN);
        if (n < 18 || !is_text(head, (size_t)n))
            continue;
        rc = open_line(v, t, at, end);
        for (size_t next; !rc && (next = next_line(t, at, end)) && next - first < RUN_MAX;) {
            at = next;
            end = encoded_end(t, at);
            rc = end - at > RUN_MAX ? 0 : open_line(v, t, at, end);
        }
        done = end;
        if (!rc)
            rc = segment(v, v->text.len, end - 1, 1, VIEW_GAP_BYTES);
        if (!rc)
            rc = buf_append(&v->text, VIEW_GAP, VIEW_GAP_BYTES);
    }
    return rc;
}
