/*
 * What the vault does is in the ledger before it is done: an opening's leaves, one for each subject
 * of the request, all durable with one fdatasync; a question about a value.
 *
 * Sealing an entry takes a fifth of a millisecond, and a request may be about thousands of subjects. So each
 * noting_step seals one, while others have their turns; the last one gives them all their places in the log
 * and makes them durable. A subject that is erased meanwhile has an entry that nobody can read any more.
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
#define SEALED_BYTES (32u << 20)           /* of one request's entries */

/* Guarded memory: the subject in use, and the hint keys of those whose entries are sealed. */
struct secrets {
    uint8_t public_key[KEYS_PUBLIC_BYTES], secret[KEYS_SECRET_BYTES];
    struct {
        uint8_t key[32];
        bool there;
    } hint[];
};

struct noting {
    struct vault *vault;
    struct noted_cell *cells; /* borrowed; sorted by subject */
    uint32_t count, next;     /* cells; the first one that is in no entry yet */
    uint32_t leaves, sealed_leaves;
    uint8_t rest[OPENED_REST];
    struct buf part;
    struct buf sealed; /* the entries, for ledger_append_sealed */
    struct secrets *secrets;
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

void noting_free(struct noting *n) {
    if (!n)
        return;
    n->vault->open_bytes -= n->sealed.len;
    buf_wipe(&n->part);
    buf_wipe(&n->sealed);
    sodium_free(n->secrets);
    free(n);
}

int noting_new(struct vault *v, struct noted_cell *cells, uint32_t count, struct noting **ret) {
    struct noting *n = calloc(1, sizeof *n);
    if (!n)
        return ERR_NOMEM;
    *n = (struct noting){.vault = v, .cells = cells, .count = count};
    buf_init(&n->part, LEDGER_SEALED_MAX);
    buf_init(&n->sealed, SEALED_BYTES);
    if (count)
        qsort(cells, count, sizeof *cells, compare);
    for (uint32_t i = 0; i < count; i += run_of(cells + i, count - i))
        n->leaves++;
    const size_t room = sizeof *n->secrets + n->leaves * sizeof n->secrets->hint[0];
    n->secrets = sodium_malloc(room);
    if (!n->secrets) {
        noting_free(n);
        return ERR_NOMEM;
    }
    sodium_memzero(n->secrets, room);
    randombytes_buf(n->rest, REQUEST_ID_BYTES);
    put_u32(n->rest + REQUEST_ID_BYTES + 4, n->leaves);
    *ret = n;
    return 0;
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

/* The next subject's entry. */
static int seal_run(struct noting *n, const struct ledger_who *who) {
    const struct noted_cell *cells = n->cells + n->next;
    const uint32_t count = run_of(cells, n->count - n->next);
    const size_t before = n->sealed.len;
    struct secrets *s = n->secrets;
    struct ledger_who opened = *who;
    struct ledger_about about = {0};
    const struct ledger_draft d = {.kind = LEDGER_OPENED, .who = &opened, .about = &about};
    int rc = keys_subject_secret(n->vault->keys, cells->subject, s->public_key, s->secret);
    if (!rc) {
        ledger_hint_key(s->hint[n->sealed_leaves].key, s->secret);
        s->hint[n->sealed_leaves].there = true;
        about.subject_public = s->public_key;
    } else if (rc != ERR_NOTFOUND && rc != ERR_ERASED && rc != ERR_CORRUPT) {
        return rc;
    }
    rc = put_cells(&n->part, cells, count);
    about.part = n->part.p;
    about.part_len = n->part.len;
    put_u32(n->rest + REQUEST_ID_BYTES, count);
    opened.rest = n->rest;
    opened.rest_len = sizeof n->rest;
    if (!rc)
        rc = ledger_seal(n->vault->ledger, &d, &n->sealed);
    n->vault->open_bytes += n->sealed.len - before;
    n->next += count;
    n->sealed_leaves += !rc;
    return rc;
}

/* In one turn, so that nothing comes between them and their checkpoint. */
static int append_all(struct noting *n, const struct ledger_who *who) {
    struct ledger *l = n->vault->ledger;
    struct canary_alarm alarm;
    size_t at = 0;
    int rc = canaries_look(n->vault); /* somebody may have become one since the request began */
    if (rc)
        return rc == ERR_AGAIN ? ERR_LOCKED : rc;
    for (uint32_t i = 0; !rc && i < n->leaves; i++)
        rc = ledger_append_sealed(l, &n->sealed, &at,
                                  n->secrets->hint[i].there ? n->secrets->hint[i].key : NULL);
    if (!rc)
        rc = canary_note(n->vault, who, n->cells, n->count, &alarm);
    if (rc)
        ledger_undo(l);
    if (!rc)
        rc = ledger_sync(l);
    return rc ? rc : canary_raise(n->vault, who, &alarm);
}

int noting_step(struct noting *n, const struct ledger_who *who) {
    if (!n->vault->ledger)
        return ERR_IO;
    if (n->next < n->count) {
        int rc = seal_run(n, who);
        return rc ? rc : ERR_AGAIN;
    }
    return n->count ? append_all(n, who) : 0;
}

int note_opening(struct vault *v, const struct ledger_who *who, struct noted_cell *cell) {
    struct noting *n;
    int rc = noting_new(v, cell, 1, &n);
    if (rc)
        return rc;
    do
        rc = noting_step(n, who);
    while (rc == ERR_AGAIN);
    noting_free(n);
    return rc;
}

int note_append(struct vault *v, enum ledger_kind kind, const struct ledger_who *who) {
    const struct ledger_draft d = {.kind = kind, .who = who};
    return v->ledger ? ledger_append(v->ledger, &d, NULL) : ERR_IO;
}

int note_key(struct vault *v, enum rotated key, uint32_t number) {
    uint8_t fields[5] = {(uint8_t)key};
    put_u32(fields + 1, number);
    const struct ledger_draft d = {
        .kind = LEDGER_KEY_ROTATED, .fields = fields, .fields_len = sizeof fields};
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
