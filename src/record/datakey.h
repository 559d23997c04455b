#ifndef RECORD_DATAKEY_H
#define RECORD_DATAKEY_H
/*
 * Data keys: the formats that the sealer (who makes them) and the vault (who opens them) share.
 * doc/envelope.md is the specification.
 *
 * Scope of one data key: (tenant, project, subject), at most LIMIT_DATA_KEY_RECORDS records or
 * LIMIT_DATA_KEY_AGE_S seconds, one sealer process.
 *   k0      random, 32 bytes
 *   id      BLAKE2b-128, keyed with k0, of "safehouse data key 1" (commits to k0)
 *   rec(i)  crypto_kdf_derive_from_key(32, subkey 1, "shratch1", k_i): the key of record i
 *   k_(i+1) crypto_kdf_derive_from_key(32, subkey 2, "shratch1", k_i); k_i is wiped at once
 *   wrapped crypto_box_seal(k0, the subject's public key): 80 bytes
 *   mac     BLAKE2b-256 keyed with the writer's MAC key over
 *           "safehouse data key row 1" | string tenant | string project | 16 subject | u64 created_us
 *           | 16 id | u32 writer | 80 wrapped          (strings and numbers as in record/context.h)
 */
#include <stdint.h>

#include "record/envelope.h"

#define DATA_KEY_BYTES 32
#define DATA_KEY_WRAPPED_BYTES 80
#define DATA_KEY_MAC_BYTES 32

struct data_key_row {
    char tenant[LIMIT_NAME];
    char project[LIMIT_NAME];
    uint8_t subject[UUID_BYTES];
    uint64_t created_us;
    uint8_t id[DATA_KEY_ID_BYTES];
    uint32_t writer; /* which writer key made the MAC; the vault knows it by this number */
    uint8_t wrapped[DATA_KEY_WRAPPED_BYTES];
    uint8_t mac[DATA_KEY_MAC_BYTES];
};

/* The bytes under the MAC; returns their number. */
#define DATA_KEY_MACED_MAX 320
size_t data_key_maced(uint8_t out[DATA_KEY_MACED_MAX], const struct data_key_row *row);

/* Row as it travels to the vault: maced bytes (without the leading label) | 32 mac. */
#define DATA_KEY_ROW_MAX (DATA_KEY_MACED_MAX + DATA_KEY_MAC_BYTES)
size_t data_key_row_encode(uint8_t out[DATA_KEY_ROW_MAX], const struct data_key_row *row);
int data_key_row_decode(struct data_key_row *ret, const uint8_t *p, size_t len);

/* One step of the ratchet, in place: gives the record key and replaces k by its successor. */
void data_key_step(uint8_t k[DATA_KEY_BYTES], uint8_t ret_record_key[DATA_KEY_BYTES]);
void data_key_id(uint8_t out[DATA_KEY_ID_BYTES], const uint8_t k0[DATA_KEY_BYTES]);

#endif
