/*
 * The push scanner of reqscan.h: gateway workers run it over each request body.
 *
 * A state per byte for the structure, and one fast path where the bytes are: inside strings, 16
 * bytes are looked at together for quote, backslash, control and non-ASCII characters (SSE2 is part
 * of x86-64; elsewhere eight at a time), and whole \uXXXX escapes and three-byte characters
 * (Chinese text, escaped or not) are taken in one step. The state carries everything across
 * buffers; the fast paths only skip bytes that the slow ones would accept one by one.
 */
#include "llm/reqscan.h"

#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/err.h"

enum state {
    START,     /* before the object */
    VALUE,     /* a value must come */
    FIRST,     /* after '[': a value or ']' */
    KEY_FIRST, /* after '{': a name or '}' */
    KEY,       /* after ',' in an object */
    COLON,     /* after a name */
    AFTER,     /* after a value: ',' or the container's end */
    STRING,    /* from here to HEX: inside a string */
    UTF8,      /* inside a character of several bytes */
    ESCAPE,    /* after a backslash */
    HEX,       /* inside \uXXXX */
    LITERAL,   /* true, false, null */
    MINUS,     /* numbers: after '-' */
    ZERO,      /* after a leading 0 */
    INTEGER,   /* in the integer's digits */
    POINT,     /* after '.' */
    FRACTION,  /* in the fraction's digits */
    EXPONENT,  /* after 'e' */
    SIGN,      /* after its sign */
    POWER,     /* in the exponent's digits */
    END,       /* after the object */
    FAILED,
    TOO_DEEP,
};

enum capture { NOTHING, NAME, MODEL };

#define OTHER REQSCAN_MEMBERS /* a member that is not noted */

#define TEXT(name) name, sizeof name - 1
static const struct {
    const char *name;
    uint8_t len;
    enum reqscan_member within; /* OTHER: the object itself */
} noted[REQSCAN_MEMBERS] = {
    [REQSCAN_MODEL] = {TEXT("model"), OTHER},
    [REQSCAN_STREAM] = {TEXT("stream"), OTHER},
    [REQSCAN_STREAM_OPTIONS] = {TEXT("stream_options"), OTHER},
    [REQSCAN_USER] = {TEXT("user"), OTHER},
    [REQSCAN_USER_ID] = {TEXT("user_id"), OTHER},
    [REQSCAN_SAFETY_IDENTIFIER] = {TEXT("safety_identifier"), OTHER},
    [REQSCAN_METADATA] = {TEXT("metadata"), OTHER},
    [REQSCAN_MAX_TOKENS] = {TEXT("max_tokens"), OTHER},
    [REQSCAN_MAX_COMPLETION_TOKENS] = {TEXT("max_completion_tokens"), OTHER},
    [REQSCAN_MAX_OUTPUT_TOKENS] = {TEXT("max_output_tokens"), OTHER},
    [REQSCAN_N] = {TEXT("n"), OTHER},
    [REQSCAN_INCLUDE_USAGE] = {TEXT("include_usage"), REQSCAN_STREAM_OPTIONS},
    [REQSCAN_METADATA_USER_ID] = {TEXT("user_id"), REQSCAN_METADATA},
};

static const char *const literals[] = {"true", "false", "null"};

void reqscan_init(struct reqscan *s) {
    memset(s, 0, sizeof *s);
    s->member = s->inner = s->inside = OTHER;
}

void reqscan_init_any(struct reqscan *s) {
    reqscan_init(s);
    s->any = true;
}

static int fail(struct reqscan *s) {
    s->state = FAILED;
    return ERR_SYNTAX;
}

