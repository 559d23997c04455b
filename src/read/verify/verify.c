/*
 * One run of verify (verify.h), and what its parts share. The order matters on a running installation:
 * ledger, then rows, then spool, then what failed once more. What left the spool by then is in the
 * store; what the ledger did not have yet is looked for in it again.
 */
#include "read/verify/verify.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "read/verify/verify_int.h"

#define MARK_MAX (1ull << 36) /* exchanges of one worker */
#define LISTED 5              /* numbers that are named */

static const struct {
    const char *name;
    enum verify_level level;
} kinds[VERIFY_KIND_COUNT] = {
#define VERIFY_ROW_(kind, name, level) {name, level},
    VERIFY_KINDS(VERIFY_ROW_)
#undef VERIFY_ROW_
};

const char *verify_kind_name(enum verify_kind k) {
    return kinds[k].name;
}

enum verify_level verify_kind_level(enum verify_kind k) {
    return kinds[k].level;
}

/* ---- telling ---- */

void verify_tell(struct verify *v, const struct verify_finding *f) {
    struct verify_totals *t = v->totals;
    const enum verify_level level = verify_kind_level(f->kind);
    *(level == VERIFY_FOUND ? &t->found : level == VERIFY_PENDING ? &t->pending : &t->part) += 1;
    if (v->told[f->kind]++ < VERIFY_TOLD_MAX)
        v->spec->report(v->spec->arg, f);
}

void verify_say(struct verify *v, enum verify_kind kind, const char *fmt, ...) {
    struct verify_finding f = {.kind = kind, .index = VERIFY_NO_INDEX};
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(f.text, sizeof f.text, fmt, ap);
    va_end(ap);
    verify_tell(v, &f);
}

void verify_say_at(struct verify *v, enum verify_kind kind, const char *table, uint64_t sealer,
                   uint64_t batch, uint32_t index, const char *fmt, ...) {
    struct verify_finding f = {.kind = kind,
                               .table = table,
                               .placed = true,
                               .sealer = sealer,
                               .batch = batch,
                               .index = index};
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(f.text, sizeof f.text, fmt, ap);
    va_end(ap);
    verify_tell(v, &f);
}

void verify_progress(struct verify *v, const char *what, uint64_t done, uint64_t all) {
    if (v->spec->progress)
        v->spec->progress(v->spec->arg, what, done, all);
}

static void tell_more(struct verify *v) {
    for (int k = 0; k < VERIFY_KIND_COUNT; k++)
        if (v->told[k] > VERIFY_TOLD_MAX)
            verify_say(v, VERIFY_MANY, "%" PRIu64 " more findings are %s", v->told[k] - VERIFY_TOLD_MAX,
                       verify_kind_name((enum verify_kind)k));
}

/* ---- asking ---- */

int verify_ask(struct verify *v, const char *format, const char *sql, verify_sink *sink, void *arg) {
    return v->spec->query(v->spec->query_arg, format, sql, strlen(sql), sink, arg);
}

static int rows_of(struct verify *v, int t, const char *condition, shape_fn *fn, void *arg) {
    struct shape_stream s;
    struct buf sql;
    buf_init(&sql, LIMIT_SQL);
    shape_stream_init(&s, t, fn, arg);
    int rc = buf_append_str(&sql, "SELECT ");
    if (!rc)
        rc = shape_names(s.shape, &sql);
    if (!rc)
        rc = buf_printf(&sql, " FROM %s%s WHERE %s", v->in_held ? "held_" : "", s.shape->table,
                        condition);
    if (!rc)
        rc = buf_append_u8(&sql, 0);
    if (!rc)
        rc = verify_ask(v, "RowBinary", (const char *)sql.p, shape_stream_feed, &s);
    if (s.malformed) /* whoever put it there may not keep the rest from being named */
        verify_say(v, VERIFY_ROW_ADDED, "table %s%s has a row that is longer, or of another form, than any "
                   "that is written", v->in_held ? "held_" : "", s.shape->table);
    const int end = shape_stream_end(&s);
    rc = rc ? rc : end;
    buf_wipe(&sql);
    return rc;
}

int verify_rows(struct verify *v, int t, const char *condition, shape_fn *fn, void *arg) {
    int rc = rows_of(v, t, condition, fn, arg);
    if (!rc && v->has_held[t]) {
        v->in_held = true;
        rc = rows_of(v, t, condition, fn, arg);
        v->in_held = false;
    }
    return rc;
}

/* ---- exchanges ---- */

