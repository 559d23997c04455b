/*
 * What a client asks about one person: who it is, hold, release, and the beginning of an export.
 * (Erasing takes longer: erase.c.) A name comes once for each project where it may be; what is changed
 * is one person's, and a name that leads to several is refused.
 *
 * The ledger has it first, durable; then the keys.
 */
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/err.h"
#include "proc/vault/vault.h"
#include "tlog/checkpoint.h"

int answer_add(struct answer *a, enum ipc_msg msg, const void *p, size_t len) {
    uint8_t head[ANSWER_HEAD];
    put_u16(head, (uint16_t)msg);
    put_u32(head + 2, (uint32_t)len);
    int rc = buf_append(&a->frames, head, sizeof head);
    return rc ? rc : buf_append(&a->frames, p, len);
}

int answer_receipt(struct vault *v, struct buf *note, struct answer *a) {
    int rc = ledger_sign(v->ledger, note);
    return rc ? rc : answer_add(a, MSG_RECEIPT, note->p, note->len);
}

int answer_fail(struct answer *a, int rc, const char *why) {
    snprintf(a->why, sizeof a->why, "%s", why);
    return rc;
}

static int add_person(struct answer *a, const uint8_t *name, size_t len, const struct keys_person *p,
                      const uint8_t *request) {
    struct buf b;
    const struct inquiry_person found = {.request = request,
                                         .held_since_us = p->held_since_us,
                                         .reason = p->reason,
                                         .reason_len = strlen(p->reason),
                                         .name = name,
                                         .name_len = len,
                                         .ids = p->ids.p,
                                         .count = p->ids.len / KEYS_ID_ROW};
    buf_init(&b, LIMIT_FRAME);
    int rc = inquiry_put_person(&b, &found);
    if (!rc)
        rc = answer_add(a, MSG_SUBJECTS_ARE, b.p, b.len);
    buf_wipe(&b);
    return rc;
}

int person_only(struct vault *v, const struct inquiry *q, struct answer *a, struct keys_person *ret,
                const uint8_t **ret_name, size_t *ret_len) {
    const uint8_t *name;
    size_t len, at = 0;
    unsigned found = 0;
    int rc = 0;
    *ret = (struct keys_person){0};
    while (!rc && inquiry_name(q, &at, &name, &len)) {
        struct keys_person p;
        rc = keys_person(v->keys, name, len, &p);
        if (!rc && !found++) {
            *ret = p;
            *ret_name = name;
            *ret_len = len;
            continue;
        }
        buf_wipe(&p.ids);
        rc = rc == ERR_NOTFOUND ? 0 : rc;
    }
    if (rc == ERR_AGAIN)
        return answer_fail(a, rc, "persons of the time when the vault was locked are still being "
                                  "joined: try again in a moment");
    if (!rc && !found)
        return answer_fail(a, ERR_NOTFOUND, "nobody has this name");
    if (!rc && found > 1)
        return answer_fail(a, ERR_EXISTS, "the name is somebody's in several projects, or an API "
                                          "key's as well: say which with --project and --key");
    return rc;
}

static int find_all(struct vault *v, const struct inquiry *q, struct answer *a) {
    const uint8_t *name;
    size_t len, at = 0;
    int rc = 0;
    while (!rc && inquiry_name(q, &at, &name, &len)) {
        struct keys_person p;
        rc = keys_person(v->keys, name, len, &p);
        if (!rc)
            rc = add_person(a, name, len, &p, NULL);
        buf_wipe(&p.ids);
        if (rc == ERR_AGAIN)
            return answer_fail(a, rc, "persons of the time when the vault was locked are still "
                                      "being joined: try again in a moment");
        rc = rc == ERR_NOTFOUND ? 0 : rc;
    }
    return rc;
}

