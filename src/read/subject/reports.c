/*
 * Reports from outside, in vault.db: sealed to the opening key by the sealer, so that a locked
 * vault keeps them, and nobody reads one without it. What was answered is sealed likewise. Numbers,
 * times and sizes are in clear: a locked vault reminds of those that wait.
 */
#include <sodium.h>
#include <string.h>

#include "base/err.h"
#include "base/limits.h"
#include "read/subject/keys_int.h"

static int count(struct keys *k, uint64_t *ret_all, uint32_t *ret_waiting, uint64_t *ret_since_us) {
    sqlite3_stmt *s;
    int rc = keys_run(k, KEYS_REPORT_COUNT, &s, "");
    if (rc)
        return rc;
    *ret_all = (uint64_t)sqlite3_column_int64(s, 0);
    *ret_waiting = (uint32_t)sqlite3_column_int64(s, 1);
    *ret_since_us = (uint64_t)sqlite3_column_int64(s, 2);
    keys_done(s);
    return 0;
}

int keys_report_waiting(struct keys *k, uint32_t *ret_count, uint64_t *ret_since_us) {
    uint64_t all;
    return count(k, &all, ret_count, ret_since_us);
}

static int make_room(struct keys *k) {
    uint64_t all, since;
    uint32_t waiting;
    int rc = count(k, &all, &waiting, &since);
    if (rc || all < LIMIT_REPORTS)
        return rc;
    return waiting >= LIMIT_REPORTS ? ERR_FULL : keys_run(k, KEYS_REPORT_ROOM, NULL, "");
}

int keys_report_add(struct keys *k, const struct keys_report *r, const uint8_t *box, size_t len) {
    int rc = make_room(k);
    if (rc)
        return rc;
    return keys_run(k, KEYS_REPORT_ADD, NULL, "bnnbbn", r->number, sizeof r->number, r->came_us,
                    (uint64_t)r->bytes, r->hash, sizeof r->hash, box, len, ++k->version);
}

int keys_report_noted(struct keys *k, const uint8_t number[KEYS_REPORT_NUMBER]) {
    return keys_run(k, KEYS_REPORT_NOTED, NULL, "nb", ++k->version, number,
                    (size_t)KEYS_REPORT_NUMBER);
}

/* The statement is at its row: the caller ends it. */
static int find(struct keys *k, const uint8_t number[KEYS_REPORT_NUMBER], sqlite3_stmt **ret) {
    return keys_run(k, KEYS_REPORT_GET, ret, "b", number, (size_t)KEYS_REPORT_NUMBER);
}

int keys_report_get(struct keys *k, const uint8_t number[KEYS_REPORT_NUMBER],
                    struct keys_report *ret) {
    sqlite3_stmt *s;
    int rc = find(k, number, &s);
    if (rc)
        return rc;
    memcpy(ret->number, number, sizeof ret->number);
    ret->noted = sqlite3_column_int64(s, 0) != 0;
    ret->came_us = (uint64_t)sqlite3_column_int64(s, 1);
    ret->bytes = (uint32_t)sqlite3_column_int64(s, 2);
    rc = keys_column(s, 3, ret->hash, sizeof ret->hash);
    ret->answered_us = (uint64_t)sqlite3_column_int64(s, 4);
    keys_done(s);
    return rc;
}

/* A sealed column, opened; a NULL is nothing. */
static int open_column(struct keys *k, sqlite3_stmt *s, int column, struct buf *out) {
    const uint8_t *box = sqlite3_column_blob(s, column);
    const size_t len = (size_t)sqlite3_column_bytes(s, column);
    if (!box)
        return 0;
    if (len < crypto_box_SEALBYTES)
        return ERR_CORRUPT;
    int rc = buf_reserve(out, len - crypto_box_SEALBYTES);
    if (!rc)
        rc = keys_unseal(k, out->p + out->len, box, len);
    if (!rc)
        out->len += len - crypto_box_SEALBYTES;
    return rc;
}

int keys_report_open(struct keys *k, const uint8_t number[KEYS_REPORT_NUMBER], struct buf *text,
                     struct buf *answer) {
    sqlite3_stmt *s;
    if (!k->open)
        return ERR_LOCKED;
    int rc = find(k, number, &s);
    if (rc)
        return rc;
    rc = open_column(k, s, 5, text);
    if (!rc && answer)
        rc = open_column(k, s, 6, answer);
    keys_done(s);
    return rc;
}

int keys_report_answer(struct keys *k, const uint8_t number[KEYS_REPORT_NUMBER], const char *answer,
                       size_t len, uint64_t now_us) {
    uint8_t sealed[LIMIT_REASON + crypto_box_SEALBYTES];
    struct keys_report r;
    if (len > LIMIT_REASON)
        return ERR_LIMIT;
    int rc = keys_report_get(k, number, &r);
    if (rc || r.answered_us)
        return rc ? rc : ERR_EXISTS;
    if (crypto_box_seal(sealed, (const uint8_t *)answer, len, k->opening_public))
        return ERR_CORRUPT;
    return keys_run(k, KEYS_REPORT_ANSWER, NULL, "nbnb", now_us, sealed, len + crypto_box_SEALBYTES,
                    ++k->version, number, (size_t)KEYS_REPORT_NUMBER);
}

int keys_report_each(struct keys *k, keys_report_fn *fn, void *arg) {
    struct keys_report r = {0};
    sqlite3_stmt *s;
    uint64_t at = 0;
    int rc;
    while ((rc = keys_run(k, KEYS_REPORT_EACH, &s, "n", at)) == 0) {
        at = (uint64_t)sqlite3_column_int64(s, 0);
        r.came_us = (uint64_t)sqlite3_column_int64(s, 2);
        r.bytes = (uint32_t)sqlite3_column_int64(s, 3);
        r.answered_us = (uint64_t)sqlite3_column_int64(s, 5);
        rc = keys_column(s, 1, r.number, sizeof r.number);
        if (!rc)
            rc = keys_column(s, 4, r.hash, sizeof r.hash);
        keys_done(s);
        if (rc || (rc = fn(arg, &r)) != 0)
            return rc;
    }
    return rc == ERR_NOTFOUND ? 0 : rc;
}