static bool is_space(uint8_t c) {
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static bool in_object(const struct reqscan *s) {
    unsigned top = s->depth - 1u;
    return s->is_object[top / 8] >> (top % 8) & 1;
}

static int open_container(struct reqscan *s, bool object) {
    if (s->depth == LIMIT_JSON_DEPTH) {
        s->state = TOO_DEEP;
        return ERR_LIMIT;
    }
    uint8_t bit = (uint8_t)(1u << (s->depth % 8));
    if (object)
        s->is_object[s->depth / 8] |= bit;
    else
        s->is_object[s->depth / 8] &= (uint8_t)~bit;
    if (s->depth == 1 && object &&
        (s->member == REQSCAN_STREAM_OPTIONS || s->member == REQSCAN_METADATA))
        s->inside = s->member;
    s->depth++;
    s->state = object ? KEY_FIRST : FIRST;
    return 0;
}

/* The noted value that is open at this depth; NULL: none. */
static struct reqscan_value *open_value(struct reqscan *s) {
    uint8_t m = s->depth == 1 ? s->member : s->depth == 2 && s->inside != OTHER ? s->inner : OTHER;
    return m == OTHER ? NULL : &s->value[m];
}

static void value_ended(struct reqscan *s, uint32_t end) {
    struct reqscan_value *v = open_value(s);
    if (v)
        v->len = end - v->at;
    s->state = s->depth ? AFTER : END;
}

static int close_container(struct reqscan *s, bool object) {
    if (!s->depth || in_object(s) != object)
        return fail(s);
    s->depth--;
    if (s->depth == 1)
        s->inside = OTHER;
    if (s->depth == 0)
        s->end = s->at;
    value_ended(s, s->at + 1);
    return 0;
}

/* ---- what is kept of names and the model ---- */

static void capture_byte(struct reqscan *s, uint8_t c) {
    if (s->capture == NAME) {
        if (s->key_len < REQSCAN_KEY)
            s->key[s->key_len++] = c;
        else
            s->capture = NOTHING; /* full: no name that is looked for */
    } else if (s->capture == MODEL) {
        if (c && s->model_len < LIMIT_MODEL - 1) {
            s->model[s->model_len++] = (char)c;
        } else {
            s->model_cut = true;
            s->capture = NOTHING;
        }
    }
}

static void capture_code(struct reqscan *s, uint32_t cp) {
    if (cp < 0x80) {
        capture_byte(s, (uint8_t)cp);
        return;
    }
    if (cp < 0x800) {
        capture_byte(s, (uint8_t)(0xc0 | cp >> 6));
    } else if (cp < 0x10000) {
        capture_byte(s, (uint8_t)(0xe0 | cp >> 12));
        capture_byte(s, (uint8_t)(0x80 | (cp >> 6 & 63)));
    } else {
        capture_byte(s, (uint8_t)(0xf0 | cp >> 18));
        capture_byte(s, (uint8_t)(0x80 | (cp >> 12 & 63)));
        capture_byte(s, (uint8_t)(0x80 | (cp >> 6 & 63)));
    }
    capture_byte(s, (uint8_t)(0x80 | (cp & 63)));
}

/* A high surrogate whose low one did not follow. */
static void capture_lone(struct reqscan *s) {
    if (s->high)
        capture_code(s, 0xfffd);
    s->high = 0;
}

static void capture_hex(struct reqscan *s) {
    if (s->hex >= 0xdc00 && s->hex < 0xe000 && s->high) {
        uint32_t cp = 0x10000 + ((uint32_t)(s->high - 0xd800) << 10) + (uint32_t)(s->hex - 0xdc00);
        s->high = 0;
        capture_code(s, cp);
        return;
    }
    capture_lone(s);
    if (s->hex >= 0xd800 && s->hex < 0xdc00)
        s->high = s->hex;
    else
        capture_code(s, s->hex >= 0xdc00 && s->hex < 0xe000 ? 0xfffd : s->hex);
}

/* Drops a character that the ceiling cut in two. */
static void trim_model(struct reqscan *s) {
    size_t n = s->model_len, back = 0;
    while (back < n && back < 4 && ((uint8_t)s->model[n - 1 - back] & 0xc0) == 0x80)
        back++;
    if (back < n) {
        uint8_t lead = (uint8_t)s->model[n - 1 - back];
        size_t need = lead < 0xc0 ? 0 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
        if (need != back)
            n -= back + 1;
    }
    memset(s->model + n, 0, sizeof s->model - n);
    s->model_len = (uint8_t)n;
}

/* ---- strings ---- */

static void string_begins(struct reqscan *s, bool name) {
    s->state = STRING;
    s->in_name = name;
    s->capture = NOTHING;
    s->high = 0;
    if (name && (s->depth == 1 || (s->depth == 2 && s->inside != OTHER))) {
        s->capture = NAME;
        s->key_len = 0;
        *(s->depth == 1 ? &s->member : &s->inner) = OTHER;
        s->options_filled |= s->inside == REQSCAN_STREAM_OPTIONS;
    } else if (!name && s->depth == 1 && s->member == REQSCAN_MODEL) {
        s->capture = MODEL;
        s->has_model = true;
    }
}

static void name_ends(struct reqscan *s) {
    for (uint8_t m = 0; m < REQSCAN_MEMBERS; m++)
        if (noted[m].within == s->inside && noted[m].len == s->key_len &&
            !memcmp(noted[m].name, s->key, s->key_len))
            *(s->depth == 1 ? &s->member : &s->inner) = m;
}

static void string_ends(struct reqscan *s) {
    capture_lone(s);
    if (s->capture == NAME)
        name_ends(s);
    else if (!s->in_name && s->depth == 1 && s->member == REQSCAN_MODEL)
        trim_model(s);
    s->capture = NOTHING;
    if (s->in_name)
        s->state = COLON;
    else
        value_ended(s, s->at + 1);
}

static int hex_digit(uint8_t c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

#ifdef __SSE2__
static inline __m128i stops(__m128i v) {
    /* signed: bytes from 0x80 on are negative, so "less than blank" finds them as well */
    return _mm_or_si128(
        _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('"')), _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'))),
        _mm_cmplt_epi8(v, _mm_set1_epi8(' ')));
}
#endif

/* The first byte in [p, e) that is a quote, a backslash, a control character or not ASCII. */
static const uint8_t *skip_plain(const uint8_t *p, const uint8_t *e) {
#ifdef __SSE2__
    for (; e - p >= 64; p += 64) {
        const __m128i *v = (const void *)p;
        __m128i ab = _mm_or_si128(stops(_mm_loadu_si128(v)), stops(_mm_loadu_si128(v + 1)));
        __m128i cd = _mm_or_si128(stops(_mm_loadu_si128(v + 2)), stops(_mm_loadu_si128(v + 3)));
        if (_mm_movemask_epi8(_mm_or_si128(ab, cd)))
            break;
    }
    for (; e - p >= 16; p += 16) {
        int mask = _mm_movemask_epi8(stops(_mm_loadu_si128((const __m128i *)(const void *)p)));
        if (mask)
            return p + __builtin_ctz((unsigned)mask);
    }
#else
    for (; e - p >= 8; p += 8) {
        uint64_t v, ones = 0x0101010101010101u, high = 0x8080808080808080u;
        memcpy(&v, p, 8);
        uint64_t q = v ^ ones * '"', b = v ^ ones * '\\';
        if ((((q - ones) & ~q) | ((b - ones) & ~b) | (v - ones * ' ') | v) & high)
            break;
    }
#endif
    while (p < e && *p >= ' ' && *p < 0x80 && *p != '"' && *p != '\\')
        p++;
    return p;
}

static bool four_hex(const uint8_t *p) {
    return hex_digit(p[0]) >= 0 && hex_digit(p[1]) >= 0 && hex_digit(p[2]) >= 0 &&
           hex_digit(p[3]) >= 0;
}

static bool simple_escape(uint8_t c) {
    return c == 'n' || c == '"' || c == '\\' || c == '/' || c == 't' || c == 'r' || c == 'b' ||
           c == 'f';
}

/* Skips what is well formed and whole in this buffer; stops at the quote or where the slow path
 * must look: an error, or something that goes on in the next buffer. */
static const uint8_t *skip_string(const uint8_t *p, const uint8_t *e) {
    while ((p = skip_plain(p, e)) < e) {
        if (*p == '\\' && e - p >= 2 && simple_escape(p[1])) {
            p += 2;
        } else if (*p == '\\' && e - p >= 6 && p[1] == 'u' && four_hex(p + 2)) {
            p += 6;
        } else if (*p > 0xe0 && *p < 0xf0) {
            const uint8_t *from = p;
            while (e - p >= 3 && *p > 0xe0 && *p < 0xf0 && *p != 0xed && (p[1] & 0xc0) == 0x80 &&
                   (p[2] & 0xc0) == 0x80)
                p += 3;
            if (p == from)
                return p;
        } else {
            return p;
        }
    }
    return p;
}

/* The first byte of a character of several bytes: RFC 3629's table of what may follow. */
static int utf8_begins(struct reqscan *s, uint8_t c) {
    if (c < 0xc2 || c > 0xf4)
        return fail(s);
    s->utf8_left = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
    s->utf8_min = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
    s->utf8_max = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    s->state = UTF8;
    capture_lone(s);
    capture_byte(s, c);
    return 0;
}

static int step_escape(struct reqscan *s, uint8_t c) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (c == 'u') {
        s->state = HEX;
        s->hex = 0;
        s->hex_left = 4;
        return 0;
    }
    const char *at = c ? strchr(from, c) : NULL;
    if (!at)
        return fail(s);
    capture_lone(s);
    capture_byte(s, (uint8_t)to[at - from]);
    s->state = STRING;
    return 0;
}

