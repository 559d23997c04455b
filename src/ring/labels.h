#ifndef RING_LABELS_H
#define RING_LABELS_H
/*
 * What goes into the clear columns session_id, trace_id and tags, as it lies in an exchange's chain
 * RING_LABELS: one record after another,
 *
 *   kind u8, from u8, name length u8, text length u16 (little-endian), name, text
 *
 * Of a label that stands in the request's body (`metadata`) the gateway only says under which
 * member: the sealer, which reads the body anyway, looks it up.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"

enum label_kind { LABEL_SESSION = 1, LABEL_TRACE, LABEL_TAG };
enum label_from {
    LABEL_TEXT,   /* the text is the label's */
    LABEL_MEMBER, /* the text names a member of `metadata` */
};

#define LABEL_HEAD 5u
#define LABEL_MAX (LABEL_HEAD + LIMIT_NAME + LIMIT_LABEL) /* of one record */

struct label {
    enum label_kind kind;
    enum label_from from;
    const char *name, *text; /* borrowed; the name is a tag's, else empty */
    size_t name_len, text_len;
};

/* The record's length, of at most LABEL_MAX; 0: it does not fit, or the name is empty where it must
 * not be. */
static inline size_t label_encode(uint8_t out[LABEL_MAX], const struct label *l) {
    if (l->name_len >= LIMIT_NAME || l->text_len > LIMIT_LABEL || !l->text_len ||
        (l->kind == LABEL_TAG) != (l->name_len > 0))
        return 0;
    out[0] = (uint8_t)l->kind;
    out[1] = (uint8_t)l->from;
    out[2] = (uint8_t)l->name_len;
    out[3] = (uint8_t)(l->text_len & 0xff);
    out[4] = (uint8_t)(l->text_len >> 8);
    __builtin_memcpy(out + LABEL_HEAD, l->name, l->name_len);
    __builtin_memcpy(out + LABEL_HEAD + l->name_len, l->text, l->text_len);
    return LABEL_HEAD + l->name_len + l->text_len;
}

/* The next record at *pos; false at the end, or where there is no record. */
static inline bool label_next(const uint8_t *p, size_t len, size_t *pos, struct label *ret) {
    const uint8_t *at = p + *pos;
    if (len - *pos < LABEL_HEAD)
        return false;
    ret->kind = (enum label_kind)at[0];
    ret->from = (enum label_from)at[1];
    ret->name_len = at[2];
    ret->text_len = (size_t)(at[3] | at[4] << 8);
    ret->name = (const char *)at + LABEL_HEAD;
    ret->text = ret->name + ret->name_len;
    if (at[0] < LABEL_SESSION || at[0] > LABEL_TAG || at[1] > LABEL_MEMBER ||
        ret->name_len >= LIMIT_NAME || !ret->text_len || ret->text_len > LIMIT_LABEL ||
        (at[0] == LABEL_TAG) != (ret->name_len > 0) ||
        ret->name_len + ret->text_len > len - *pos - LABEL_HEAD)
        return false;
    *pos += LABEL_HEAD + ret->name_len + ret->text_len;
    return true;
}

#endif
