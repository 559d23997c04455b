/*
 * Retention's two questions to the vault (doc/retention.md): who is held, and that the ledger may
 * have that a month goes. A locked vault answers both, as long as it knows who is who. Nothing is noted on
 * an answer that is no longer true: a hold that came in between is for the next run.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/err.h"
#include "proc/vault/vault.h"
#include "record/rows.h"

static int tell_held(struct vault *v) {
    struct keys_counts counts;
    struct buf b;
    uint8_t head[4] = {0};
    buf_init(&b, LIMIT_FRAME);
    keys_counts(v->keys, &counts);
    int rc = counts.holds && counts.pending ? ERR_AGAIN : v->stale ? ERR_DENIED : 0;
    if (!rc)
        rc = buf_append(&b, head, sizeof head);
    if (!rc)
        rc = keys_held(v->keys, &b);
    v->holds_changed = false;
    if (rc) {
        buf_clear(&b);
        put_u32(head, (uint32_t)rc);
        rc = buf_append(&b, head, sizeof head);
    }
    rc = rc ? rc : peer_send(v->child.supervisor, MSG_HOLDS_ARE, b.p, b.len, -1);
    buf_wipe(&b);
    return rc;
}

/* The first moment of a month, µs since 1970; of the 13th that of the next year. */
static int64_t begins(uint32_t month) {
    struct tm t = {.tm_year = (int)(month / 100) - 1900, .tm_mon = (int)(month % 100) - 1, .tm_mday = 1};
    return (int64_t)timegm(&t) * 1000000;
}

static int put_string(struct buf *b, const char *text) {
    const size_t n = strlen(text);
    int rc = n > UINT8_MAX ? ERR_LIMIT : buf_append_u8(b, (uint8_t)n);
    return rc ? rc : buf_append(b, text, n);
}

static int put_number(struct buf *b, uint64_t n) {
    uint8_t p[8];
    put_u64(p, n);
    return buf_append(b, p, sizeof p);
}

/* s8 table | s8 partition | i64 from | i64 to | u64 rows | u64 of them held | s8 policy */
static int note(struct vault *v, const uint8_t *p) {
    const uint32_t month = get_u32(p + 1);
    char partition[16], policy[40];
    struct buf b;
    buf_init(&b, LEDGER_FIELDS_MAX);
    snprintf(partition, sizeof partition, "%u", month);
    snprintf(policy, sizeof policy, "%u days%s", get_u32(p + 21),
             p[0] & ROWS_COPIES ? ", after a hold" : "");
    int rc = put_string(&b, rows_table_name((enum rows_table)(p[0] & ~ROWS_COPIES)));
    if (!rc)
        rc = put_string(&b, partition);
    if (!rc)
        rc = put_number(&b, (uint64_t)begins(month));
    if (!rc)
        rc = put_number(&b, (uint64_t)begins(month + 1));
    if (!rc)
        rc = put_number(&b, get_u64(p + 5));
    if (!rc)
        rc = put_number(&b, get_u64(p + 13));
    if (!rc)
        rc = put_string(&b, policy);
    const struct ledger_draft d = {.kind = LEDGER_RETENTION, .fields = b.p, .fields_len = b.len};
    if (!rc)
        rc = v->ledger && !v->stale ? ledger_append(v->ledger, &d, NULL) : ERR_IO;
    if (!rc)
        rc = ledger_sync(v->ledger);
    buf_wipe(&b);
    return rc;
}

int retain_frame(struct vault *v, const struct frame *f) {
    uint8_t answer[4];
    if (f->msg == MSG_HOLDS)
        return tell_held(v);
    const int table = f->len == 25 ? f->p[0] & ~ROWS_COPIES : 0;
    const bool right = table >= ROWS_TURNS && table <= ROWS_FINDINGS;
    put_u32(answer, (uint32_t)(!right ? ERR_SYNTAX : v->holds_changed ? ERR_AGAIN : note(v, f->p)));
    return peer_send(v->child.supervisor, MSG_RETENTION_IS, answer, sizeof answer, -1);
}
