/*
 * The counts of usage.h. Gateway workers run the scanner over each answer, the sealer reads the
 * same names from an assembled one.
 *
 * Two layers. Lines: which bytes of a stream are an event's data (a terminal event is recognised by
 * its `event:` line, else by its data). Cursor: a JSON text's nesting, with the open containers
 * that matter named; it checks no grammar, since the bytes are forwarded whatever they are, but
 * strings and brackets are kept apart in all that is JSON.
 */
#include "llm/usage.h"

#include <string.h>

#include "llm/scan.h"

/* ---- names ---- */

/* What an open container is. */
enum place {
    ELSEWHERE,
    TOP,     /* the answer, or an event's data */
    WRAPPED, /* the object that an event is about: `message`, `response` */
    USAGE,
    INPUT_DETAILS,
    OUTPUT_DETAILS
};

#define NAME(text) text, sizeof(text) - 1

static const struct {
    enum place in;
    const char *name;
    size_t len;
    enum usage_field field;
} fields[] = {
    {USAGE, NAME("prompt_tokens"), USAGE_INPUT},
    {USAGE, NAME("input_tokens"), USAGE_INPUT},
    {USAGE, NAME("completion_tokens"), USAGE_OUTPUT},
    {USAGE, NAME("output_tokens"), USAGE_OUTPUT},
    {USAGE, NAME("prompt_cache_hit_tokens"), USAGE_HIT},
    {USAGE, NAME("cache_read_input_tokens"), USAGE_READ},
    {USAGE, NAME("cache_creation_input_tokens"), USAGE_WRITTEN},
    {INPUT_DETAILS, NAME("cached_tokens"), USAGE_CACHED},
    {OUTPUT_DETAILS, NAME("reasoning_tokens"), USAGE_REASONING},
};

static const struct {
    enum place in;
    const char *name;
    enum place is;
} containers[] = {
    {TOP, "usage", USAGE},
    {WRAPPED, "usage", USAGE},
    {USAGE, "prompt_tokens_details", INPUT_DETAILS},
    {USAGE, "input_tokens_details", INPUT_DETAILS},
    {USAGE, "completion_tokens_details", OUTPUT_DETAILS},
    {USAGE, "output_tokens_details", OUTPUT_DETAILS},
};

static void result(const struct dialect *d, bool reported, uint16_t seen,
                   const uint32_t count[USAGE_FIELDS], struct usage *ret) {
    uint64_t input = count[USAGE_INPUT];
    bool details = seen & 1u << USAGE_CACHED;
    if (d->shape == DIALECT_MESSAGES)
        input += (uint64_t)count[USAGE_READ] + count[USAGE_WRITTEN];
    *ret = (struct usage){
        .reported = reported,
        .input = input > UINT32_MAX ? UINT32_MAX : (uint32_t)input,
        .output = count[USAGE_OUTPUT],
        .cached = details                        ? count[USAGE_CACHED]
                  : d->shape == DIALECT_MESSAGES ? count[USAGE_READ]
                                                 : count[USAGE_HIT],
        .written = d->shape == DIALECT_MESSAGES ? count[USAGE_WRITTEN] : 0,
        .reasoning = count[USAGE_REASONING],
    };
}

static void read_fields(uint32_t count[USAGE_FIELDS], uint16_t *seen, enum place in,
                        struct jv object) {
    struct jv key, value;
    for (size_t pos = 0; jv_each(object, &pos, &key, &value);) {
        for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
            if (fields[i].in != in || !jv_equals(key, fields[i].name))
                continue;
            uint32_t n = jv_u32(value, 0);
            if (n || jv_u32(value, 1) == 0) {
                count[fields[i].field] = n;
                *seen |= (uint16_t)(1u << fields[i].field);
            }
        }
        for (size_t i = 0; in == USAGE && i < sizeof containers / sizeof *containers; i++)
            if (containers[i].in == in && jv_is_object(value) && jv_equals(key, containers[i].name))
                read_fields(count, seen, containers[i].is, value);
    }
}

