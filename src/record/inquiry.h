#ifndef RECORD_INQUIRY_H
#define RECORD_INQUIRY_H
/*
 * Questions about persons, from the command line to the vault, and what is answered: the payloads of
 * MSG_SUBJECTS, MSG_SUBJECTS_ARE, MSG_READINGS and MSG_READING (ipc/msg.h). Numbers little-endian.
 * Slices are borrowed from the payload.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/uuid.h"

/* Numbers are part of the message. */
enum inquiry_verb {
    INQUIRY_FIND = 1,
    INQUIRY_EXPORT = 2,
    INQUIRY_ERASE = 3,
    INQUIRY_HOLD = 4,
    INQUIRY_RELEASE = 5,
    INQUIRY_VERB_LAST = 5
};
#define INQUIRY_NAMES_MAX (2 * LIMIT_PROJECTS) /* one name in every project, as a user and as a key */
#define INQUIRY_REQUEST_BYTES 16

/*
 * SUBJECTS: u8 verb | u16 n | n reason | k x (u16 n | n name), k > 0: the name in its one encoding
 * (record/subject.h), once for each project where it may be.
 */
struct inquiry {
    enum inquiry_verb verb;
    const char *reason;
    size_t reason_len;
    const uint8_t *names; /* for inquiry_name */
    size_t names_len;
};
/* ERR_SYNTAX, ERR_LIMIT. */
int inquiry_decode(struct inquiry *ret, const uint8_t *p, size_t len);
/* The next name from *at = 0 on; false: there are no more. */
bool inquiry_name(const struct inquiry *q, size_t *at, const uint8_t **ret, size_t *ret_len);
/* Its beginning; then inquiry_add for each name. */
int inquiry_begin(struct buf *out, enum inquiry_verb verb, const char *reason, size_t reason_len);
int inquiry_add(struct buf *out, const uint8_t *name, size_t len);

/*
 * SUBJECTS_ARE, one person: 16 request (of export; else zero) | u64 held since (µs, 0: not held) |
 * u16 n | n reason of the hold | u16 n | n name as asked | k x (16 id | u64 made at, µs)
 */
#define INQUIRY_ID_ROW (UUID_BYTES + 8)
struct inquiry_person {
    const uint8_t *request;
    uint64_t held_since_us;
    const char *reason;
    size_t reason_len;
    const uint8_t *name;
    size_t name_len;
    const uint8_t *ids; /* rows of INQUIRY_ID_ROW bytes */
    size_t count;
};
int inquiry_put_person(struct buf *out, const struct inquiry_person *p);
int inquiry_person_decode(struct inquiry_person *ret, const uint8_t *p, size_t len);

/*
 * READINGS: u64 since | u64 until (µs, without it) | k x 16 subject id; none: everybody.
 * READING, one entry of the ledger: u8 kind | u64 index | u64 time | u32 uid | u32 cells |
 * u8 1: whose it is could be read | 16 subject | u8 n | n person | u16 n | n reason
 */
struct inquiry_span {
    uint64_t since_us, until_us;
    const uint8_t *ids;
    size_t count;
};
int inquiry_span_decode(struct inquiry_span *ret, const uint8_t *p, size_t len);

struct inquiry_reading {
    uint8_t kind; /* of the ledger's */
    uint64_t index, time_us;
    uint32_t uid, cells;
    bool known;
    uint8_t subject[UUID_BYTES];
    const char *person, *reason;
    size_t person_len, reason_len;
};
int inquiry_put_reading(struct buf *out, const struct inquiry_reading *r);
int inquiry_reading_decode(struct inquiry_reading *ret, const uint8_t *p, size_t len);

/*
 * EVENTS: u64 since | u64 until (µs, without it) | u32 kinds, a bit each.
 * EVENT, one entry of the ledger, as doc/ledger.md has its parts: u8 kind | u64 index | u64 time | u32 uid |
 * u8 n | n person | u16 n | n reason | u16 n | n public fields | u16 n | n rest of the who part
 */
#define INQUIRY_EVENTS_BYTES 20
struct inquiry_event {
    uint8_t kind;
    uint64_t index, time_us;
    uint32_t uid; /* UINT32_MAX: nobody's */
    const char *person, *reason;
    size_t person_len, reason_len;
    const uint8_t *fields, *rest;
    size_t fields_len, rest_len;
};
int inquiry_put_event(struct buf *out, const struct inquiry_event *e);
int inquiry_event_decode(struct inquiry_event *ret, const uint8_t *p, size_t len);

#endif