/* More numbers have no row than were open, and than rows of interactions are known to be missing. */
static void judge_exchanges(struct verify *v, const struct book *b, uint64_t rows_missing,
                            bool *ret_look_again, bool tell) {
    uint64_t absent = 0, open = 0, first[LISTED];
    size_t listed;
    v->totals->exchanges = 0;
    for (size_t i = 0; i < b->mark_count; i++) {
        const struct book_mark *m = &b->marks[i];
        const uint64_t highest = m->highest < MARK_MAX ? m->highest : MARK_MAX;
        const uint64_t gone = exchanges_absent(&v->exchanges, m->epoch, highest, first, 0, &listed);
        v->totals->exchanges += highest;
        absent += gone > m->open ? gone - m->open : 0;
        open += gone < m->open ? gone : m->open;
    }
    *ret_look_again = absent > rows_missing;
    if (!tell)
        return;
    if (open)
        verify_say(v, VERIFY_EXCHANGE_OPEN, "%" PRIu64 " exchanges were on their way when the ledger "
                   "counted them last, and have no row yet", open);
    for (size_t i = 0; absent > rows_missing && i < b->mark_count; i++) {
        const struct book_mark *m = &b->marks[i];
        char list[LISTED * 24] = "";
        const uint64_t highest = m->highest < MARK_MAX ? m->highest : MARK_MAX;
        const uint64_t gone =
            exchanges_absent(&v->exchanges, m->epoch, highest, first, LISTED, &listed);
        if (gone <= m->open)
            continue;
        for (size_t k = 0, n = 0; k < listed; k++)
            n += (size_t)snprintf(list + n, sizeof list - n, "%s%" PRIu64, k ? ", " : "", first[k]);
        verify_say(v, VERIFY_EXCHANGE_MISSING, "%" PRIu64 " exchanges of worker epoch %" PRIu64
                   " never became rows: number %s%s", gone - m->open, m->epoch, list,
                   gone > listed ? ", ..." : "");
    }
}

/* ---- the run ---- */

static int by_place(const void *x, const void *y) {
    const struct strange *a = x, *b = y;
    if (a->sealer != b->sealer)
        return a->sealer < b->sealer ? -1 : 1;
    return a->batch < b->batch ? -1 : a->batch > b->batch;
}

static size_t sort_once(struct strange *list, size_t n) {
    size_t kept = 0;
    if (n)
        qsort(list, n, sizeof *list, by_place);
    for (size_t i = 0; i < n; i++)
        if (!kept || by_place(&list[kept - 1], &list[i]) != 0)
            list[kept++] = list[i];
    return kept;
}

static bool knows(const struct book *b, uint64_t sealer, uint64_t number, size_t *ret) {
    *ret = book_lower(b, sealer, number);
    return *ret < b->count && b->batches[*ret].sealer == sealer &&
           b->batches[*ret].number == number;
}

static int examine_failing(struct verify *v, const struct book *b) {
    int rc = 0;
    size_t i, n = sort_once(v->failing, v->failing_count);
    for (size_t k = 0; !rc && k < n; k++) {
        const struct strange *s = &v->failing[k];
        if (!knows(b, s->sealer, s->batch, &i))
            continue;
        if (v->examined++ < VERIFY_EXAMINED_MAX)
            rc = examine_batch(v, b, i);
        else
            verify_say_at(v, VERIFY_BATCH_CHANGED, NULL, s->sealer, s->batch, VERIFY_NO_INDEX,
                          "it is not as it was written; mend the others first, then it is looked at "
                          "row by row");
    }
    return rc;
}

/* `now` is the ledger as it is after the rows were read. */
static int examine_strange_ones(struct verify *v, const struct book *now) {
    int rc = 0;
    size_t i;
    v->strange_count = sort_once(v->strange, v->strange_count);
    for (size_t k = 0; !rc && k < v->strange_count; k++) {
        const struct strange *s = &v->strange[k];
        if (knows(now, s->sealer, s->batch, &i))
            rc = examine_batch(v, now, i);
        else if (spool_list_excuses(&v->spool, s->sealer, s->batch, NULL))
            continue; /* the vault will note it */
        else if (v->examined++ < VERIFY_EXAMINED_MAX)
            rc = examine_strange(v, now, s->sealer, s->batch);
        else
            verify_say_at(v, VERIFY_ROW_ADDED, NULL, s->sealer, s->batch, VERIFY_NO_INDEX,
                          "there are rows of this batch, and the ledger has no such batch");
    }
    return rc;
}

/* Batches that came while the rows were read. */
static int examine_new(struct verify *v, const struct book *before, const struct book *now) {
    size_t i;
    int rc = 0;
    for (size_t k = 0; !rc && k < now->count; k++) {
        const struct book_batch *x = &now->batches[k];
        const struct strange s = {x->sealer, x->number};
        if (!knows(before, x->sealer, x->number, &i) &&
            !(v->strange_count && bsearch(&s, v->strange, v->strange_count, sizeof s, by_place)))
            rc = examine_batch(v, now, k);
    }
    return rc;
}