static int step_string(struct reqscan *s, uint8_t c) {
    switch (s->state) {
    case ESCAPE:
        return step_escape(s, c);
    case HEX: {
        int v = hex_digit(c);
        if (v < 0)
            return fail(s);
        s->hex = (uint16_t)(s->hex << 4 | v);
        if (--s->hex_left == 0) {
            capture_hex(s);
            s->state = STRING;
        }
        return 0;
    }
    case UTF8:
        if (c < s->utf8_min || c > s->utf8_max)
            return fail(s);
        capture_byte(s, c);
        s->utf8_min = 0x80;
        s->utf8_max = 0xbf;
        if (--s->utf8_left == 0)
            s->state = STRING;
        return 0;
    default:
        if (c == '"') {
            string_ends(s);
        } else if (c == '\\') {
            s->state = ESCAPE;
        } else if (c < ' ') {
            return fail(s);
        } else if (c >= 0x80) {
            return utf8_begins(s, c);
        } else {
            capture_lone(s);
            capture_byte(s, c);
        }
        return 0;
    }
}

/* What is kept of a string's plain characters, all at once. */
static const uint8_t *capture_plain(struct reqscan *s, const uint8_t *p, const uint8_t *e) {
    const uint8_t *end = skip_plain(p, e);
    size_t n = (size_t)(end - p);
    if (!n)
        return p;
    capture_lone(s);
    bool name = s->capture == NAME;
    uint8_t *len = name ? &s->key_len : &s->model_len;
    size_t room = (name ? (size_t)REQSCAN_KEY : LIMIT_MODEL - 1u) - *len,
           kept = n < room ? n : room;
    memcpy(name ? (char *)s->key + *len : s->model + *len, p, kept);
    *len = (uint8_t)(*len + kept);
    if (kept < n) { /* no name that is looked for; a model that is too long */
        s->model_cut |= !name;
        s->capture = NOTHING;
    }
    return end;
}

