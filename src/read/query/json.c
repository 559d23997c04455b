/*
 * The slicing JSON reader of json.h. The command line uses it on opened turns, whose content came from
 * outside: the check bounds depth and touches each byte once; walking is linear in what is walked.
 */
#include "read/query/json.h"

#include <string.h>

#include "base/err.h"
#include "base/limits.h"

struct scan {
    const char *p, *end;
};

static void skip_space(struct scan *s) {
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\n' || *s->p == '\r'))
        s->p++;
}

static bool is_hex(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool scan_string(struct scan *s) {
    for (s->p++; s->p < s->end; s->p++) {
        unsigned char c = (unsigned char)*s->p;
        if (c == '"') {
            s->p++;
            return true;
        }
        if (c < 0x20)
            return false;
        if (c != '\\')
            continue;
        if (++s->p >= s->end || !*s->p || !strchr("\"\\/bfnrtu", *s->p))
            return false;
        if (*s->p == 'u')
            for (int i = 0; i < 4; i++)
                if (++s->p >= s->end || !is_hex(*s->p))
                    return false;
    }
    return false;
}

static bool scan_digits(struct scan *s) {
    const char *from = s->p;
    while (s->p < s->end && *s->p >= '0' && *s->p <= '9')
        s->p++;
    return s->p > from;
}

static bool scan_number(struct scan *s) {
    if (*s->p == '-')
        s->p++;
    if (s->p < s->end && *s->p == '0')
        s->p++;
    else if (!scan_digits(s))
        return false;
    if (s->p < s->end && *s->p == '.') {
        s->p++;
        if (!scan_digits(s))
            return false;
    }
    if (s->p < s->end && (*s->p == 'e' || *s->p == 'E')) {
        s->p++;
        if (s->p < s->end && (*s->p == '+' || *s->p == '-'))
            s->p++;
        return scan_digits(s);
    }
    return true;
}

static bool scan_word(struct scan *s, const char *word) {
    size_t n = strlen(word);
    if ((size_t)(s->end - s->p) < n || memcmp(s->p, word, n) != 0)
        return false;
    s->p += n;
    return true;
}

static bool scan_value(struct scan *s, unsigned depth);

/* Members or elements up to the closing bracket; s->p is behind the opening one. */
static bool scan_inside(struct scan *s, char close, unsigned depth) {
    skip_space(s);
    if (s->p < s->end && *s->p == close) {
        s->p++;
        return true;
    }
    for (;;) {
        skip_space(s);
        if (close == '}') {
            if (s->p >= s->end || *s->p != '"' || !scan_string(s))
                return false;
            skip_space(s);
            if (s->p >= s->end || *s->p++ != ':')
                return false;
            skip_space(s);
        }
        if (!scan_value(s, depth))
            return false;
        skip_space(s);
        if (s->p >= s->end)
            return false;
        char c = *s->p++;
        if (c == close)
            return true;
        if (c != ',')
            return false;
    }
}

static bool scan_value(struct scan *s, unsigned depth) {
    if (s->p >= s->end || depth > LIMIT_JSON_DEPTH)
        return false;
    switch (*s->p) {
    case '{':
        s->p++;
        return scan_inside(s, '}', depth + 1);
    case '[':
        s->p++;
        return scan_inside(s, ']', depth + 1);
    case '"':
        return scan_string(s);
    case 't':
        return scan_word(s, "true");
    case 'f':
        return scan_word(s, "false");
    case 'n':
        return scan_word(s, "null");
    default:
        return scan_number(s);
    }
}

int json_parse(struct json *ret, const void *text, size_t len) {
    struct scan s = {text, (const char *)text + len};
    skip_space(&s);
    const char *from = s.p;
    if (!scan_value(&s, 0))
        return ERR_SYNTAX;
    struct json v = {from, (size_t)(s.p - from)};
    skip_space(&s);
    if (s.p != s.end)
        return ERR_SYNTAX;
    *ret = v;
    return 0;
}

static bool is_word(struct json v, const char *word) {
    return v.p && v.len == strlen(word) && memcmp(v.p, word, v.len) == 0;
}

bool json_truth(struct json v) {
    return is_word(v, "true");
}

bool json_is_empty(struct json v) {
    return !v.p || is_word(v, "null") || is_word(v, "\"\"") ||
           (json_is(v, '[') && json_count(v) == 0);
}

/* Where a value of a checked text ends: no syntax left to check, so brackets are only counted. */
static void skip_value(struct scan *s) {
    unsigned depth = 0;
    if (*s->p != '{' && *s->p != '[') {
        (void)scan_value(s, 0);
        return;
    }
    do {
        if (*s->p == '"') {
            (void)scan_string(s);
            continue;
        }
        if (*s->p == '{' || *s->p == '[')
            depth++;
        else if (*s->p == '}' || *s->p == ']')
            depth--;
        s->p++;
    } while (depth > 0 && s->p < s->end);
}

bool json_each(struct json container, size_t *pos, struct json *ret_key, struct json *ret_value) {
    struct json key = {0};
    if (!json_is(container, '{') && !json_is(container, '['))
        return false;
    struct scan s = {container.p + (*pos ? *pos : 1), container.p + container.len - 1};
    skip_space(&s);
    if (s.p < s.end && *s.p == ',') {
        s.p++;
        skip_space(&s);
    }
    if (s.p >= s.end)
        return false;
    if (json_is(container, '{')) {
        key.p = s.p;
        (void)scan_string(&s);
        key.len = (size_t)(s.p - key.p);
        skip_space(&s);
        s.p++;
        skip_space(&s);
    }
    const char *from = s.p;
    skip_value(&s);
    if (ret_key)
        *ret_key = key;
    *ret_value = (struct json){from, (size_t)(s.p - from)};
    *pos = (size_t)(s.p - container.p);
    return true;
}

struct json json_get(struct json object, const char *name) {
    struct json key, value, found = {0};
    size_t pos = 0;
    if (json_is(object, '{'))
        while (json_each(object, &pos, &key, &value))
            if (json_equals(key, name))
                found = value;
    return found;
}

struct json json_at(struct json array, size_t i) {
    struct json value;
    size_t pos = 0;
    if (json_is(array, '['))
        while (json_each(array, &pos, NULL, &value))
            if (i-- == 0)
                return value;
    return (struct json){0};
}

size_t json_count(struct json container) {
    struct json value;
    size_t pos = 0, n = 0;
    while (json_each(container, &pos, NULL, &value))
        n++;
    return n;
}

bool json_equals(struct json string, const char *text) {
    if (!json_is(string, '"'))
        return false;
    size_t n = strlen(text);
    if (!memchr(string.p, '\\', string.len))
        return string.len == n + 2 && memcmp(string.p + 1, text, n) == 0;
    struct buf b;
    buf_init(&b, 6 * n + 8);
    bool same = json_text(string, &b) == 0 && b.len == n && memcmp(b.p, text, n) == 0;
    buf_wipe(&b);
    return same;
}

uint64_t json_number(struct json v, uint64_t otherwise) {
    uint64_t n = 0;
    if (!v.p || v.len == 0 || v.len > 15)
        return otherwise;
    for (size_t i = 0; i < v.len; i++) {
        if (v.p[i] < '0' || v.p[i] > '9')
            return otherwise;
        n = n * 10 + (uint64_t)(v.p[i] - '0');
    }
    return n;
}

static uint32_t hex4(const char *p) {
    uint32_t v = 0;
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        uint32_t d = c <= '9' ? (uint32_t)(c - '0') : (uint32_t)((c | 0x20) - 'a' + 10);
        v = v << 4 | d;
    }
    return v;
}

