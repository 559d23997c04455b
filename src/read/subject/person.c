/*
 * One person: found by the name, held, erased.
 *
 * Everything is by the lasting tag: a hold covers the ids that a person will get, and an erasure
 * all that there are. An erased row keeps its id, so that its cells are told to be erased and not
 * taken for unknown, and nothing else; the next generation puts the erased rows into the order of
 * their ids, so that nothing says which of them were one person's.
 */
#include <sodium.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/err_sqlite.h"
#include "read/subject/keys_int.h"

/* ---- finding ---- */

static int read_ids(struct keys *k, struct keys_person *p) {
    uint8_t row[KEYS_ID_ROW];
    sqlite3_stmt *s;
    int rc = keys_run(k, KEYS_SUBJECT_OF_TAG, &s, "nb", (uint64_t)k->pepper_number, p->tag,
                      sizeof p->tag);
    if (rc)
        return rc;
    int code = SQLITE_ROW;
    for (; !rc && code == SQLITE_ROW; code = sqlite3_step(s)) {
        rc = keys_column(s, 0, row, UUID_BYTES);
        put_u64(row + UUID_BYTES, (uint64_t)sqlite3_column_int64(s, 1));
        if (!rc)
            rc = buf_append(&p->ids, row, sizeof row);
    }
    keys_done(s);
    return rc || code == SQLITE_DONE || code == SQLITE_ROW ? rc : err_from_sqlite(code);
}

static int read_hold(struct keys *k, struct keys_person *p) {
    uint8_t sealed[LIMIT_REASON + crypto_box_SEALBYTES];
    sqlite3_stmt *s;
    int rc = keys_run(k, KEYS_HOLD_GET, &s, "b", p->tag, sizeof p->tag);
    if (rc)
        return rc == ERR_NOTFOUND ? 0 : rc;
    const void *reason = sqlite3_column_blob(s, 0);
    const size_t n = (size_t)sqlite3_column_bytes(s, 0);
    p->held_since_us = (uint64_t)sqlite3_column_int64(s, 1);
    rc = reason && n >= crypto_box_SEALBYTES && n <= sizeof sealed ? 0 : ERR_CORRUPT;
    if (!rc)
        memcpy(sealed, reason, n);
    keys_done(s);
    if (!rc)
        rc = keys_unseal(k, (uint8_t *)p->reason, sealed, n);
    if (!rc)
        p->reason[n - crypto_box_SEALBYTES] = 0;
    return rc;
}

int keys_person(struct keys *k, const uint8_t *name, size_t len, struct keys_person *ret) {
    *ret = (struct keys_person){0};
    buf_init(&ret->ids, (size_t)KEYS_ID_ROW << 16);
    int rc = keys_tag(k, name, len, ret->tag);
    if (!rc && k->counts.pending)
        rc = ERR_AGAIN;
    if (!rc)
        rc = read_ids(k, ret);
    return rc ? rc : read_hold(k, ret);
}

/* ---- holds ---- */

int keys_hold(struct keys *k, const struct keys_person *p, const char *reason, size_t len,
              uint64_t now_us) {
    uint8_t sealed[LIMIT_REASON + crypto_box_SEALBYTES];
    if (len > LIMIT_REASON)
        return ERR_LIMIT;
    if (p->held_since_us)
        return ERR_EXISTS;
    if (crypto_box_seal(sealed, (const uint8_t *)reason, len, k->opening_public))
        return ERR_CORRUPT;
    int rc = keys_run(k, KEYS_HOLD_ADD, NULL, "bbnn", p->tag, sizeof p->tag, sealed,
                      len + crypto_box_SEALBYTES, now_us, ++k->version);
    k->counts.holds += !rc;
    return rc;
}

int keys_release(struct keys *k, const struct keys_person *p) {
    if (!p->held_since_us)
        return ERR_NOTFOUND;
    int rc = keys_run(k, KEYS_HOLD_END, NULL, "nb", ++k->version, p->tag, sizeof p->tag);
    k->counts.holds -= !rc;
    return rc;
}

/* Appends column 0 of every row, ids, of a statement that keys_run began. */
static int append_ids(sqlite3_stmt *s, struct buf *out) {
    uint8_t id[UUID_BYTES];
    int rc = 0, code = SQLITE_ROW;
    for (; !rc && code == SQLITE_ROW; code = sqlite3_step(s)) {
        rc = keys_column(s, 0, id, sizeof id);
        if (!rc)
            rc = buf_append(out, id, sizeof id);
    }
    keys_done(s);
    return rc || code == SQLITE_DONE ? rc : err_from_sqlite(code);
}

int keys_held(struct keys *k, struct buf *out) {
    sqlite3_stmt *s;
    int rc = keys_run(k, KEYS_HELD, &s, "n", (uint64_t)k->pepper_number);
    return rc ? (rc == ERR_NOTFOUND ? 0 : rc) : append_ids(s, out);
}

/* ---- erasing ---- */

int keys_erase_finish(struct keys *k, const uint8_t erasure[KEYS_ERASURE_BYTES], uint64_t time_us,
                      struct buf *ids) {
    const struct keys_intent *i = &k->intent;
    const size_t from = ids->len;
    sqlite3_stmt *s;
    if (!i->there || memcmp(i->erasure, erasure, sizeof i->erasure) != 0)
        return ERR_NOTFOUND;
    int rc = keys_run(k, KEYS_SUBJECT_OF_TAG, &s, "nb", (uint64_t)i->pepper_number, i->tag,
                      sizeof i->tag);
    if (!rc)
        rc = append_ids(s, ids);
    for (size_t at = from; !rc && at < ids->len; at += UUID_BYTES)
        rc = keys_run(k, KEYS_SUBJECT_ERASE, NULL, "nb", ++k->version, ids->p + at,
                      (size_t)UUID_BYTES);
    if (!rc) /* a generation that is being built may have had them already */
        rc = keys_run(k, KEYS_ERASURE_ADD, NULL, "bnnn", erasure, (size_t)KEYS_ERASURE_BYTES,
                      time_us, (uint64_t)k->generation + k->renewing, ++k->version);
    if (rc)
        return rc;
    k->counts.subjects -= (ids->len - from) / UUID_BYTES;
    k->counts.erasures++;
    return 0;
}

int keys_erasure(struct keys *k, const uint8_t erasure[KEYS_ERASURE_BYTES]) {
    sqlite3_stmt *s;
    int rc = keys_run(k, KEYS_ERASURE_GET, &s, "b", erasure, (size_t)KEYS_ERASURE_BYTES);
    if (!rc)
        keys_done(s);
    return rc;
}

/* ---- the ledger's checkpoint ---- */

int keys_checkpoint_set(struct keys *k, const void *note, size_t len) {
    if (len > KEYS_NOTE_MAX)
        return ERR_LIMIT;
    return keys_run(k, KEYS_CHECKPOINT_SET, NULL, "bn", note, len, ++k->version);
}

int keys_checkpoint(struct keys *k, size_t i, char ret_note[KEYS_NOTE_MAX], size_t *ret_len) {
    if (i > k->replica_count)
        return ERR_NOTFOUND;
    if (i) {
        const struct replica *r = &k->replicas[i - 1];
        memcpy(ret_note, r->note, r->note_len);
        *ret_len = r->note_len;
        return r->note_len ? 0 : ERR_AGAIN;
    }
    return keys_checkpoint_of(k, "main", ret_note, ret_len);
}