/* ---- everything else ---- */

static uint8_t kind_of(uint8_t c) {
    return c == '{'   ? REQSCAN_OBJECT
           : c == '[' ? REQSCAN_ARRAY
           : c == '"' ? REQSCAN_STRING
           : c == 't' ? REQSCAN_TRUE
           : c == 'f' ? REQSCAN_FALSE
           : c == 'n' ? REQSCAN_NULL
                      : REQSCAN_NUMBER;
}

static void note_value(struct reqscan *s, struct reqscan_value *v, uint8_t c) {
    s->repeated |= v->kind != REQSCAN_ABSENT;
    *v = (struct reqscan_value){.at = s->at, .kind = kind_of(c)};
    v->number = c >= '0' && c <= '9' ? (uint32_t)(c - '0') : REQSCAN_NO_NUMBER;
    if (v == &s->value[REQSCAN_MODEL]) {
        s->has_model = s->model_cut = false;
        s->model_len = 0;
        memset(s->model, 0, sizeof s->model);
    } else if (v == &s->value[REQSCAN_STREAM]) {
        s->stream = c == 't';
    } else if (v == &s->value[REQSCAN_STREAM_OPTIONS]) {
        s->options_filled = false;
        s->value[REQSCAN_INCLUDE_USAGE] = (struct reqscan_value){0};
    } else if (v == &s->value[REQSCAN_METADATA]) {
        s->value[REQSCAN_METADATA_USER_ID] = (struct reqscan_value){0};
    }
}

static int value_begins(struct reqscan *s, uint8_t c) {
    struct reqscan_value *v = open_value(s);
    if (v)
        note_value(s, v, c);
    switch (c) {
    case '{':
    case '[':
        return open_container(s, c == '{');
    case '"':
        string_begins(s, false);
        return 0;
    case 't':
    case 'f':
    case 'n':
        s->literal = c == 't' ? 0 : c == 'f' ? 1 : 2;
        s->literal_at = 1;
        s->state = LITERAL;
        return 0;
    case '-':
        s->state = MINUS;
        return 0;
    case '0':
        s->state = ZERO;
        return 0;
    default:
        if (c < '1' || c > '9')
            return fail(s);
        s->state = INTEGER;
        return 0;
    }
}