void usage_read(struct usage *ret, const struct dialect *dialect, struct jv object) {
    uint32_t count[USAGE_FIELDS] = {0};
    uint16_t seen = 0;
    if (jv_is_object(object))
        read_fields(count, &seen, USAGE, object);
    result(dialect, jv_is_object(object), seen, count, ret);
}

/* ---- what events are ---- */

enum mark { MARK_NONE, MARK_OTHER, MARK_ERROR, MARK_END };

/* What an event's name, or its data's `type`, says. */
static uint8_t mark_of(const struct usage_scan *s, const char *word, size_t len) {
    static const char *const response[] = {"response.completed", "response.failed",
                                           "response.incomplete", NULL};
    static const char *const message[] = {"message_stop", NULL}, *const none[] = {NULL};
    const char *const *end = s->dialect->end == DIALECT_END_RESPONSE  ? response
                             : s->dialect->end == DIALECT_END_MESSAGE ? message
                                                                      : none;
    for (; *end; end++)
        if (len == strlen(*end) && !memcmp(word, *end, len))
            return MARK_END;
    return len == 5 && !memcmp(word, "error", 5) ? MARK_ERROR : len ? MARK_OTHER : MARK_NONE;
}

/* ---- the cursor ---- */

enum string { NO_STRING, ANY_STRING, KEY_STRING, TYPE_STRING };

static bool key_is(const struct usage_scan *s, const char *name) {
    return s->key_len == strlen(name) && !memcmp(s->key, name, s->key_len);
}

static enum place place_of(const struct usage_scan *s) {
    return s->depth > 0 && s->depth <= USAGE_LEVELS ? s->place[s->depth - 1] : ELSEWHERE;
}

/* What an object is whose name was just read. */
static enum place opens(const struct usage_scan *s) {
    enum place in = place_of(s);
    if (s->depth == 0)
        return TOP;
    for (size_t i = 0; i < sizeof containers / sizeof *containers; i++)
        if (containers[i].in == in && key_is(s, containers[i].name))
            return containers[i].is;
    if (s->stream && in == TOP &&
        ((s->dialect->shape == DIALECT_MESSAGES && key_is(s, "message")) ||
         (s->dialect->shape == DIALECT_RESPONSES && key_is(s, "response"))))
        return WRAPPED;
    return ELSEWHERE;
}

/* A stream's event has a member `error` that is not null. */
static void note_error(struct usage_scan *s) {
    s->failed |= s->stream && place_of(s) == TOP && key_is(s, "error");
}

static void open_container(struct usage_scan *s, bool object) {
    enum place is = object ? opens(s) : ELSEWHERE;
    if (is == USAGE)
        s->reported = true;
    if (object)
        note_error(s);
    if (s->depth < USAGE_LEVELS)
        s->place[s->depth] = (uint8_t)is;
    s->depth += s->depth < UINT32_MAX;
    s->name_next = object;
    s->key_len = 0;
}

static void begin_string(struct usage_scan *s) {
    enum place in = place_of(s);
    s->string = ANY_STRING;
    if (in != ELSEWHERE && s->name_next) {
        s->string = KEY_STRING;
        s->key_len = 0;
        return;
    }
    note_error(s);
    if (in == TOP && key_is(s, "type")) {
        s->string = TYPE_STRING;
        s->word_len = 0;
    }
}

/* A word that is too long is none that is looked for. */
static void take_word(char *word, uint8_t *len, const uint8_t *p, size_t n) {
    size_t room = USAGE_KEY - *len;
    memcpy(word + *len, p, n < room ? n : room);
    *len = (uint8_t)(*len + (n < room ? n : room));
}

