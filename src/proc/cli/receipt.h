#ifndef PROC_CLI_RECEIPT_H
#define PROC_CLI_RECEIPT_H
/* Receipts (doc/receipts.md): what the vault sends of one, and the object that people keep. */
#include <jansson.h>

#include "base/buf.h"

struct receipt {
    struct buf note;
    struct buf proof;      /* of the entry that it names; may be empty */
    struct buf checkpoint; /* of a report; may be empty */
};
void receipt_init(struct receipt *r);
void receipt_done(struct receipt *r);
/* An answer's frame, for remote_vault with the receipt as its arg. ERR_DENIED: it belongs to no receipt. */
int receipt_take(void *receipt, uint16_t msg, const uint8_t *p, size_t len);

/* {"receipt": kind, "note": ..., and what there is beside it}; NULL: no memory, or no note. */
json_t *receipt_object(const char *kind, const struct receipt *r);
/* To FILE.receipt, a new file of the owner's. 0, ERR_*. */
int receipt_write(const char *path, const char *kind, const struct receipt *r);

#endif