int person_note(struct vault *v, const struct keys_person *p, struct ledger_draft *d,
                struct ledger_receipt *ret) {
    uint8_t public_key[KEYS_PUBLIC_BYTES], hint_key[32], *secret = sodium_malloc(KEYS_SECRET_BYTES);
    struct buf ids;
    buf_init(&ids, LIMIT_FRAME);
    int rc = v->ledger ? secret ? 0 : ERR_NOMEM : ERR_IO;
    if (!rc)
        rc = keys_subject_secret(v->keys, p->ids.p, public_key, secret);
    if (!rc)
        ledger_hint_key(hint_key, secret);
    sodium_free(secret);
    const size_t count = p->ids.len / KEYS_ID_ROW, told = count < UINT16_MAX ? count : UINT16_MAX;
    uint8_t head[2];
    put_u16(head, (uint16_t)told);
    if (!rc)
        rc = buf_append(&ids, head, sizeof head);
    for (size_t i = 0; !rc && i < told; i++)
        rc = buf_append(&ids, p->ids.p + i * KEYS_ID_ROW, UUID_BYTES);
    struct ledger_about about = {
        .subject_public = public_key, .hint_key = hint_key, .part = ids.p, .part_len = ids.len};
    d->about = &about;
    if (!rc)
        rc = ledger_append(v->ledger, d, ret);
    if (!rc)
        rc = ledger_sync(v->ledger);
    sodium_memzero(hint_key, sizeof hint_key);
    buf_wipe(&ids);
    return rc && rc != ERR_NOMEM && rc != ERR_LOCKED ? ERR_IO : rc;
}

static int change(struct vault *v, const struct inquiry *q, const struct keys_person *p) {
    int rc = keys_begin(v->keys);
    if (!rc)
        rc = q->verb == INQUIRY_HOLD
                 ? keys_hold(v->keys, p, q->reason, q->reason_len, clock_wall_us())
                 : keys_release(v->keys, p);
    v->holds_changed = true;
    if (!rc)
        return keys_commit(v->keys);
    keys_rollback(v->keys);
    return rc;
}

/* Before the ledger is told of something that will not be. */
static int may_change(const struct inquiry *q, const struct keys_person *p, struct answer *a) {
    if (q->verb == INQUIRY_HOLD && p->held_since_us)
        return answer_fail(a, ERR_EXISTS, "this person is held already");
    if (q->verb == INQUIRY_RELEASE && !p->held_since_us)
        return answer_fail(a, ERR_NOTFOUND, "this person is not held");
    return q->reason_len ? 0 : answer_fail(a, ERR_USAGE, "a reason is needed: --reason TEXT");
}

static int hold(struct vault *v, const struct inquiry *q, const struct ledger_who *who,
                struct answer *a) {
    struct keys_person p;
    const uint8_t *name;
    size_t len;
    struct ledger_draft d = {.kind = q->verb == INQUIRY_HOLD ? LEDGER_HELD : LEDGER_RELEASED,
                             .who = who};
    int rc = person_only(v, q, a, &p, &name, &len);
    if (!rc)
        rc = may_change(q, &p, a);
    if (!rc)
        rc = person_note(v, &p, &d, NULL);
    if (!rc)
        rc = change(v, q, &p);
    buf_wipe(&p.ids);
    if (!rc)
        rc = keys_person(v->keys, name, len, &p);
    if (!rc)
        rc = add_person(a, name, len, &p, NULL);
    buf_wipe(&p.ids);
    return rc;
}

#define EXPORT_REST (INQUIRY_REQUEST_BYTES + 8 + 32)

static int export_note(struct vault *v, const struct keys_person *p, const struct ledger_who *who,
                       const uint8_t rest[EXPORT_REST]) {
    struct ledger_who whole = *who;
    struct ledger_draft d = {.kind = LEDGER_EXPORTED, .who = &whole};
    whole.rest = rest;
    whole.rest_len = EXPORT_REST;
    return person_note(v, p, &d, NULL);
}

/* u32 cells | u32 leaves | 32 hash, after the request; zeros at the beginning, when nothing of it is
 * known yet. The part has the subject and no cells: each opening has its own entry. */
