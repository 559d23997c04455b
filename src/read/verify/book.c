/*
 * What the ledger says that the log must have (verify_int.h): batches, retentions, high-water marks, in
 * memory without their hashes, which are read again from the file when they are needed. What an entry
 * says counts once a checkpoint covers it.
 *
 * Here the ledger is also held against the checkpoints that were kept elsewhere (kept.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/err.h"
#include "read/verify/verify_int.h"

#define BATCH_FIELDS 116
#define MARK_BYTES 20

struct reading {
    struct verify *v;
    struct book *b;
    bool tell;
    struct kept kept;
};

/* ---- growing arrays ---- */

static int room_for_one(void **p, size_t count, size_t *room, size_t size) {
    if (count < *room)
        return 0;
    size_t more = *room ? 2 * *room : 256;
    void *q = reallocarray(*p, more, size);
    if (!q)
        return ERR_NOMEM;
    *p = q;
    *room = more;
    return 0;
}

/* ---- entries ---- */

static int take_batch(struct reading *g, const struct journal_leaf *l) {
    struct book *b = g->b;
    if (l->len < BATCH_FIELDS)
        return ERR_SYNTAX;
    void *p = b->batches;
    int rc = room_for_one(&p, b->count, &b->room, sizeof *b->batches);
    b->batches = p;
    if (!rc)
        b->batches[b->count++] = (struct book_batch){.sealer = get_u64(l->fields),
                                                     .number = get_u64(l->fields + 8),
                                                     .rows = get_u32(l->fields + 16),
                                                     .at = l->at,
                                                     .time_us = l->time_us};
    return rc;
}

static int take_marks(struct reading *g, const struct journal_leaf *l) {
    struct book *b = g->b;
    const size_t n = l->len >= 10 ? get_u16(l->fields + 8) : SIZE_MAX;
    if (n == SIZE_MAX || (l->len - 10) / MARK_BYTES < n)
        return ERR_SYNTAX;
    int rc = 0;
    for (size_t i = 0; !rc && i < n; i++) {
        const uint8_t *p = l->fields + 10 + i * MARK_BYTES;
        void *marks = b->marks;
        rc = room_for_one(&marks, b->mark_count, &b->mark_room, sizeof *b->marks);
        b->marks = marks;
        if (!rc)
            b->marks[b->mark_count] = (struct book_mark){.epoch = get_u64(p),
                                                         .highest = get_u64(p + 8),
                                                         .open = get_u32(p + 16),
                                                         .order = b->mark_count};
        b->mark_count += !rc;
    }
    return rc;
}

static bool take_s8(const uint8_t **p, size_t *left, char *out, size_t size) {
    if (*left < 1 || *left - 1 < **p || **p >= size)
        return false;
    memcpy(out, *p + 1, **p);
    out[**p] = 0;
    *left -= 1 + (size_t)**p;
    *p += 1 + **p;
    return true;
}

/* s8 table | s8 partition | i64 from | i64 to | u64 rows | u64 of them held | s8 policy */
static int take_drop(struct reading *g, const struct journal_leaf *l) {
    struct book *b = g->b;
    struct book_drop d = {.at = l->at};
    char partition[16], *end;
    const uint8_t *p = l->fields;
    size_t left = l->len;
    if (!take_s8(&p, &left, d.table, sizeof d.table) ||
        !take_s8(&p, &left, partition, sizeof partition) || left < 32)
        return ERR_SYNTAX;
    d.month = (uint32_t)strtoul(partition, &end, 10);
    if (*end || end == partition)
        return ERR_SYNTAX;
    d.rows = get_u64(p + 16);
    d.held = get_u64(p + 24);
    void *drops = b->drops;
    int rc = room_for_one(&drops, b->drop_count, &b->drop_room, sizeof *b->drops);
    b->drops = drops;
    if (!rc)
        b->drops[b->drop_count++] = d;
    return rc;
}

static int on_leaf(void *arg, const struct journal_leaf *l) {
    struct reading *g = arg;
    int rc = 0;
    if (l->kind == JOURNAL_BATCH)
        rc = take_batch(g, l);
    else if (l->kind == JOURNAL_MARK)
        rc = take_marks(g, l);
    else if (l->kind == JOURNAL_RETENTION)
        rc = take_drop(g, l);
    else if (l->kind == 0 || l->kind > JOURNAL_KINDS)
        rc = ERR_VERSION;
    if ((rc == ERR_SYNTAX || rc == ERR_VERSION) && g->tell)
        verify_say(g->v, rc == ERR_SYNTAX ? VERIFY_LEDGER_DAMAGED : VERIFY_LEDGER_UNKNOWN,
                   "entry %" PRIu64 " (%s) %s", l->index, journal_kind_name(l->kind),
                   rc == ERR_SYNTAX ? "has not the fields of its kind"
                                    : "is of a kind that this version does not know");
    return rc == ERR_NOMEM ? rc : 0;
}

