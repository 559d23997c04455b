/*
 * Rows that are not there (verify_int.h): which of them may be missing. A retention in the ledger says
 * of how many rows of a table's partition it was; that many may be gone, of that table and month, and no
 * row more.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "read/verify/verify_int.h"

#define KEPT_MAX 65536 /* rows that are remembered singly */

uint32_t drops_month_of(uint64_t time_us) {
    const time_t s = (time_t)(time_us / 1000000);
    struct tm t;
    return gmtime_r(&s, &t) ? (uint32_t)(t.tm_year + 1900) * 100 + (uint32_t)t.tm_mon + 1 : 0;
}

bool drops_retained(const struct book *b, int table, const struct shape_row *r) {
    const uint32_t month = drops_month_of(shape_time_us(r));
    for (size_t i = 0; i < b->drop_count; i++)
        if (b->drops[i].month == month && strcmp(b->drops[i].table, shape_of(table)->table) == 0)
            return true;
    return false;
}

bool drops_leaves_retained(const struct book *b, uint32_t month) {
    for (size_t i = 0; i < b->drop_count; i++)
        if (b->drops[i].month == month && strcmp(b->drops[i].table, "leaves") == 0)
            return true;
    return false;
}

struct month_rows *drops_month(struct drops *d, int table, uint32_t month) {
    const size_t n = d->month_count[table];
    for (size_t i = 0; i < n; i++)
        if (d->months[table][i].month == month)
            return &d->months[table][i];
    struct month_rows *more = reallocarray(d->months[table], n + 1, sizeof *more);
    if (!more)
        return NULL;
    d->months[table] = more;
    more[n] = (struct month_rows){.month = month};
    d->month_count[table]++;
    return &more[n];
}

static bool is_of(const struct book_drop *d, int table, uint32_t month) {
    return d->month == month && strcmp(d->table, table ? shape_of(table)->table : "leaves") == 0;
}

unsigned drops_before(const struct book *b, int table, uint32_t month, uint64_t at) {
    unsigned n = 0;
    for (size_t i = 0; i < b->drop_count; i++)
        n += b->drops[i].at < at && is_of(&b->drops[i], table, month);
    return n;
}

int drops_missing(struct drops *d, const struct missing_row *r) {
    struct month_rows *m = drops_month(d, r->table, r->month);
    if (!m)
        return ERR_NOMEM;
    m->late[r->before < DROPS_TOLD ? r->before : DROPS_TOLD - 1]++;
    m->missing += r->table ? 1 : 0;
    m->batches += r->table ? 0 : 1;
    m->rows += r->rows;
    if (d->count == KEPT_MAX)
        return 0;
    if (d->count == d->room) {
        size_t room = d->room ? 2 * d->room : 256;
        struct missing_row *more = reallocarray(d->rows, room, sizeof *more);
        if (!more)
            return ERR_NOMEM;
        d->rows = more;
        d->room = room;
    }
    d->rows[d->count++] = *r;
    return 0;
}

void drops_done(struct drops *d) {
    free(d->rows);
    for (int t = 0; t <= SHAPE_TABLES; t++)
        free(d->months[t]);
}

/* How many rows the retentions let go, but for the first few of them; of table 0, how many batches with
 * all that is known of them. They stand in the order of the ledger. */
static uint64_t lawful(const struct book *b, int table, uint32_t month, unsigned skip) {
    uint64_t n = 0;
    for (size_t i = 0; i < b->drop_count; i++) {
        const struct book_drop *d = &b->drops[i];
        if (!is_of(d, table, month) || (skip && skip--))
            continue;
        if (d->rows >= d->held)
            n += d->rows - d->held;
    }
    return n;
}

/* A row goes under a retention that was noted after its batch. So of those whose batches came after the
 * first n retentions no more may be missing than the others let go. */
static bool in_order(const struct book *b, int table, const struct month_rows *m) {
    uint64_t late = 0;
    for (unsigned n = DROPS_TOLD; n-- > 1;) {
        late += m->late[n];
        if (late > lawful(b, table, m->month, n))
            return false;
    }
    return true;
}

static void tell_rows(struct verify *v, int table, uint32_t month) {
    for (size_t i = 0; i < v->drops.count; i++) {
        const struct missing_row *r = &v->drops.rows[i];
        if (r->table != table || r->month != month)
            continue;
        if (table)
            verify_say_at(v, VERIFY_ROW_MISSING, shape_of(table)->table, r->sealer, r->batch, r->index,
                          "it is not there, and no retention in the ledger let it go");
        else
            verify_say_at(v, VERIFY_BATCH_MISSING, NULL, r->sealer, r->batch, VERIFY_NO_INDEX,
                          "none of its %" PRIu32 " rows is there, and no retention in the ledger let "
                          "them go", r->rows);
    }
}

static void judge_month(struct verify *v, const struct book *b, int table,
                        const struct month_rows *m) {
    const uint64_t may = lawful(b, table, m->month, 0), missing = table ? m->missing : m->batches;
    const bool late = !in_order(b, table, m);
    if (missing <= may && !late) {
        v->totals->gone += m->rows;
        return;
    }
    const char *name = table ? shape_of(table)->table : "leaves";
    if (table && !m->there && !may) {
        verify_say(v, VERIFY_PARTITION_DROPPED, "table %s, partition %" PRIu32 ": its %" PRIu64
                   " rows are gone, and no retention in the ledger let them go", name, m->month,
                   missing);
        return;
    }
    if (may && late)
        verify_say(v, VERIFY_PARTITION_DROPPED, "table %s, partition %" PRIu32 ": rows are gone of batches "
                   "that were noted after the retention that would have let them go", name, m->month);
    else if (may)
        verify_say(v, VERIFY_PARTITION_DROPPED, "table %s, partition %" PRIu32 ": %" PRIu64
                   " rows are gone, and retentions in the ledger let %" PRIu64 " go", name, m->month,
                   missing, may);
    else
        tell_rows(v, table, m->month);
}

int drops_judge(struct verify *v, const struct book *b, uint64_t *ret_interactions) {
    *ret_interactions = 0;
    for (int t = 0; t <= SHAPE_TABLES; t++)
        for (size_t i = 0; i < v->drops.month_count[t]; i++) {
            const struct month_rows *m = &v->drops.months[t][i];
            if (t == SHAPE_INTERACTIONS || t == 0)
                *ret_interactions += m->rows;
            if (m->rows)
                judge_month(v, b, t, m);
        }
    return 0;
}