static const uint8_t *step_string(struct usage_scan *s, const uint8_t *p, const uint8_t *e) {
    const uint8_t *from = p;
    if (s->escaped) {
        s->escaped = false;
        p++;
    } else {
        p = scan_for(p, e, '"', '\\');
        s->escaped = p < e && *p == '\\';
        p += s->escaped;
    }
    if (s->string == KEY_STRING)
        take_word(s->key, &s->key_len, from, (size_t)(p - from));
    else if (s->string == TYPE_STRING)
        take_word(s->word, &s->word_len, from, (size_t)(p - from));
    if (p < e && *p == '"' && !s->escaped) {
        if (s->string == TYPE_STRING)
            s->type = mark_of(s, s->word, s->word_len);
        s->string = NO_STRING;
        p++;
    }
    return p;
}

/* Which count has this name here; -1: none. */
static int field_of(enum place in, const void *name, size_t len) {
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (fields[i].in == in && fields[i].len == len && !memcmp(name, fields[i].name, len))
            return (int)fields[i].field;
    return -1;
}

static void begin_number(struct usage_scan *s, uint8_t c) {
    int field = s->name_next ? -1 : field_of(place_of(s), s->key, s->key_len);
    if (field >= 0) {
        s->field = (uint8_t)field;
        s->number = true;
        s->bad = c == '-';
        s->value = s->bad ? 0 : (uint64_t)(c - '0');
    }
    s->key_len = 0; /* another digit begins no number of this name */
}

static void note_count(struct usage_scan *s, unsigned field, uint64_t value) {
    s->count[field] = (uint32_t)value;
    s->seen |= (uint16_t)(1u << field);
}

static void end_number(struct usage_scan *s) {
    if (!s->bad && s->value <= UINT32_MAX)
        note_count(s, s->field, s->value);
    s->number = false;
}

static void step_structure(struct usage_scan *s, uint8_t c) {
    bool digit = c >= '0' && c <= '9';
    if (s->number && (digit || c == '.' || c == 'e' || c == 'E' || c == '+' || c == '-')) {
        s->bad |= !digit;
        if (digit && s->value <= UINT32_MAX)
            s->value = s->value * 10 + (uint64_t)(c - '0');
        return;
    }
    if (s->number)
        end_number(s);
    if (c == '"') {
        begin_string(s);
    } else if (c == '{' || c == '[') {
        open_container(s, c == '{');
    } else if (c == '}' || c == ']') {
        s->depth -= s->depth > 0;
        s->name_next = false;
        s->key_len = 0;
    } else if (c == ',') {
        s->name_next = true;
        s->key_len = 0;
    } else if (c == ':') {
        s->name_next = false;
    } else if (digit || c == '-') {
        begin_number(s, c);
    }
}

/* Past the string that begins before p; NULL: it has an escape, or goes on after e. */
static const uint8_t *past_string(const uint8_t *p, const uint8_t *e) {
    p = scan_for(p, e, '"', '\\');
    return p < e && *p == '"' ? p + 1 : NULL;
}

/* In a container that matters nothing, nor does what is in it: only strings and brackets are looked
 * at, up to the bracket that closes it, which is left. */
static const uint8_t *skip_container(struct usage_scan *s, const uint8_t *p, const uint8_t *e) {
    uint32_t depth = s->depth, outer = depth > USAGE_LEVELS ? USAGE_LEVELS + 1 : depth;
    while (outer > 1 && s->place[outer - 2] == ELSEWHERE)
        outer--;
    for (; p < e; p++) {
        uint8_t c = *p;
        if (c == '"') {
            const uint8_t *past = past_string(p + 1, e);
            if (past) {
                p = past - 1;
                continue;
            }
            s->string = ANY_STRING;
            p++;
            break;
        }
        if (c == '{' || c == '[') {
            if (depth < USAGE_LEVELS)
                s->place[depth] = ELSEWHERE;
            depth += depth < UINT32_MAX;
        } else if (c == '}' || c == ']') {
            if (depth == outer)
                break;
            depth--;
        }
    }
    s->depth = depth;
    return p;
}

/* On the top level of an answer that is no stream only the member `usage` matters: up to it, to a
 * bracket, or to a string that is cut off or has escapes. */
