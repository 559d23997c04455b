/*
 * Values that only their surroundings tell: `api_key = "..."`, or a service's name, a word like token,
 * and something random. The first stage sees names and the signs after them; here the value is cut
 * out and judged. Written by hand: in hostile text this runs for every second byte.
 */
#include <string.h>

#include "write/detect/detect_int.h"

#define NAME_MAX_ 64   /* bytes of a name that are looked at */
#define VALUE_MAX 1024 /* bytes of a value */
#define REACH 110      /* from a service's name to the value */
#define WORDS 6        /* other words between them */

static uint8_t lower(uint8_t c) {
    return is_upper(c) ? (uint8_t)(c | 0x20) : c;
}

static bool starts_word(const uint8_t *p, size_t len, const char *word) {
    size_t i = 0;
    for (; word[i]; i++)
        if (i >= len || lower(p[i]) != (uint8_t)word[i])
            return false;
    return true;
}

/* ---- the name ---- */

/* Names with these in them hold no secret, whatever else they say. */
static bool is_harmless(const uint8_t *p, size_t len) {
    static const char *const words[] = {
        "public",   "primary",  "foreign",   "tokens",     "keyboard", "keyword",   "monkey", "tokeniz",
        "key_id",   "keyid",    "label",     "placeholder", "_path",   "_file",     "_url",   "_name",
        "keyname",  "length",   "count",     "_type",      "tokentype", "hint",     "reset",  "forgot",
        "hotkey",   "keydown",  "keyup",     "keypress",   "sortkey",  "cachekey",  "cache_key",
        "keycode",  "secretary", "partition", "index",     "author",   "integrity", "checksum",
        "fingerprint", "commit", "revision", "etag",      "digest",   "csrf",      "continuation",
        "pagetoken", "page_token", "key_arn", "keyarn",   "keyring",   "turkey",    "i18n", "kid"};
    for (size_t i = 0; i < len; i++)
        for (size_t k = 0; k < sizeof words / sizeof words[0]; k++)
            if (starts_word(p + i, len - i, words[k]))
                return true;
    return false;
}

/* The identifier before the sign at `end`. */
static struct text name_before(struct text t, size_t end) {
    size_t at = end, low = end > 24 ? end - 24 : 0;
    while (at > low && !is_alnum(t.p[at - 1]))
        at--;
    if (at - low >= 3 && starts_word(t.p + at - 3, 3, " is")) {
        at -= 3;
        while (at > low && !is_alnum(t.p[at - 1]))
            at--;
    }
    size_t stop = at;
    while (at > 0 && stop - at < NAME_MAX_ && (is_word(t.p[at - 1]) || t.p[at - 1] == '-'))
        at--;
    return (struct text){t.p + at, stop - at};
}

/* ---- the value ---- */

struct value {
    size_t start, end;
    bool quoted;
};

static bool is_quote(uint8_t c) {
    return c == '"' || c == '\'' || c == '`';
}

static bool ends_value(uint8_t c) {
    return c <= ' ' || c >= 0x7f || is_quote(c) || c == ',' || c == ';' || c == '<' || c == '>' ||
           c == ')' || c == '}' || c == ']' || c == '&' || c == '|' || c == '\\' || c == '(';
}

static struct value value_after(struct text t, size_t at) {
    struct value v = {0};
    size_t limit = t.len - at > 16 ? at + 16 : t.len, stop;
    if (at > 0 && is_quote(t.p[at - 1]))
        at--;
    while (at < limit && (t.p[at] == ' ' || t.p[at] == '\t' || t.p[at] == '=' || t.p[at] == ':' ||
                          t.p[at] == '>' || t.p[at] == '(' || t.p[at] == '[' || t.p[at] == ',' || t.p[at] == '|'))
        at++;
    if (at + 1 < t.len && (t.p[at] == 'b' || t.p[at] == 'r' || t.p[at] == 'f' || t.p[at] == '@') && is_quote(t.p[at + 1]))
        at++;
    stop = t.len - at > VALUE_MAX ? at + VALUE_MAX : t.len;
    if (at < stop && is_quote(t.p[at])) {
        uint8_t quote = t.p[at++];
        v = (struct value){at, at, true};
        while (v.end < stop && t.p[v.end] != quote && t.p[v.end] != '\n')
            v.end++;
        if (v.end == stop || t.p[v.end] != quote)
            v.end = v.start; /* no closing quote: an apostrophe, most likely */
        return v;
    }
    v.start = v.end = at;
    while (v.end < stop && !ends_value(t.p[v.end]))
        v.end++;
    if (v.end < t.len && t.p[v.end] == '(')
        v.end = v.start; /* a call */
    return v;
}

