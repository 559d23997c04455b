/*
 * What the vault does is in the ledger before it is done: an opening's leaves, one for each subject
 * of the request, all durable with one fdatasync; a question about a value.
 *
 * The subject part is sealed to the subject, so that erasing the person takes it along. Of a
 * subject that does not exist (any more) nothing opens; that somebody asked is noted all the same,
 * under the audit key.
 */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/log.h"
#include "proc/vault/vault.h"

#define REQUEST_ID_BYTES 16
#define OPENED_REST (REQUEST_ID_BYTES + 8) /* 16 request | u32 cells | u32 leaves */

/* Guarded memory: the subject in use. */
struct pair {
    uint8_t public_key[KEYS_PUBLIC_BYTES], secret[KEYS_SECRET_BYTES], hint_key[32];
};

struct request {
    struct ledger_who who;
    uint8_t rest[OPENED_REST];
    struct buf part;
    struct pair *pair;
};

static int compare(const void *x, const void *y) {
    const struct noted_cell *a = x, *b = y;
    int order = memcmp(a->subject, b->subject, UUID_BYTES);
    return order ? order : (a->order > b->order) - (a->order < b->order);
}

/* How many from `cells` on are of one subject. */
static uint32_t run_of(const struct noted_cell *cells, uint32_t count) {
    uint32_t n = 1;
    while (n < count && !memcmp(cells[n].subject, cells->subject, UUID_BYTES))
        n++;
    return n;
}

/* 16 subject | u32 n | n cells */
static int put_cells(struct buf *part, const struct noted_cell *cells, uint32_t count) {
    uint8_t n[4];
    put_u32(n, count);
    buf_clear(part);
    int rc = buf_append(part, cells->subject, UUID_BYTES);
    if (!rc)
        rc = buf_append(part, n, sizeof n);
    for (uint32_t i = 0; !rc && i < count; i++)
        rc = buf_append(part, &cells[i].cell, sizeof cells[i].cell);
    return rc;
}

static int append_run(struct vault *v, struct request *r, const struct noted_cell *cells,
                      uint32_t count) {
    struct ledger_about about = {0};
    const struct ledger_draft d = {.kind = LEDGER_OPENED, .who = &r->who, .about = &about};
    struct pair *p = r->pair;
    int rc = keys_subject_secret(v->keys, cells->subject, p->public_key, p->secret);
    if (!rc) {
        ledger_hint_key(p->hint_key, p->secret);
        about.subject_public = p->public_key;
        about.hint_key = p->hint_key;
    } else if (rc != ERR_NOTFOUND && rc != ERR_ERASED && rc != ERR_CORRUPT) {
        return rc;
    }
    rc = put_cells(&r->part, cells, count);
    about.part = r->part.p;
    about.part_len = r->part.len;
    put_u32(r->rest + REQUEST_ID_BYTES, count);
    return rc ? rc : ledger_append(v->ledger, &d, NULL);
}

static int append_all(struct vault *v, struct request *r, struct noted_cell *cells,
                      uint32_t count) {
    uint32_t leaves = 0;
    int rc = 0;
    qsort(cells, count, sizeof *cells, compare);
    for (uint32_t i = 0; i < count; i += run_of(cells + i, count - i))
        leaves++;
    put_u32(r->rest + REQUEST_ID_BYTES + 4, leaves);
    for (uint32_t i = 0, n; !rc && i < count; i += n) {
        n = run_of(cells + i, count - i);
        rc = append_run(v, r, cells + i, n);
    }
    struct canary_alarm alarm;
    if (!rc)
        rc = canary_note(v, &r->who, cells, count, &alarm);
    if (rc)
        ledger_undo(v->ledger);
    if (!rc)
        rc = ledger_sync(v->ledger);
    return rc ? rc : canary_raise(v, &r->who, &alarm);
}

int note_opening(struct vault *v, const struct ledger_who *who, struct noted_cell *cells,
                 uint32_t count) {
    struct request r = {.who = *who};
    if (!v->ledger)
        return ERR_IO;
    if (!count)
        return 0;
    randombytes_buf(r.rest, REQUEST_ID_BYTES);
    r.who.rest = r.rest;
    r.who.rest_len = sizeof r.rest;
    buf_init(&r.part, LEDGER_SEALED_MAX);
    r.pair = sodium_malloc(sizeof *r.pair);
    int rc = r.pair ? append_all(v, &r, cells, count) : ERR_NOMEM;
    sodium_free(r.pair);
    buf_wipe(&r.part);
    return rc;
}

int note_append(struct vault *v, enum ledger_kind kind, const struct ledger_who *who) {
    const struct ledger_draft d = {.kind = kind, .who = who};
    return v->ledger ? ledger_append(v->ledger, &d, NULL) : ERR_IO;
}

int note_sync(struct vault *v) {
    return v->ledger ? ledger_sync(v->ledger) : ERR_IO;
}

void note_undo(struct vault *v) {
    if (v->ledger)
        ledger_undo(v->ledger);
}

int note_event(struct vault *v, enum ledger_kind kind, const struct ledger_who *who) {
    int rc = note_append(v, kind, who);
    return rc ? rc : note_sync(v);
}

int note_question(struct vault *v, const struct ledger_who *who) {
    return note_event(v, LEDGER_ASKED, who);
}

void note_configuration(struct vault *v, const uint8_t digest[32], uint32_t uid) {
    const struct ledger_who who = {.uid = uid};
    const struct ledger_draft d = {.kind = LEDGER_CONFIGURATION,
                                   .fields = digest,
                                   .fields_len = 32,
                                   .who = uid == LEDGER_NO_UID ? NULL : &who};
    if (v->ledger && !memcmp(ledger_configuration(v->ledger), digest, 32))
        return; /* the vault was started anew, and nothing else */
    int rc = v->ledger && !v->stale ? ledger_append(v->ledger, &d, NULL) : ERR_IO;
    if (!rc)
        rc = ledger_sync(v->ledger);
    if (rc)
        log_event("configuration-not-noted", LOG_ERR(rc), LOG_END);
}

int note_key_change(struct vault *v, const struct ledger_who *who) {
    if (!v->ledger)
        return ERR_IO;
    const struct ledger_draft d = {.kind = LEDGER_CONFIGURATION,
                                   .fields = ledger_configuration(v->ledger),
                                   .fields_len = 32,
                                   .who = who};
    int rc = ledger_append(v->ledger, &d, NULL);
    return rc ? rc : ledger_sync(v->ledger);
}
