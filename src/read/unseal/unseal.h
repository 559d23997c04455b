#ifndef UNSEAL_UNSEAL_H
#define UNSEAL_UNSEAL_H
/*
 * Unsealing: from a data-key row and the subject's pair to the plaintext of a record. The
 * counterpart of write/seal; only the vault links it. doc/envelope.md is the specification.
 *
 * A struct unseal holds one data key at a time, in guarded memory. Records of one data key are
 * opened in the order of their indexes (an equal index is fine), because the ratchet only goes
 * forward: who opens many sorts them first, and pays one unwrapping a data key and one step a
 * record.
 */
#include "base/buf.h"
#include "record/datakey.h"
#include "record/envelope.h"

#define UNSEAL_MAC_KEY_BYTES 32

struct unseal;

int unseal_new(struct unseal **ret);
void unseal_free(struct unseal *u); /* NULL-safe; wipes */

/* Is the row's MAC of this writer? 0 or ERR_CORRUPT. */
int unseal_check_row(const struct data_key_row *row, const uint8_t mac_key[UNSEAL_MAC_KEY_BYTES]);

/* Unwraps the row's data key; the one before is wiped. ERR_CORRUPT: not for this subject's key, or
 * not the key that its id commits to. The row's MAC was checked before. */
int unseal_begin(struct unseal *u, const struct data_key_row *row, const uint8_t public_key[32],
                 const uint8_t secret[32]);
/* Wipes the data key. */
void unseal_end(struct unseal *u);

/*
 * Opens one record: `cell` is its context's encoding with the envelope behind it. Appends the
 * padded, maybe compressed plaintext to `plain` and gives the dictionary. ERR_CORRUPT: forged,
 * damaged, of another context or key. ERR_USAGE: no data key, or an index before the last one.
 * ERR_NOMEM.
 */
int unseal_record(struct unseal *u, const uint8_t *cell, size_t context_len, size_t len,
                  struct buf *plain, uint8_t *ret_dictionary);

#endif
