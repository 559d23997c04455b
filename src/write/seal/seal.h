#ifndef SEAL_SEAL_H
#define SEAL_SEAL_H
/*
 * Sealing: data keys and their forward ratchets (record/datakey.h), envelopes (record/envelope.h).
 * After sealing_record returned, nothing in this process opens what it sealed.
 *
 * The data keys in use are a bounded table, one entry a (tenant, project, subject); the least recently
 * used one is dropped when it is full (the next record of that subject begins a new data key). Their
 * states lie in guarded memory.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "record/datakey.h"
#include "record/envelope.h"

struct sealing;

int sealing_new(struct sealing **ret);
void sealing_free(struct sealing *s); /* NULL-safe; wipes */

/* Under which number and MAC key data-key rows are written from now on. All data keys in use end.
 * Needed once before the first record. */
int sealing_writer(struct sealing *s, uint32_t writer, const uint8_t mac[32]);

/*
 * Seals one record. `packed` (compressed with `dictionary`) is padded in place (Padmé); the envelope is
 * appended to `envelope`. *ret_fresh: a new data key was begun, and *ret_key is its row, which must be
 * durable before or together with the record.
 * ERR_USAGE without sealing_writer; ERR_NOMEM; ERR_LIMIT. After an error call sealing_forget.
 */
int sealing_record(struct sealing *s, const struct context *ctx, const uint8_t public_key[32],
                   uint8_t dictionary, struct buf *packed, struct buf *envelope,
                   struct data_key_row *ret_key, bool *ret_fresh);

/* All data keys of this subject end now, whatever tenant and project. */
void sealing_forget_subject(struct sealing *s, const uint8_t subject[UUID_BYTES]);
/* The data key of the context's subject ends now: its row may not have become durable. */
void sealing_forget(struct sealing *s, const struct context *ctx);

#endif
