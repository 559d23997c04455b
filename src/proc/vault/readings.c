/*
 * What the ledger says of a time. Who read what: its entries of openings and exports, for the persons whose
 * content it was and for reports; and the others, for reports alone. Whose an entry is, is sealed to the subject; the subject's secret gives its hints.
 * Without ids in the question everybody's entries are told, and of each the subject only if one of
 * the hints would say so: not at all.
 */
#include <sodium.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/err.h"
#include "proc/vault/vault.h"
#include "tlog/checkpoint.h"

#define SUBJECTS_MAX 256 /* of one person, whose hints are compared */

struct hinted {
    uint8_t key[32], id[UUID_BYTES];
};

struct readings {
    const struct inquiry_span *span;
    struct hinted *subjects; /* guarded */
    size_t count;
    uint8_t audit_public[KEYS_PUBLIC_BYTES], *audit; /* guarded */
    struct buf part, frame;
    struct answer *answer;
};

static bool of_interest(const struct readings *r, const struct ledger_entry *e, size_t *ret_which) {
    uint8_t hint[8];
    if ((e->kind != LEDGER_OPENED && e->kind != LEDGER_EXPORTED) || e->time_us < r->span->since_us ||
        e->time_us >= r->span->until_us)
        return false;
    *ret_which = r->count;
    if (!r->span->count)
        return true;
    for (size_t i = 0; e->hint && i < r->count; i++) {
        ledger_hint(hint, r->subjects[i].key, e->index);
        if (!memcmp(hint, e->hint, sizeof hint)) {
            *ret_which = i;
            return true;
        }
    }
    return false;
}

static int one(void *arg, const struct ledger_entry *e) {
    struct readings *r = arg;
    struct ledger_who_read who = {0};
    size_t which;
    if (!of_interest(r, e, &which))
        return 0;
    int rc = ledger_part_open(&e->who, LEDGER_WHO, r->audit_public, r->audit, &r->part);
    if (!rc)
        rc = ledger_who_decode(&who, r->part.p + LEDGER_SALT_BYTES, r->part.len - LEDGER_SALT_BYTES);
    if (rc)
        return rc == ERR_NOTFOUND ? 0 : rc;
    struct inquiry_reading told = {.kind = e->kind,
                                   .index = e->index,
                                   .time_us = e->time_us,
                                   .uid = who.uid,
                                   .cells = who.rest_len >= 20 ? get_u32(who.rest + 16) : 0,
                                   .known = which < r->count,
                                   .person = who.person,
                                   .person_len = strlen(who.person),
                                   .reason = who.reason,
                                   .reason_len = who.reason_len};
    if (told.known)
        memcpy(told.subject, r->subjects[which].id, UUID_BYTES);
    buf_clear(&r->frame);
    rc = inquiry_put_reading(&r->frame, &told);
    return rc ? rc : answer_add(r->answer, MSG_READING, r->frame.p, r->frame.len);
}

/* Hints of the ids that have a secret. */
static int take_subjects(struct vault *v, struct readings *r) {
    uint8_t public_key[KEYS_PUBLIC_BYTES], *secret = sodium_malloc(KEYS_SECRET_BYTES);
    int rc = secret ? 0 : ERR_NOMEM;
    if (r->span->count > SUBJECTS_MAX)
        rc = ERR_LIMIT;
    for (size_t i = 0; !rc && i < r->span->count; i++) {
        const uint8_t *id = r->span->ids + i * UUID_BYTES;
        rc = keys_subject_secret(v->keys, id, public_key, secret);
        if (!rc) {
            struct hinted *h = &r->subjects[r->count++];
            ledger_hint_key(h->key, secret);
            memcpy(h->id, id, UUID_BYTES);
        }
        rc = rc == ERR_NOTFOUND || rc == ERR_ERASED ? 0 : rc;
    }
    sodium_free(secret);
    return rc;
}

static int walk(struct vault *v, ledger_fn *entry, void *arg) {
    struct ledger_totals totals;
    struct ledger_end tail;
    ledger_totals(v->ledger, &totals);
    const struct ledger_walk w = {.limit = totals.bytes, .entry = entry, .arg = arg};
    int fd = ledger_reader(v->ledger);
    if (fd < 0)
        return fd;
    int rc = ledger_walk(fd, &w, &tail);
    close(fd);
    return rc;
}

int readings_answer(struct vault *v, const uint8_t *p, size_t len, struct answer *a) {
    struct inquiry_span span;
    struct readings r = {.span = &span, .answer = a};
    int rc = inquiry_span_decode(&span, p, len);
    if (rc)
        return rc;
    if (keys_locked(v->keys))
        return ERR_LOCKED;
    if (!v->ledger)
        return ERR_IO;
    buf_init(&r.part, LEDGER_SEALED_MAX);
    buf_init(&r.frame, 4096);
    r.subjects = sodium_malloc(SUBJECTS_MAX * sizeof *r.subjects);
    r.audit = sodium_malloc(KEYS_SECRET_BYTES);
    rc = r.subjects && r.audit ? keys_audit_secret(v->keys, r.audit) : ERR_NOMEM;
    keys_audit_public(v->keys, r.audit_public);
    if (!rc)
        rc = take_subjects(v, &r);
    if (!rc)
        rc = walk(v, one, &r);
    sodium_free(r.subjects);
    sodium_free(r.audit);
    buf_wipe(&r.part);
    buf_wipe(&r.frame);
    return rc;
}