static const uint8_t *skip_members(struct usage_scan *s, const uint8_t *p, const uint8_t *e) {
    while (p < e) {
        uint8_t c = *p;
        if (c == '"') {
            const uint8_t *past = past_string(p + 1, e);
            if (!past || (s->name_next && past - p == 7 && !memcmp(p + 1, "usage", 5)))
                return p;
            p = past;
        } else if (c == ',' || c == ':') {
            s->name_next = c == ',';
            p++;
        } else if (c == '{' || c == '[' || c == '}' || c == ']') {
            return p;
        } else {
            p++;
        }
    }
    return p;
}

static const uint8_t *skip_space(const uint8_t *p, const uint8_t *e) {
    while (p < e && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
        p++;
    return p;
}

#define COUNT_DIGITS 9 /* always fit */

/* A member of usage that is whole here, `"name": 123` and what ends it: what the steps would come
 * to one by one, at once. NULL: it is something else, or goes on after e. */
static const uint8_t *take_count(struct usage_scan *s, const uint8_t *p, const uint8_t *e) {
    const uint8_t *name = p + 1, *quote = scan_for(name, e, '"', '\\');
    uint32_t value = 0;
    p = quote < e && *quote == '"' ? skip_space(quote + 1, e) : e;
    if (p == e || *p != ':')
        return NULL;
    p = skip_space(p + 1, e);
    const uint8_t *digits = p;
    for (; p < e && *p >= '0' && *p <= '9' && p - digits < COUNT_DIGITS; p++)
        value = value * 10 + (uint32_t)(*p - '0');
    bool number = p > digits;
    p = skip_space(p, e);
    if (!number || p == e || (*p != ',' && *p != '}'))
        return NULL;
    int field = field_of(place_of(s), name, (size_t)(quote - name));
    if (field >= 0)
        note_count(s, (unsigned)field, value);
    s->key_len = 0;
    s->name_next = *p == ',';
    return p + (*p == ',');
}

static void feed_json(struct usage_scan *s, const uint8_t *p, const uint8_t *e) {
    while (p < e) {
        if (!s->stream && s->depth == 1 && !s->string && s->place[0] == TOP && !s->key_len)
            p = skip_members(s, p, e);
        if (p == e)
            break;
        const uint8_t *past = NULL;
        if (*p == '"' && s->name_next && !s->string && !s->number && place_of(s) >= USAGE)
            past = take_count(s, p, e);
        if (past)
            p = past;
        else if (s->string)
            p = step_string(s, p, e);
        else if (s->depth && place_of(s) == ELSEWHERE && *p != '}' && *p != ']')
            p = skip_container(s, p, e);
        else
            step_structure(s, *p++);
    }
}

static void begin_json(struct usage_scan *s) {
    s->depth = 0;
    s->string = NO_STRING;
    s->escaped = s->name_next = s->number = false;
    s->key_len = s->word_len = 0;
}

/* ---- events ---- */

enum line { LINE_NAME, LINE_EVENT, LINE_DATA, LINE_OTHER };
enum { DONE_LEN = 6, DONE_NOT };

static void begin_event(struct usage_scan *s) {
    begin_json(s);
    s->event = s->type = MARK_NONE;
    s->line = LINE_NAME;
    s->name_len = s->done = 0;
    s->data = false;
}

static void end_event(struct usage_scan *s) {
    uint8_t mark = s->event ? s->event : s->type;
    if (s->data && mark == MARK_ERROR)
        s->failed = true;
    if (s->data && mark == MARK_ERROR && s->dialect->end == DIALECT_END_RESPONSE)
        s->ended = true; /* nothing follows it */
    /* an event without a byte of data is none (and `done` tells of the first one) */
    if (s->data && ((mark == MARK_END && s->done) ||
                    (s->dialect->end == DIALECT_END_DONE && s->done == DONE_LEN)))
        s->ended = true;
    begin_event(s);
}

static void end_line(struct usage_scan *s) {
    if (s->line == LINE_EVENT)
        s->event = mark_of(s, s->word, s->word_len);
    s->line = LINE_NAME;
    s->name_len = 0;
}

static void begin_data(struct usage_scan *s) {
    static const uint8_t lf[] = {'\n'};
    if (s->data) { /* one more line of it: LF is white space, and no part of [DONE] */
        feed_json(s, lf, lf + 1);
        s->done = DONE_NOT;
    }
    s->data = true;
}

static void end_name(struct usage_scan *s) {
    s->line = LINE_OTHER;
    if (s->name_len == 4 && !memcmp(s->name, "data", 4)) {
        s->line = LINE_DATA;
        begin_data(s);
    } else if (s->name_len == 5 && !memcmp(s->name, "event", 5)) {
        s->line = LINE_EVENT;
        s->word_len = 0;
    }
    s->space = s->line != LINE_OTHER;
}

static void step_name(struct usage_scan *s, uint8_t c) {
    bool mark = c >= 0x80 && !s->begun; /* a byte order mark before the first line */
    s->begun |= !mark;
    if (c == ':')
        end_name(s);
    else if (!mark && s->name_len < sizeof s->name)
        s->name[s->name_len++] = (char)c;
}

static void feed_data(struct usage_scan *s, const uint8_t *p, const uint8_t *e) {
    static const char word[] = "[DONE]";
    for (const uint8_t *q = p; q < e && s->done != DONE_NOT; q++) {
        if (s->done < DONE_LEN && *q == (uint8_t)word[s->done])
            s->done++;
        else if (s->done < DONE_LEN || *q != ' ')
            s->done = DONE_NOT;
    }
    feed_json(s, p, e);
}

/* Bytes of one event, line ends among them. */
static void feed_lines(struct usage_scan *s, const uint8_t *p, const uint8_t *e) {
    while (p < e) {
        if (*p == '\n' || *p == '\r') {
            end_line(s);
            p++;
            continue;
        }
        if (s->line == LINE_NAME) {
            step_name(s, *p++);
            continue;
        }
        if (s->space && *p == ' ')
            p++;
        s->space = false;
        const uint8_t *end = scan_for(p, e, '\n', '\r');
        if (s->line == LINE_DATA)
            feed_data(s, p, end);
        else if (s->line == LINE_EVENT)
            take_word(s->word, &s->word_len, p, (size_t)(end - p));
        p = end;
    }
}

/* ---- what need not be looked into ---- */

/* After the name and perhaps a space; NULL: the line has another name. */
static const uint8_t *value_of(const uint8_t *p, const uint8_t *e, const char *name) {
    size_t n = strlen(name);
    if ((size_t)(e - p) <= n || memcmp(p, name, n) != 0)
        return NULL;
    p += n;
    return p + (*p == ' ');
}

/* `"usage"` with a value other than null, wherever it is. */
static bool says_usage(const uint8_t *p, const uint8_t *e) {
    static const char name[] = "\"usage\"", null[] = ":null";
    const size_t n = sizeof name - 1, m = sizeof null - 1;
    while ((p = memmem(p, (size_t)(e - p), name, n))) {
        p += n;
        if ((size_t)(e - p) <= m || memcmp(p, null, m) != 0 || (p[m] != ',' && p[m] != '}'))
            return true;
    }
    return false;
}

/* A whole event in one of the two common forms that says nothing of what is looked for: one line of
 * data that is an object, before it perhaps a line with a name. */
static bool is_ordinary(const struct usage_scan *s, const uint8_t *p, const uint8_t *e) {
    const uint8_t *at = value_of(p, e, "event:"), *from = p;
    bool by_name =
        s->dialect->end == DIALECT_END_MESSAGE || s->dialect->end == DIALECT_END_RESPONSE;
    if (by_name) {
        const uint8_t *end = at ? scan_for(at, e, '\n', '\r') : e;
        if (end == e || *end == '\r' ||
            mark_of(s, (const char *)at, (size_t)(end - at)) != MARK_OTHER)
            return false;
        from = end + 1;
    }
    at = value_of(from, e, "data:");
    if (!at || at == e || *at != '{' || e[-2] != '\n' || scan_for(at, e, '\n', '\r') != e - 2)
        return false;
    return !says_usage(at, e) && !memmem(at, (size_t)(e - at), "\"error\"", 7);
}

/* ---- the scanner ---- */

void usage_scan_init(struct usage_scan *s, const struct dialect *dialect, bool stream) {
    memset(s, 0, sizeof *s);
    s->dialect = dialect;
    s->stream = stream;
}

static void feed_stream(struct usage_scan *s, const uint8_t *p, size_t n) {
    while (n) {
        enum sse_piece piece;
        bool whole = !s->cut.open;
        size_t used = sse_cut(&s->cut, p, n, &piece);
        if (piece == SSE_END && whole && s->begun && is_ordinary(s, p, p + used)) {
            begin_event(s);
        } else if (piece != SSE_LATE) {
            feed_lines(s, p, p + used);
            if (piece == SSE_END)
                end_event(s);
        }
        p += used;
        n -= used;
    }
}

void usage_scan_feed(struct usage_scan *s, const uint8_t *p, size_t n) {
    if (s->stream)
        feed_stream(s, p, n);
    else
        feed_json(s, p, p + n);
}

static const char usage_name[] = "\"usage\"";
#define USAGE_NAME (sizeof usage_name - 1)

static bool is_usage(const uint8_t *at, const uint8_t *e) {
    if (memcmp(at, usage_name, USAGE_NAME) != 0)
        return false;
    at = skip_space(at + USAGE_NAME, e);
    return at < e && *at == ':';
}

/* The last member's name `usage` after p; NULL: there is none. From the end, 16 bytes at a time. */
static const uint8_t *last_usage(const uint8_t *p, const uint8_t *e) {
    size_t n = (size_t)(e - p), i = n < USAGE_NAME ? 0 : n - USAGE_NAME + 1; /* before i */
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"'), u = _mm_set1_epi8('u');
    for (; i > 16; i -= 16) {
        const __m128i *v = (const void *)(p + i - 16), *next = (const void *)(p + i - 15);
        unsigned mask = (unsigned)_mm_movemask_epi8(_mm_and_si128(
            _mm_cmpeq_epi8(_mm_loadu_si128(v), quote), _mm_cmpeq_epi8(_mm_loadu_si128(next), u)));
        while (mask) {
            unsigned bit = 31u - (unsigned)__builtin_clz(mask);
            const uint8_t *at = p + i - 16 + bit;
            if (is_usage(at, e))
                return at;
            mask ^= 1u << bit;
        }
    }
#endif
    while (i-- > 1)
        if (is_usage(p + i, e))
            return p + i;
    return NULL;
}

/* Is the name at `at` one of the top level? Between it and the text's end one bracket more is
 * closed than opened. Within strings there is no bare quote, so it is a string of its own in any
 * case. */
static bool is_top(const uint8_t *at, const uint8_t *e) {
    uint32_t depth = 1;
    const uint8_t *p = at;
    while (p < e && depth > 0) {
        uint8_t c = *p++;
        if (c == '"') {
            while ((p = scan_for(p, e, '"', '\\')) < e && *p == '\\')
                p += e - p > 1 ? 2 : 1;
            p += p < e;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return depth == 0 && skip_space(p, e) == e;
}

void usage_scan_whole(struct usage_scan *s, const uint8_t *p, size_t n) {
    const uint8_t *e = p + n, *at = last_usage(p, e);
    if (!at)
        return;
    if (!is_top(at, e)) {
        usage_scan_feed(s, p, n);
        return;
    }
    s->depth = 1;
    s->place[0] = TOP;
    s->name_next = true;
    feed_json(s, at, e);
}

void usage_scan_done(struct usage_scan *s) {
    end_line(s);
    if (s->stream && s->depth == 0)
        end_event(s);
}

void usage_scan_result(const struct usage_scan *s, struct usage *ret) {
    result(s->dialect, s->reported, s->seen, s->count, ret);
}
