/*
 * Values that only a name tells: `api_key = "..."`. The first stage sees names and the signs after them;
 * here the value is cut out and judged. Written by hand: in hostile text this runs for every second
 * byte.
 */
#include <string.h>

#include "write/detect/detect_int.h"

#define NAME_MAX_ 64   /* bytes of a name that are looked at */
#define NAME_REST 24   /* bytes of it behind the word that says so */
#define VALUE_MAX 1024 /* bytes of a value */

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

static bool is_quote(uint8_t c) {
    return c == '"' || c == '\'' || c == '`';
}

/* ---- the name ---- */

/* Names with these in them hold no secret, whatever else they say. */
static const char *const harmless[128][WORDS_EACH] = {
    ['_'] = {"_path", "_file", "_url", "_name", "_type"}, ['a'] = {"author_", "authors", "authored"},
    ['c'] = {"count", "credentialsid", "credentials_id", "cachekey", "cache_key", "checksum", "commit", "csrf", "continuation"},
    ['d'] = {"digest"}, ['e'] = {"etag"}, ['f'] = {"foreign", "forgot", "fingerprint"},
    ['h'] = {"hint", "hotkey"}, ['i'] = {"index", "integrity", "i18n"},
    ['k'] = {"keyboard", "keyword", "key_id", "keyid", "keyname", "keydown", "keyup", "keypress", "keycode", "key_arn", "keyarn", "keyring", "kid"},
    ['l'] = {"label", "length"}, ['m'] = {"monkey"},
    ['p'] = {"public", "pubkey", "primary", "primitive", "placeholder", "partition", "pagetoken", "page_token"},
    ['r'] = {"reset", "revision"}, ['s'] = {"sortkey", "secretary"},
    ['t'] = {"tokens", "tokeniz", "tokentype", "turkey"},
};

/* Behind the word at `at` that a name has in it: where the sign ends that says that a value follows; 0: there
 * is none. The rest of the name, up to three quotes or brackets, spaces, and one of : = , | ( > or "is",
 * or a quote after a space. */
static size_t sign_after(struct text t, size_t at) {
    size_t end = at + NAME_REST < t.len ? at + NAME_REST : t.len;
    while (at < end && (is_word(t.p[at]) || t.p[at] == '.' || t.p[at] == '-'))
        at++;
    end = at + 3 < t.len ? at + 3 : t.len;
    while (at < end && (is_quote(t.p[at]) || t.p[at] == ']' || t.p[at] == ')'))
        at++;
    size_t spaces = at;
    end = at + 8 < t.len ? at + 8 : t.len;
    while (at < end && (t.p[at] == ' ' || t.p[at] == '\t'))
        at++;
    if (at >= t.len)
        return 0;
    switch (t.p[at]) {
    case ':':
    case '=':
    case ',':
    case '|':
    case '(':
    case '>':
        return at + 1;
    case '"':
    case '\'':
        return at > spaces ? at + 1 : 0;
    case 'i':
    case 'I':
        return at > spaces && t.len - at > 2 && lower(t.p[at + 1]) == 's' && !is_word(t.p[at + 2]) ? at + 2 : 0;
    default:
        return 0;
    }
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

/* DB_PASSWORD=..., as environments are set: a word alone is a value there. */
static bool is_setting(struct text name) {
    bool joined = false;
    for (size_t i = 0; i < name.len; i++) {
        joined = joined || name.p[i] == '_';
        if (!is_upper(name.p[i]) && !is_digit(name.p[i]) && name.p[i] != '_')
            return false;
    }
    return joined;
}

/* ---- the value ---- */

struct value {
    size_t start, end;
    bool quoted;
};

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
        if (at < stop && is_quote(t.p[at]) && t.p[at] != quote)
            quote = t.p[at++]; /* quotes in quotes: a string that holds a literal */
        v = (struct value){at, at, true};
        while (v.end < stop && t.p[v.end] != quote && t.p[v.end] != '\n')
            v.end++;
        if (v.end == stop || t.p[v.end] != quote)
            v.end = v.start; /* no closing quote: an apostrophe, most likely */
        return v;
    }
    v.start = v.end = at;
    bool query = at > 0 && t.p[at - 1] == '='; /* there an & begins the next name */
    while (v.end < stop && (!ends_value(t.p[v.end]) || (t.p[v.end] == '&' && !query)))
        v.end++;
    if (v.end > at + 1 && t.p[v.end - 1] == '.' && (v.end == t.len || is_space(t.p[v.end]) || t.p[v.end] == '\\'))
        v.end--; /* the sentence's */
    if (v.end < t.len && t.p[v.end] == '(')
        v.end = v.start; /* a call */
    return v;
}

/* What a name like "api_key" says is one, without a word of whose it is. */
static bool is_key(const uint8_t *p, size_t len, bool quoted) {
    if (len < 10 || memmem(p, len, "://", 3))
        return false;
    bool dense = quoted && len >= 32 && !memchr(p, ' ', len) && !memmem(p, len, "{}", 2) &&
                 value_entropy(p, len) > 42 * 256 / 10;
    return (dense || (value_is_random(p, len) && !value_is_placeholder(p, len))) && !value_is_file(p, len) &&
           !value_is_sequence(p, len) && !value_is_name(p, len);
}

void assign_confirm(const struct detect *d, struct detect_work *w, struct text t, size_t rule,
                    size_t word) {
    size_t end = word < w->done[rule] ? 0 : sign_after(t, word);
    if (!end || end == w->tried[rule])
        return; /* a name with several such words is one name */
    w->tried[rule] = (uint32_t)end;
    /* `...key">` ends a tag, and what is passed to a function, or stands in a list, is a value only in quotes. */
    uint8_t sign = t.p[end - 1];
    if (sign == '>' && is_quote(t.p[end - 2]))
        return;
    struct value v = value_after(t, end);
    if ((sign == '(' || sign == ',') && !v.quoted)
        return;
    size_t len = v.end - v.start;
    if (len < 6 || v.start < w->done[rule])
        return;
    const uint8_t *p = t.p + v.start;
    struct text name = name_before(t, end);
    if (!name.len || value_has_any(harmless, name.p, name.len))
        return;
    bool found = d->rules.list[rule].kind == RULE_PASSWORD
                     ? value_is_password(p, len, v.quoted) ||
                           (is_setting(name) && t.p[v.start - 1] == '=' && value_is_weak(p, len))
                     : is_key(p, len, v.quoted);
    if (!found)
        return;
    w->done[rule] = (uint32_t)v.end;
    work_found(w, rule, v.start, v.end, DETECT_UNCHECKED);
}