/* ---- the others ---- */

struct events {
    uint64_t since_us, until_us;
    uint32_t kinds;
    uint8_t audit_public[KEYS_PUBLIC_BYTES], *audit; /* guarded */
    struct buf part, frame;
    struct answer *answer;
};

static int event(void *arg, const struct ledger_entry *e) {
    struct events *x = arg;
    struct ledger_who_read who = {.uid = LEDGER_NO_UID};
    if (!(x->kinds >> e->kind & 1) || e->time_us < x->since_us || e->time_us >= x->until_us)
        return 0;
    int rc = ledger_part_open(&e->who, LEDGER_WHO, x->audit_public, x->audit, &x->part);
    if (!rc)
        rc = ledger_who_decode(&who, x->part.p + LEDGER_SALT_BYTES, x->part.len - LEDGER_SALT_BYTES);
    if (rc && rc != ERR_NOTFOUND) /* some kinds have no who part */
        return rc;
    const struct inquiry_event told = {.kind = e->kind,
                                       .index = e->index,
                                       .time_us = e->time_us,
                                       .uid = who.uid,
                                       .person = who.person,
                                       .person_len = strlen(who.person),
                                       .reason = who.reason,
                                       .reason_len = who.reason_len,
                                       .fields = e->fields,
                                       .fields_len = e->fields_len,
                                       .rest = who.rest,
                                       .rest_len = who.rest_len};
    buf_clear(&x->frame);
    rc = inquiry_put_event(&x->frame, &told);
    return rc ? rc : answer_add(x->answer, MSG_EVENT, x->frame.p, x->frame.len);
}

int events_answer(struct vault *v, const uint8_t *p, size_t len, struct answer *a) {
    struct events x = {.answer = a};
    if (len != INQUIRY_EVENTS_BYTES)
        return ERR_SYNTAX;
    if (keys_locked(v->keys))
        return ERR_LOCKED;
    if (!v->ledger)
        return ERR_IO;
    x.since_us = get_u64(p);
    x.until_us = get_u64(p + 8);
    x.kinds = get_u32(p + 16);
    buf_init(&x.part, LEDGER_SEALED_MAX);
    buf_init(&x.frame, LEDGER_SEALED_MAX);
    x.audit = sodium_malloc(KEYS_SECRET_BYTES);
    int rc = x.audit ? keys_audit_secret(v->keys, x.audit) : ERR_NOMEM;
    keys_audit_public(v->keys, x.audit_public);
    if (!rc)
        rc = walk(v, event, &x);
    sodium_free(x.audit);
    buf_wipe(&x.part);
    buf_wipe(&x.frame);
    return rc;
}

/* ---- a report's receipt ---- */

/* The newest checkpoint, and its root as it stands there. */
static int newest(struct vault *v, struct buf *note, struct checkpoint *ret, struct buf *root) {
    int rc = ledger_checkpoint(v->ledger, note);
    if (!rc)
        rc = checkpoint_open(ret, ledger_key(v->ledger), (const char *)note->p, note->len);
    return rc ? rc : tlog_put_hash(root, ret->root);
}

int reported_sign(struct vault *v, const uint8_t *p, size_t len, struct answer *a) {
    static const char *const names[] = {NULL, "records", "breach", "subject"};
    struct checkpoint c;
    struct buf note, checkpoint, root;
    char hash[65];
    if (len != 33 || p[0] < 1 || p[0] > 3)
        return ERR_SYNTAX;
    if (!v->ledger)
        return ERR_IO;
    sodium_bin2hex(hash, sizeof hash, p + 1, 32);
    buf_init(&note, 65536);
    buf_init(&checkpoint, NOTE_MAX);
    buf_init(&root, 64);
    int rc = newest(v, &checkpoint, &c, &root);
    if (!rc)
        rc = buf_printf(&note, "safehouse.invalid/receipt/report\n%s\nreport %s\nsha256 %s\nentries %llu\n"
                               "root %.*stime %llu\n",
                        c.origin, names[p[0]], hash, (unsigned long long)c.size, (int)root.len,
                        (const char *)root.p, (unsigned long long)clock_wall_us());
    if (!rc)
        rc = answer_receipt(v, &note, a);
    if (!rc)
        rc = answer_add(a, MSG_CHECKPOINT, checkpoint.p, checkpoint.len);
    buf_wipe(&note);
    buf_wipe(&checkpoint);
    buf_wipe(&root);
    return rc;
}
