#ifndef LLM_SSE_H
#define LLM_SSE_H
/*
 * Server-sent events (WHATWG HTML, section 9.2.6) out of a whole or cut stream that lies in memory.
 * Line ends LF, CR, CRLF; a BOM at the start; comments and unknown fields skipped; several `data`
 * lines of an event joined by LF. `id` and `retry` mean nothing here.
 *
 *   struct sse s;
 *   sse_init(&s, text, len);
 *   while (sse_next(&s, &event)) ...
 *   sse_tail(&s, &p, &n): bytes after the last event that an empty line ended
 *   sse_done(&s);
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/limits.h"

struct sse {
    const uint8_t *p; /* borrowed */
    size_t len, pos, event_at;
    size_t lf_at;      /* the first LF that is not before pos, as last looked for */
    struct buf joined; /* an event's data of several lines */
    int rc;
};

struct sse_event {
    const uint8_t *type; /* `event:`, NULL: none given ("message") */
    size_t type_len;
    const uint8_t *data; /* borrowed until the next call */
    size_t data_len;
};

void sse_init(struct sse *s, const void *text, size_t len);
/* The next event that has data and was ended by an empty line; false: no more, or out of memory,
 * which s->rc tells (0 otherwise). */
bool sse_next(struct sse *s, struct sse_event *ret);
/* After sse_next was false: what is left over, an event that was not ended. False: nothing but line
 * ends and comments. The second form reads it as if an empty line followed. */
bool sse_tail(const struct sse *s, const uint8_t **ret, size_t *ret_len);
bool sse_tail_event(struct sse *s, struct sse_event *ret);
void sse_done(struct sse *s);

/*
 * The same stream while it passes by, in buffers split anywhere: where its events end. Nothing is
 * kept but three bits.
 *
 *   struct sse_cut c = {0};
 *   while (n) { used = sse_cut(&c, p, n, &piece); ...; p += used; n -= used; }
 */
enum sse_piece {
    SSE_OPEN, /* bytes of an event that goes on (the rest of the buffer) */
    SSE_END,  /* an event's last bytes, its empty line's end with them */
    SSE_LATE, /* one LF that still belongs to the event before: its CR ended the last buffer */
};

struct sse_cut {
    bool in_line; /* the line in work has bytes */
    bool open;    /* the event in work has bytes */
    bool cr;      /* the last byte was a CR */
};

/* How many bytes of p the piece has; n is not 0. */
size_t sse_cut(struct sse_cut *c, const uint8_t *p, size_t n, enum sse_piece *ret);

#endif