static int step_structure(struct reqscan *s, uint8_t c) {
    if (s->state == LITERAL) {
        const char *word = literals[s->literal];
        if ((char)c != word[s->literal_at])
            return fail(s);
        if (!word[++s->literal_at])
            value_ended(s, s->at + 1);
        return 0;
    }
    if (is_space(c))
        return 0;
    switch (s->state) {
    case START:
        return c == '{' || s->any ? value_begins(s, c) : fail(s);
    case KEY_FIRST:
        if (c == '}')
            return close_container(s, true);
        /* fall through */
    case KEY:
        if (c != '"')
            return fail(s);
        string_begins(s, true);
        return 0;
    case COLON:
        s->state = VALUE;
        return c == ':' ? 0 : fail(s);
    case FIRST:
        if (c == ']')
            return close_container(s, false);
        /* fall through */
    case VALUE:
        return value_begins(s, c);
    case AFTER:
        if (c == '}' || c == ']')
            return close_container(s, c == '}');
        s->state = in_object(s) ? KEY : VALUE;
        return c == ',' ? 0 : fail(s);
    default: /* END */
        return fail(s);
    }
}

static void add_digit(struct reqscan_value *v, uint8_t c) {
    uint64_t n = v->number == REQSCAN_NO_NUMBER ? v->number : v->number * 10ull + c - '0';
    v->number = n < REQSCAN_NO_NUMBER ? (uint32_t)n : REQSCAN_NO_NUMBER;
}

/* A number ends at the first byte that is none of its own: that byte is then the structure's. */
static int step_number(struct reqscan *s, uint8_t c) {
    bool digit = c >= '0' && c <= '9';
    struct reqscan_value *v = open_value(s);
    switch (s->state) {
    case MINUS:
        s->state = c == '0' ? ZERO : INTEGER;
        return digit ? 0 : fail(s);
    case POINT:
        s->state = FRACTION;
        return digit ? 0 : fail(s);
    case EXPONENT:
        s->state = digit ? POWER : SIGN;
        return digit || c == '+' || c == '-' ? 0 : fail(s);
    case SIGN:
        s->state = POWER;
        return digit ? 0 : fail(s);
    default:
        break;
    }
    if (digit && s->state != ZERO) {
        if (v && s->state == INTEGER)
            add_digit(v, c);
        return 0;
    }
    if (v && (c == '.' || c == 'e' || c == 'E'))
        v->number = REQSCAN_NO_NUMBER;
    if (c == '.' && (s->state == ZERO || s->state == INTEGER)) {
        s->state = POINT;
        return 0;
    }
    if ((c == 'e' || c == 'E') && s->state != POWER) {
        s->state = EXPONENT;
        return 0;
    }
    value_ended(s, s->at);
    return step_structure(s, c);
}

/*
 * The common case below the top level, without the detour through the states: after a string's
 * closing quote, `: "` after a name and `, "` after a value lead to the next string. Stops, with
 * the state right, before the first byte that is something else.
 */
static const uint8_t *skip_between(struct reqscan *s, const uint8_t *p, const uint8_t *e) {
    while (p < e && *p == '"') {
        const uint8_t *q = p + 1;
        if (e - q < 3 || s->depth < 2 || s->inside != OTHER)
            return p;
        uint8_t want = s->in_name ? ':' : ',';
        if (*q++ != want)
            return p;
        q += *q == ' ';
        if (*q != '"')
            return p;
        s->in_name = s->in_name ? false : in_object(s);
        p = skip_string(q + 1, e);
    }
    return p;
}

int reqscan_feed(struct reqscan *s, const uint8_t *p, size_t n) {
    const uint8_t *e = p + n, *from = p;
    if (s->state >= FAILED)
        return s->state == TOO_DEEP ? ERR_LIMIT : ERR_SYNTAX;
    while (p < e) {
        int rc;
        if (s->state == STRING && s->capture == NOTHING &&
            (p = skip_between(s, skip_string(p, e), e)) == e)
            break;
        if (s->state == STRING && s->capture != NOTHING && (p = capture_plain(s, p, e)) == e)
            break;
        s->at = s->base + (uint32_t)(p - from);
        if (s->state >= STRING && s->state <= HEX)
            rc = step_string(s, *p++);
        else if (s->state >= MINUS && s->state <= POWER)
            rc = step_number(s, *p++);
        else
            rc = step_structure(s, *p++);
        if (rc)
            return rc;
    }
    s->base += (uint32_t)n;
    return 0;
}

int reqscan_done(struct reqscan *s) {
    if (s->state == TOO_DEEP)
        return ERR_LIMIT;
    bool number = s->state == ZERO || s->state == INTEGER || s->state == FRACTION ||
                  s->state == POWER; /* only the text's end ends a number that stands alone */
    return s->state == END || (number && !s->depth) ? 0 : ERR_SYNTAX;
}