static int export(struct vault *v, const struct inquiry *q, const struct ledger_who *who,
                  struct answer *a) {
    struct keys_person p;
    uint8_t rest[EXPORT_REST] = {0};
    const uint8_t *name;
    size_t len;
    randombytes_buf(rest, INQUIRY_REQUEST_BYTES);
    int rc = q->reason_len ? 0 : answer_fail(a, ERR_USAGE, "a reason is needed: --reason TEXT");
    if (rc)
        return rc;
    rc = person_only(v, q, a, &p, &name, &len);
    if (!rc)
        rc = export_note(v, &p, who, rest);
    if (!rc)
        rc = add_person(a, name, len, &p, rest);
    buf_wipe(&p.ids);
    return rc;
}

/* The proof of the entry that was noted last; without it the receipt is worth something all the same. */
static int add_proof(struct vault *v, struct answer *a) {
    struct buf proof;
    buf_init(&proof, TLOG_PROOF_MAX);
    int rc = ledger_prove_newest(v->ledger, &proof);
    rc = rc ? 0 : answer_add(a, MSG_PROOF, proof.p, proof.len);
    buf_wipe(&proof);
    return rc;
}

/* safehouse.invalid/receipt/export, and what is said of it; the same in the ledger. The request stands in
 * the entry's public fields, so that the receipt's proof shows whose entry it is. */
int export_done(struct vault *v, const uint8_t *p, size_t len, const struct ledger_who *who,
                struct answer *a) {
    uint8_t rest[EXPORT_REST] = {0};
    char request[2 * INQUIRY_REQUEST_BYTES + 1], hash[65];
    struct ledger_who whole = *who;
    struct ledger_receipt receipt;
    struct buf note;
    if (len != INQUIRY_REQUEST_BYTES + 32 + 4)
        return ERR_SYNTAX;
    memcpy(rest, p, INQUIRY_REQUEST_BYTES);
    memcpy(rest + INQUIRY_REQUEST_BYTES, p + INQUIRY_REQUEST_BYTES + 32, 4);
    put_u32(rest + INQUIRY_REQUEST_BYTES + 4, 1);
    memcpy(rest + INQUIRY_REQUEST_BYTES + 8, p + INQUIRY_REQUEST_BYTES, 32);
    whole.rest = rest;
    whole.rest_len = sizeof rest;
    const struct ledger_draft d = {
        .kind = LEDGER_EXPORTED, .fields = p, .fields_len = INQUIRY_REQUEST_BYTES, .who = &whole};
    if (keys_locked(v->keys))
        return ERR_LOCKED;
    int rc = v->ledger ? ledger_append(v->ledger, &d, &receipt) : ERR_IO;
    if (!rc)
        rc = ledger_sync(v->ledger);
    sodium_bin2hex(request, sizeof request, p, INQUIRY_REQUEST_BYTES);
    sodium_bin2hex(hash, sizeof hash, p + INQUIRY_REQUEST_BYTES, 32);
    buf_init(&note, 65536);
    if (!rc)
        rc = buf_printf(&note, "safehouse.invalid/receipt/export\n%s\nrequest %s\nsha256 %s\n"
                               "interactions %u\nleaf %llu\ntime %llu\n",
                        ledger_key(v->ledger)->name, request, hash, get_u32(rest + 16),
                        (unsigned long long)receipt.index, (unsigned long long)clock_wall_us());
    if (!rc)
        rc = answer_receipt(v, &note, a);
    if (!rc)
        rc = add_proof(v, a);
    buf_wipe(&note);
    return rc;
}

int person_answer(struct vault *v, const struct inquiry *q, const struct ledger_who *who,
                  struct answer *a) {
    if (keys_locked(v->keys))
        return ERR_LOCKED;
    int rc = q->verb == INQUIRY_FIND     ? find_all(v, q, a)
             : q->verb == INQUIRY_EXPORT ? export(v, q, who, a)
                                         : hold(v, q, who, a);
    if (rc == ERR_IO && !*a->why)
        return answer_fail(a, rc, "the ledger cannot be written, so nothing is done");
    return rc;
}