static void on_confirmed(void *arg) {
    struct book *b = ((struct reading *)arg)->b;
    b->sure = b->count;
    b->mark_sure = b->mark_count;
    b->drop_sure = b->drop_count;
}

static void on_fault(void *arg, enum journal_fault f, uint64_t at, uint64_t index) {
    static const struct {
        enum verify_kind kind;
        const char *text;
    } rows[] = {
        [JOURNAL_DAMAGED] = {VERIFY_LEDGER_DAMAGED, "nothing from here on can be read"},
        [JOURNAL_LEAF] = {VERIFY_LEDGER_DAMAGED, "this is no entry, or one of another place"},
        [JOURNAL_TIME] = {VERIFY_LEDGER_TIME, "it is older than the one before"},
        [JOURNAL_PART] = {VERIFY_LEDGER_DAMAGED, "what is sealed in it is not what was written"},
        [JOURNAL_SIZE] = {VERIFY_LEDGER_ROOT, "the checkpoint here counts other entries"},
        [JOURNAL_ROOT] = {VERIFY_LEDGER_ROOT, "the entries before it are not those that the "
                                              "checkpoint here was made of"},
        [JOURNAL_SIGNATURE] = {VERIFY_LEDGER_SIGNATURE, "the checkpoint here is not signed by the "
                                                        "ledger's key"},
    };
    struct reading *g = arg;
    if (g->tell)
        verify_say(g->v, rows[f].kind, "entry %" PRIu64 ", byte %" PRIu64 " of ledger.log: %s", index,
                   at, rows[f].text);
}

static void on_size(void *arg, const struct tree *t) {
    struct reading *g = arg;
    kept_size(g->v, &g->kept, t);
}

static void on_progress(void *arg, uint64_t done, uint64_t all) {
    verify_progress(((struct reading *)arg)->v, "ledger", done, all);
}

/* ---- reading ---- */

static int by_number(const void *x, const void *y) {
    const struct book_batch *a = x, *b = y;
    if (a->sealer != b->sealer)
        return a->sealer < b->sealer ? -1 : 1;
    if (a->number != b->number)
        return a->number < b->number ? -1 : 1;
    return a->at < b->at ? -1 : a->at > b->at;
}

