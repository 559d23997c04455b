/*
 * The error bodies of errors.h, written by gateway workers into a buffer of the caller. Pure; every
 * part has a ceiling, so that the whole always fits.
 */
#include "llm/errors.h"

#include <string.h>

#include "base/err.h"

#define PART_MAX 128 /* of param and request id */

struct row {
    uint16_t status;
    enum errors_retry retry;
    const char *code, *openai, *anthropic, *text;
};

static const struct row rows[] = {
#define ERRORS_ROW_(name, status, code, openai, anthropic, retry, text)                            \
    [name] = {status, ERRORS_RETRY_##retry, code, openai, anthropic, text},
    ERRORS_TABLE(ERRORS_ROW_)
#undef ERRORS_ROW_
};

static const struct row *row_of(enum errors_code code) {
    return &rows[(unsigned)code < ERRORS_COUNT ? code : ERRORS_INTERNAL];
}

uint16_t errors_status(enum errors_code code) {
    return row_of(code)->status;
}

const char *errors_name(enum errors_code code) {
    return row_of(code)->code;
}

enum errors_retry errors_retry(enum errors_code code) {
    return row_of(code)->retry;
}

/* ---- writing ---- */

struct out {
    char *p;
    size_t n;
};

static void put(struct out *o, const char *s) {
    size_t n = strlen(s);
    CHECK(n < ERRORS_MAX - o->n);
    memcpy(o->p + o->n, s, n);
    o->n += n;
}

/* How many bytes the character at p has; 0: it is not well formed (RFC 3629). */
static size_t character(const uint8_t *p, size_t len) {
    uint8_t c = *p;
    if (c < 0x80)
        return 1;
    size_t n = c < 0xc2 || c > 0xf4 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    if (!n || n > len)
        return 0;
    uint8_t min = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
    uint8_t max = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    for (size_t i = 1; i < n; i++, min = 0x80, max = 0xbf)
        if (p[i] < min || p[i] > max)
            return 0;
    return n;
}

/* The inside of a JSON string, of at most `max` bytes of the text, whole characters. */
static void put_text(struct out *o, const char *s, size_t len, size_t max) {
    static const char digit[] = "0123456789abcdef";
    const uint8_t *p = (const uint8_t *)s;
    for (size_t i = 0, n; i < len; i += n ? n : 1) {
        uint8_t c = p[i];
        n = character(p + i, len - i);
        if (i + n > max || i >= max)
            break;
        char text[8] = "?";
        if (c == '"' || c == '\\')
            memcpy(text, (char[]){'\\', (char)c, 0}, 3);
        else if (c < ' ')
            memcpy(text, (char[]){'\\', 'u', '0', '0', digit[c >> 4], digit[c & 15], 0}, 7);
        else if (n)
            memcpy(text, s + i, n), text[n] = 0;
        put(o, text);
    }
}

static void put_string_or_null(struct out *o, const char *s) {
    if (!s) {
        put(o, "null");
        return;
    }
    put(o, "\"");
    put_text(o, s, strlen(s), PART_MAX);
    put(o, "\"");
}

static void put_message(struct out *o, const struct row *r, const struct errors_said *e) {
    put(o, "\"message\":\"");
    put(o, r->text);
    if (e->detail_len) {
        put(o, " (");
        put_text(o, e->detail, e->detail_len, ERRORS_DETAIL);
        put(o, ")");
    }
}

static void put_openai(struct out *o, const struct row *r, const struct errors_said *e) {
    put(o, "{\"error\":{");
    put_message(o, r, e);
    put(o, "\",\"type\":\"");
    put(o, r->openai);
    put(o, "\",\"param\":");
    put_string_or_null(o, e->param);
    put(o, ",\"code\":\"");
    put(o, r->code);
    put(o, "\"}}");
}

static void put_anthropic(struct out *o, const struct row *r, const struct errors_said *e) {
    put(o, "{\"type\":\"error\",\"error\":{\"type\":\"");
    put(o, r->anthropic);
    put(o, "\",");
    put_message(o, r, e);
    put(o, " [");
    put(o, r->code);
    put(o, "]\"},\"request_id\":");
    put_string_or_null(o, e->request_id);
    put(o, "}");
}

static void put_body(struct out *o, enum dialect_family family, const struct errors_said *e) {
    const struct row *r = row_of(e->code);
    if (family == FAMILY_ANTHROPIC)
        put_anthropic(o, r, e);
    else
        put_openai(o, r, e);
}

size_t errors_body(char out[ERRORS_MAX], enum dialect_family family, const struct errors_said *e) {
    struct out o = {out, 0};
    put_body(&o, family, e);
    out[o.n] = 0;
    return o.n;
}

size_t errors_event(char out[ERRORS_MAX], enum dialect_family family, const struct errors_said *e) {
    struct out o = {out, 0};
    put(&o, family == FAMILY_ANTHROPIC ? "event: error\ndata: " : "data: ");
    put_body(&o, family, e);
    put(&o, "\n\n");
    out[o.n] = 0;
    return o.n;
}