/* Of a batch that the ledger has, are the rows in the spool those that were noted? */
static void tell_waiting(struct verify *v, const struct book *b, const struct spool_file *f) {
    struct book_fields fields;
    size_t i;
    if (f->ended && knows(b, f->sealer, f->number, &i) && book_fields(b, i, &fields) == 0 &&
        memcmp(fields.root, f->root, SHA_BYTES) != 0)
        verify_say_at(v, VERIFY_SPOOL_DAMAGED, NULL, f->sealer, f->number, VERIFY_NO_INDEX,
                      "its file in the spool has other rows than the ledger");
    else
        verify_say_at(v, VERIFY_SPOOL_WAITING, NULL, f->sealer, f->number, VERIFY_NO_INDEX,
                      "%" PRIu32 " rows wait in the spool%s", f->rows,
                      f->ended ? "" : "; the batch is not closed yet");
}

static void tell_spool(struct verify *v, const struct book *b) {
    for (size_t i = 0; i < v->spool.count; i++)
        if (v->spool.files[i].rows || v->spool.files[i].excuses)
            tell_waiting(v, b, &v->spool.files[i]);
}

/* The ledger once more, where something can only be told with what came to it in the meantime. */
static int look_again(struct verify *v, const struct book *b) {
    struct book now;
    int rc = book_read(v, &now, false);
    if (!rc)
        rc = examine_strange_ones(v, &now);
    if (!rc)
        rc = examine_new(v, b, &now);
    book_done(&now);
    return rc;
}

static int check_rows(struct verify *v, struct book *b) {
    uint64_t rows_missing = 0;
    bool again = false;
    int rc = tables_check(v);
    if (!rc)
        rc = window_run(v, b);
    if (!rc)
        rc = spool_list_read(v, &v->spool);
    if (!rc && (v->failing_count || v->drops.count)) /* a retention was noted before the first row went */
        rc = book_refresh_drops(v, b);
    if (!rc)
        rc = examine_failing(v, b);
    if (!rc)
        judge_exchanges(v, b, 0, &again, false);
    if (!rc && (v->strange_count || again))
        rc = look_again(v, b);
    if (rc)
        return rc;
    rc = changed_tell(v);
    if (!rc)
        rc = drops_judge(v, b, &rows_missing);
    if (!rc)
        judge_exchanges(v, b, rows_missing + v->interactions_changed, &again, true);
    return rc;
}

static void keep_newest(struct verify *v, const struct book *b) {
    const struct journal_end *e = &b->end;
    struct verify_note *n = &v->totals->newest;
    struct verify_note_key k;
    v->totals->entries = e->entries;
    v->totals->has_newest = true;
    verify_note_make(n, e->origin, e->entries, e->root);
    verify_note_key_make(&k, e->origin, e->public);
    snprintf(n->signatures[0].name, sizeof n->signatures[0].name, "%s", k.name);
    memcpy(n->signatures[0].id, k.id, sizeof k.id);
    memcpy(n->signatures[0].bytes, e->signature, 64);
    n->signatures[0].ed25519 = true;
    n->count = 1;
}

static void done(struct verify *v) {
    free(v->spool.files);
    free(v->strange);
    free(v->failing);
    exchanges_done(&v->exchanges);
    drops_done(&v->drops);
    changed_done(&v->changed);
}

int verify_run(const struct verify_spec *spec, struct verify_totals *ret) {
    struct verify v = {.spec = spec, .totals = ret};
    struct book b;
    memset(ret, 0, sizeof *ret);
    int rc = book_read(&v, &b, true);
    if (!rc) {
        keep_newest(&v, &b);
        rc = spec->query ? check_rows(&v, &b) : spool_list_read(&v, &v.spool);
        if (rc && rc != ERR_NOMEM) {
            verify_say(&v, VERIFY_STORE_UNREAD, "the rows could not be read to their end: %s",
                       err_text(rc));
            rc = 0;
        }
        if (!rc) {
            rc = book_check_chains(&v, &b);
            tell_spool(&v, &b);
        }
    }
    if (rc && rc != ERR_NOMEM && rc != ERR_NOTFOUND)
        verify_say(&v, VERIFY_STORE_UNREAD, "not all could be read: %s", err_text(rc));
    tell_more(&v);
    book_done(&b);
    done(&v);
    return rc == ERR_NOMEM ? rc : 0;
}
