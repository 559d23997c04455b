/* The record of canary_record.h, both ways. What is read lies encrypted in vault.db, written by the vault alone;
 * it is checked all the same. */
#include "read/people/canary_record.h"

#include <sodium.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"

#define RECORD_CANARY 5 /* kinds 1 to 4 are those of records.c */

bool canary_record_is(const uint8_t *p, size_t len) {
    return len && p[0] == RECORD_CANARY;
}

int canary_record_decode(struct canary_record *ret, const uint8_t *p, size_t len) {
    struct subject_name name;
    if (!canary_record_is(p, len) || len < CANARY_RECORD_HEAD || len > CANARY_RECORD_MAX)
        return ERR_CORRUPT;
    int rc = subject_decode_name(&name, p + CANARY_RECORD_HEAD, len - CANARY_RECORD_HEAD);
    sodium_memzero(&name, sizeof name);
    if (rc)
        return ERR_CORRUPT;
    *ret = (struct canary_record){.since_us = get_u64(p + 1),
                                  .name = p + CANARY_RECORD_HEAD,
                                  .name_len = len - CANARY_RECORD_HEAD};
    return 0;
}

size_t canary_record_encode(uint8_t out[CANARY_RECORD_MAX], const struct canary_record *r) {
    if (r->name_len > SUBJECT_NAME_MAX)
        return 0;
    out[0] = RECORD_CANARY;
    put_u64(out + 1, r->since_us);
    memcpy(out + CANARY_RECORD_HEAD, r->name, r->name_len);
    return CANARY_RECORD_HEAD + r->name_len;
}