void assign_confirm(const struct detect *d, struct detect_work *w, struct text t, size_t rule,
                    size_t end) {
    if (end < w->done[rule])
        return;
    struct value v = value_after(t, end);
    size_t len = v.end - v.start;
    if (len < 6 || v.start < w->done[rule])
        return;
    const uint8_t *p = t.p + v.start;
    struct text name = name_before(t, end);
    if (!name.len || is_harmless(name.p, name.len))
        return;
    bool found = d->rules.list[rule].kind == RULE_PASSWORD
                     ? value_is_password(p, len, v.quoted)
                     : len >= 10 && value_is_random(p, len) && !value_is_placeholder(p, len);
    if (!found)
        return;
    w->done[rule] = (uint32_t)v.end;
    work_found(w, rule, v.start, v.end, DETECT_UNCHECKED);
}

/* ---- a service's name ---- */

static const char *const key_words[] = {"secret", "private", "access",  "token",  "api",    "key",
                                        "auth",   "client",  "password", "pat",   "app",    "license",
                                        "bearer", "service", "account", "oauth",  "project", "user",
                                        "live",   "test",    "id",      "pass",   "basic"};

/* How much of the beginning is words like "secret" and signs between them. Sets *said for a word that
 * says a secret follows. */
static size_t skip_key_words(const uint8_t *p, size_t len, bool *said, bool *sign) {
    size_t at = 0;
    for (bool more = true; more;) {
        more = false;
        while (at < len && strchr("_-=.:", p[at])) {
            *sign = *sign || p[at] == '=' || p[at] == ':';
            at++;
        }
        for (size_t k = 0; !more && k < sizeof key_words / sizeof key_words[0]; k++) {
            size_t n = strlen(key_words[k]);
            /* Only a whole word: small letters after it that are no further such word are the value. */
            if (starts_word(p + at, len - at, key_words[k]) &&
                (k < 10 || at + n == len || !is_alnum(p[at + n]) || is_upper(p[at + n]))) {
                at += n;
                *said = *said || k < 10;
                more = true;
            }
        }
    }
    return at;
}

static bool is_token_char(uint8_t c) {
    return is_alnum(c) || c == '_' || c == '-' || c == '.' || c == '+' || c == '/' || c == '=' ||
           c == '~' || c == '%' || c == '!' || c == '@';
}

/* Paths, hosts and file names have signs that keys have as well, but their parts are words. */
static bool is_address(const uint8_t *p, size_t len) {
    return p[0] == '/' || p[0] == '.' || memmem(p, len, "//", 2) || memmem(p, len, ".com", 4) ||
           memmem(p, len, "@", 1) || memmem(p, len, ".io", 3);
}

void vendor_confirm(const struct detect *d, struct detect_work *w, struct text t, size_t rule,
                    size_t keyword, size_t end) {
    const char *word = d->rules.list[rule].keywords[keyword];
    bool common = word[0] == '~', said = false, sign = false;
    size_t start = end - strlen(word + common), at = end, words = 0;
    if (end < w->done[rule] || (start > 0 && is_lower(t.p[start - 1]) && is_lower(t.p[start])))
        return;
    if (end < t.len && is_lower(t.p[end]) && is_lower(t.p[end - 1]) && common)
        return;
    size_t stop = t.len - end > REACH ? end + REACH : t.len;
    while (at < stop && words < WORDS) {
        uint8_t c = t.p[at];
        if (!is_token_char(c)) {
            sign = sign || c == ':';
            at++;
            continue;
        }
        size_t from = at;
        while (at < t.len && at - from < VALUE_MAX && is_token_char(t.p[at]))
            at++;
        from += skip_key_words(t.p + from, at - from, &said, &sign);
        const uint8_t *equals = memchr(t.p + from, '=', at - from);
        if (equals && (size_t)(equals - t.p) + 3 < at && is_alnum(equals[1])) {
            at = (size_t)(equals - t.p); /* NAME=VALUE: the value comes next */
            skip_key_words(t.p + from, at - from, &said, &sign);
            words++;
            continue;
        }
        size_t len = at - from;
        while (len && (t.p[from + len - 1] == '.' || t.p[from + len - 1] == '!'))
            len--;
        bool told = common ? said && (sign || words == 0) : said || sign || words == 0;
        bool clear = said && words == 0;
        if (len >= (said && sign ? 8 : 11) && told && !is_address(t.p + from, len) &&
            (clear ? value_is_likely : value_is_random)(t.p + from, len) &&
            !value_is_placeholder(t.p + from, len)) {
            w->done[rule] = (uint32_t)(from + len);
            work_found(w, rule, from, from + len, DETECT_UNCHECKED);
            return;
        }
        words += len > 0;
    }
}