static int by_epoch(const void *x, const void *y) {
    const struct book_mark *a = x, *b = y;
    if (a->epoch != b->epoch)
        return a->epoch < b->epoch ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

/* Of marks of one epoch the last counts. */
static void last_marks(struct book *b) {
    size_t kept = 0;
    if (b->mark_sure)
        qsort(b->marks, b->mark_sure, sizeof *b->marks, by_epoch);
    for (size_t i = 0; i < b->mark_sure; i++) {
        if (kept && b->marks[kept - 1].epoch == b->marks[i].epoch)
            kept--;
        b->marks[kept++] = b->marks[i];
    }
    b->mark_count = kept;
}

static void drop_doubles(struct reading *g) {
    struct book *b = g->b;
    size_t kept = 0;
    for (size_t i = 0; i < b->count; i++) {
        const struct book_batch *x = &b->batches[i];
        if (kept && b->batches[kept - 1].sealer == x->sealer &&
            b->batches[kept - 1].number == x->number) {
            if (g->tell)
                verify_say_at(g->v, VERIFY_LEDGER_BATCH_TWICE, NULL, x->sealer, x->number,
                              VERIFY_NO_INDEX, "the ledger has it twice");
            continue;
        }
        b->batches[kept++] = *x;
    }
    b->count = kept;
}

static int open_ledger(struct reading *g) {
    char path[4096];
    if (snprintf(path, sizeof path, "%s/vault/ledger.log", g->v->spec->dir) >= (int)sizeof path)
        return ERR_LIMIT;
    g->b->fd = verify_open(AT_FDCWD, path);
    return g->b->fd < 0 ? g->b->fd : 0;
}

int book_read(struct verify *v, struct book *b, bool tell) {
    *b = (struct book){.fd = -1};
    struct reading g = {.v = v, .b = b, .tell = tell};
    const struct journal_reader reader = {.leaf = on_leaf,
                                          .confirmed = on_confirmed,
                                          .fault = on_fault,
                                          .size = on_size,
                                          .progress = on_progress,
                                          .arg = &g};
    int rc = kept_init(v, &g.kept);
    if (!rc)
        rc = open_ledger(&g);
    if (!rc)
        rc = journal_read(b->fd, &reader, &b->end);
    if (!rc) {
        b->count = b->sure;
        b->drop_count = b->drop_sure;
        if (b->count)
            qsort(b->batches, b->count, sizeof *b->batches, by_number);
        drop_doubles(&g);
        last_marks(b);
    }
    if (!rc && tell)
        kept_judge(v, &g.kept, &b->end);
    kept_done(&g.kept);
    if (rc && rc != ERR_NOMEM) {
        if (tell)
            verify_say(v, VERIFY_LEDGER_MISSING, "vault/ledger.log is no ledger that can be read (%s): "
                       "restore it, the newest copy that there is", err_text(rc));
        rc = ERR_NOTFOUND;
    }
    return rc;
}

void book_done(struct book *b) {
    if (b->fd >= 0)
        close(b->fd);
    free(b->batches);
    free(b->marks);
    free(b->drops);
}

int book_refresh_drops(struct verify *v, struct book *b) {
    struct book now;
    int rc = book_read(v, &now, false);
    if (!rc) {
        struct book_drop *drops = b->drops;
        b->drops = now.drops;
        b->drop_count = now.drop_count;
        now.drops = drops;
    }
    book_done(&now);
    return rc;
}

size_t book_lower(const struct book *b, uint64_t sealer, uint64_t number) {
    size_t from = 0, to = b->count;
    while (from < to) {
        size_t mid = from + (to - from) / 2;
        const struct book_batch *x = &b->batches[mid];
        if (x->sealer < sealer || (x->sealer == sealer && x->number < number))
            from = mid + 1;
        else
            to = mid;
    }
    return from;
}

int book_fields(const struct book *b, size_t i, struct book_fields *ret) {
    uint8_t p[BATCH_FIELDS];
    ssize_t n = pread(b->fd, p, sizeof p, (off_t)b->batches[i].at);
    if (n != sizeof p)
        return ERR_IO;
    ret->sealer = get_u64(p);
    ret->number = get_u64(p + 8);
    ret->rows = get_u32(p + 16);
    memcpy(ret->previous, p + 20, SHA_BYTES);
    memcpy(ret->root, p + 52, SHA_BYTES);
    memcpy(ret->commitment, p + 84, SHA_BYTES);
    return 0;
}

/* ---- chains ---- */

static void check_commitment(struct verify *v, const struct book_fields *f) {
    static const char label[] = "safehouse batch 1";
    uint8_t p[8 + 8 + SHA_BYTES + 4 + SHA_BYTES], hash[SHA_BYTES];
    put_u64(p, f->sealer);
    put_u64(p + 8, f->number);
    memcpy(p + 16, f->previous, SHA_BYTES);
    put_u32(p + 48, f->rows);
    memcpy(p + 52, f->root, SHA_BYTES);
    sha_two(hash, label, sizeof label - 1, p, sizeof p);
    if (memcmp(hash, f->commitment, sizeof hash) != 0)
        verify_say_at(v, VERIFY_BATCH_CHAIN, NULL, f->sealer, f->number, VERIFY_NO_INDEX,
                      "its commitment is not that of its number, rows and root");
}

int book_check_chains(struct verify *v, const struct book *b) {
    static const uint8_t zero[SHA_BYTES];
    struct book_fields f, before = {0};
    for (size_t i = 0; i < b->count; i++) {
        int rc = book_fields(b, i, &f);
        if (rc)
            return rc;
        const bool same = i && before.sealer == f.sealer;
        const uint64_t next = same ? before.number + 1 : 1;
        if (f.number > next && !spool_list_excuses(&v->spool, f.sealer, next, NULL))
            verify_say_at(v, VERIFY_BATCH_GAP, NULL, f.sealer, next, VERIFY_NO_INDEX,
                          "the ledger has batch %" PRIu64 " of this sealer, and not %s before it",
                          f.number, f.number == next + 1 ? "the one" : "those");
        if (f.number == next && memcmp(f.previous, same ? before.commitment : zero, SHA_BYTES) != 0)
            verify_say_at(v, VERIFY_BATCH_CHAIN, NULL, f.sealer, f.number, VERIFY_NO_INDEX,
                          "it was made after another batch than the one that the ledger has before "
                          "it");
        check_commitment(v, &f);
        before = f;
    }
    return 0;
}
