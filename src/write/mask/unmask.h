#ifndef WRITE_MASK_UNMASK_H
#define WRITE_MASK_UNMASK_H
/*
 * Puts the values of a request back in place of their placeholders, while the answer passes by in
 * pieces split anywhere. Only placeholders of this request's own mask are known; any other text of that
 * form stays as it is.
 *
 *   struct unmask u;
 *   unmask_init(&u, &mask, UNMASK_EVENTS);
 *   for each piece: unmask_feed(&u, p, n, &out); send and clear `out`
 *   unmask_finish(&u, &out);
 *   unmask_done(&u);
 *
 * A value is escaped for the place that it is put to: once in a JSON string, twice in a string of JSON
 * that is the text of a string, as arguments of tools are (write/mask/nest.h).
 *
 * In events, a placeholder may be split over the deltas of one field: of a choice, a tool call of it, a
 * content block. What may be the beginning of one is held back, and goes out with the field's next delta,
 * or in the event that ends the field, or in one made for it right before. At most a placeholder's length
 * is ever held of a field, and no other event waits. Events go on whole.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "llm/sse.h"
#include "write/mask/mask.h"
#include "write/mask/nest.h"

#define UNMASK_FIELDS 1024 /* of one stream; in more, placeholders that are split stay */

enum unmask_kind { UNMASK_JSON, UNMASK_EVENTS };

/* A text in which placeholders are looked for: of one string, or of a field's deltas. */
struct unmask_text {
    struct nest nest;
    uint32_t low, high; /* items that begin with what is held, */
    uint32_t matched;   /* and how many bytes that is */
};

struct unmask_field {
    uint64_t key, group; /* what it is, and what ends it */
    struct unmask_text text;
    struct buf event; /* one of its own, with an empty string at `split`; while something is held */
    size_t split;
};

struct unmask {
    const struct mask *mask; /* borrowed */
    enum unmask_kind kind;
    bool inside; /* of a string; JSON */
    struct unmask_text text;
    struct sse_cut cut;
    struct buf held, edited; /* an event that is not whole yet; the one in work */
    struct unmask_field *fields;
    size_t count, cap;
};

void unmask_init(struct unmask *u, const struct mask *mask, enum unmask_kind kind);
/* Appends to `out` what the client gets. ERR_LIMIT: an event is too large; ERR_NOMEM. */
int unmask_feed(struct unmask *u, const uint8_t *p, size_t n, struct buf *out);
/* The end: what is held goes out as it is. Of an event that is not whole, its bytes. */
int unmask_finish(struct unmask *u, struct buf *out);
void unmask_done(struct unmask *u); /* wipes */

/* ---- between this module's files ---- */

void unmask_text_begin(struct unmask_text *t);
/* The next bytes of a string's text, as it stands in JSON; afterwards *p is behind the quote that ended
 * it, or e. */
int unmask_text_feed(const struct mask *m, struct unmask_text *t, const uint8_t **p,
                     const uint8_t *e, struct buf *out);
/* The text ends: what is held is no placeholder. */
int unmask_text_end(const struct mask *m, struct unmask_text *t, struct buf *out);
/* Strings of any bytes that are nearly JSON. */
int unmask_json(struct unmask *u, const uint8_t *p, size_t n, struct buf *out);
/* A whole event. */
int unmask_event(struct unmask *u, const uint8_t *p, size_t n, struct buf *out);
/* Sends what is held of the fields of a group; NULL: of all. */
int unmask_release(struct unmask *u, const uint64_t *group, struct buf *out);

#endif