static int put_utf8(struct buf *out, uint32_t c) {
    uint8_t b[4];
    size_t n = 0;
    if (c < 0x80) {
        b[n++] = (uint8_t)c;
    } else if (c < 0x800) {
        b[n++] = (uint8_t)(0xc0 | c >> 6);
        b[n++] = (uint8_t)(0x80 | (c & 63));
    } else if (c < 0x10000) {
        b[n++] = (uint8_t)(0xe0 | c >> 12);
        b[n++] = (uint8_t)(0x80 | (c >> 6 & 63));
        b[n++] = (uint8_t)(0x80 | (c & 63));
    } else {
        b[n++] = (uint8_t)(0xf0 | c >> 18);
        b[n++] = (uint8_t)(0x80 | (c >> 12 & 63));
        b[n++] = (uint8_t)(0x80 | (c >> 6 & 63));
        b[n++] = (uint8_t)(0x80 | (c & 63));
    }
    return buf_append(out, b, n);
}

/* One \u escape, or two that are a pair; p is behind the u. Moves p behind what it took. */
static uint32_t unescape_u(const char **p, const char *end) {
    uint32_t c = hex4(*p);
    *p += 4;
    if (c < 0xd800 || c > 0xdfff)
        return c;
    if (c < 0xdc00 && end - *p >= 6 && (*p)[0] == '\\' && (*p)[1] == 'u') {
        uint32_t low = hex4(*p + 2);
        if (low >= 0xdc00 && low <= 0xdfff) {
            *p += 6;
            return 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
        }
    }
    return 0xfffd;
}

int json_text(struct json string, struct buf *out) {
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    if (!json_is(string, '"'))
        return ERR_SYNTAX;
    const char *p = string.p + 1, *end = string.p + string.len - 1;
    int rc = 0;
    while (!rc && p < end) {
        const char *slash = memchr(p, '\\', (size_t)(end - p));
        size_t n = (size_t)((slash ? slash : end) - p);
        rc = buf_append(out, p, n);
        p += n;
        if (rc || !slash)
            break;
        char c = p[1];
        p += 2;
        const char *known = strchr(from, c);
        if (c == 'u')
            rc = put_utf8(out, unescape_u(&p, end));
        else
            rc = buf_append_u8(out, (uint8_t)(known ? to[known - from] : c));
    }
    return rc;
}

int json_escape(struct buf *out, const void *p, size_t len) {
    static const char digit[] = "0123456789abcdef";
    const uint8_t *b = p;
    int rc = 0;
    for (size_t i = 0; !rc && i < len;) {
        size_t n = 0;
        while (i + n < len && b[i + n] >= 0x20 && b[i + n] != '"' && b[i + n] != '\\')
            n++;
        rc = buf_append(out, b + i, n);
        i += n;
        if (rc || i >= len)
            break;
        uint8_t c = b[i++];
        if (c == '"' || c == '\\')
            rc = buf_append(out, (char[]){'\\', (char)c}, 2);
        else if (c == '\n')
            rc = buf_append_str(out, "\\n");
        else
            rc = buf_append(out, (char[]){'\\', 'u', '0', '0', digit[c >> 4], digit[c & 15]}, 6);
    }
    return rc;
}
