#ifndef LLM_USAGE_H
#define LLM_USAGE_H
/*
 * Token counts of an answer, read from its bytes while they pass (gateway) or from its JSON
 * (sealer), by one table of names. Also notices whether a stream's terminal event came.
 *
 *   struct usage_scan s;
 *   usage_scan_init(&s, dialect, is_stream);
 *   for each buffer: usage_scan_feed(&s, p, n);
 *   usage_scan_done(&s);
 *   usage_scan_result(&s, &usage);
 *
 * Buffers may be split anywhere; nothing is allocated, and of the content no more is kept than a
 * member's name. An event that is whole in its buffer and has no "usage" in it is not looked into;
 * everything else goes through a cursor that knows strings and nesting, so text that a model or a
 * prompt echoes cannot pass for a count. What is no JSON gives no count, and no error.
 *
 * A member's name counts as it stands, without escapes. Of several counts the last one holds.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "llm/dialect.h"
#include "llm/json.h"
#include "llm/sse.h"

struct usage {
    bool reported;      /* there was a usage object */
    uint32_t input;     /* all of the prompt, what came from a cache or went into it included */
    uint32_t output;    /* reasoning included */
    uint32_t cached;    /* of input: read from a cache */
    uint32_t written;   /* of input: written to a cache (Anthropic) */
    uint32_t reasoning; /* of output */
};

/* Of an answer's usage object; absent or no object: all zero. */
void usage_read(struct usage *ret, const struct dialect *dialect, struct jv object);

enum usage_field {
    USAGE_INPUT,
    USAGE_OUTPUT,
    USAGE_CACHED,
    USAGE_HIT,     /* DeepSeek's prompt_cache_hit_tokens */
    USAGE_READ,    /* Anthropic's cache_read_input_tokens, not part of its input_tokens */
    USAGE_WRITTEN, /* Anthropic's cache_creation_input_tokens, likewise */
    USAGE_REASONING,
    USAGE_FIELDS
};

#define USAGE_KEY 28   /* longer than every name that is looked for */
#define USAGE_LEVELS 5 /* nesting that can matter */

struct usage_scan {
    bool ended;  /* the stream's terminal event is complete */
    bool failed; /* the stream had an error event */

    /* private */
    const struct dialect *dialect;
    bool stream, reported;
    uint16_t seen; /* fields, as bits */
    uint32_t count[USAGE_FIELDS];
    /* the cursor in a JSON text */
    uint32_t depth;
    uint8_t place[USAGE_LEVELS]; /* what the open containers are */
    uint8_t string;              /* in a string: what it is */
    bool escaped, name_next;
    uint8_t key_len, field; /* the name before the value in work; the number in work */
    bool number, bad;
    uint64_t value;
    char key[USAGE_KEY];
    /* the event and the line in work */
    struct sse_cut cut;
    bool begun, data, space; /* the stream has bytes, the event data; a space may come */
    uint8_t line, event, type, done;
    uint8_t name_len, word_len;
    char name[6]; /* a field's */
    char word[USAGE_KEY];
};

void usage_scan_init(struct usage_scan *s, const struct dialect *dialect, bool stream);
void usage_scan_feed(struct usage_scan *s, const uint8_t *p, size_t n);
/* The same for an answer that is no stream and comes in one piece, from its end: of a long answer
 * only what follows `usage` is read. Once, and nothing else is fed. */
void usage_scan_whole(struct usage_scan *s, const uint8_t *p, size_t n);
/* The body's end: a terminal event that no empty line ended counts if it is whole. */
void usage_scan_done(struct usage_scan *s);
void usage_scan_result(const struct usage_scan *s, struct usage *ret);

#endif
