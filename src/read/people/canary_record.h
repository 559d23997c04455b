#ifndef PEOPLE_CANARY_RECORD_H
#define PEOPLE_CANARY_RECORD_H
/*
 * The record of a canary (doc/canary.md), which lies among those of people: u8 5 | u64 since (µs) | the
 * encoded name (record/subject.h). Pure.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "record/subject.h"

#define CANARY_RECORD_HEAD 9
#define CANARY_RECORD_MAX (CANARY_RECORD_HEAD + SUBJECT_NAME_MAX)

struct canary_record {
    uint64_t since_us;
    const uint8_t *name; /* borrowed from the record */
    size_t name_len;
};
/* Is it one, and not another kind's? */
bool canary_record_is(const uint8_t *p, size_t len);
/* ERR_CORRUPT: nobody wrote that. */
int canary_record_decode(struct canary_record *ret, const uint8_t *p, size_t len);
/* How long it is; 0: the name is too long. */
size_t canary_record_encode(uint8_t out[CANARY_RECORD_MAX], const struct canary_record *r);

#endif
