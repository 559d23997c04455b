/*
 * A batch on its way from the sealer's spool file into the tables (doc/spool.md is the format).
 * Runs in safehouse-store's main thread.
 *
 * The whole file is read and checked before the first row goes anywhere: frames, their order, the
 * dense indexes' number, what the end frame says. Then each table gets its rows as one block, and
 * `leaves` one row: with it, verify can name the row of a batch that is not as it was, and check the
 * rest of a batch of which retention has dropped a table. After
 * an attempt whose answer got lost, the rows are counted: a table that has them all is skipped. The
 * engine's deduplication stands behind that, and completes a block of which a part (rows of another
 * month) is there already.
 */
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/limits.h"
#include "record/batch.h"
#include "store/store_int.h"

#define MAGIC "shspool1"
#define MAGIC_BYTES 8
#define CHECK_BYTES 8
#define HEADER_BYTES (MAGIC_BYTES + 8 + 8 + BATCH_HASH_BYTES)
#define HEAD_BYTES 8 /* of a frame */
#define END_BYTES (4 + 2 * BATCH_HASH_BYTES)
#define READ_BYTES (1u << 20)
/* The last unit may begin just below the limit, and frames have heads and checks. */
#define FILE_MAX (LIMIT_BATCH_BYTES + 2ull * LIMIT_SPOOL_FRAME)

enum frame_kind { FRAME_ROW = 1, FRAME_END, FRAME_EXCHANGE, FRAME_ASSIGNMENT };

#define LEAVES_MAX (LIMIT_BATCH_ROWS + 3)
#define TABLES (ROWS_TABLE_LAST + 2) /* numbers of them, STORE_LEAVES included */

struct batch {
    struct buf file;
    struct store_piece *rows[TABLES];
    size_t count[TABLES], room[TABLES];
    uint32_t total;
    uint64_t time_us; /* of the earliest row */
    struct buf tables, months, leaves; /* a number, a number, a hash for each row, in their order */
    struct buf leaf_row;
    bool ended;
};

static int read_file(int fd, struct buf *out) {
    for (;;) {
        int rc = buf_reserve(out, READ_BYTES);
        if (rc)
            return rc == ERR_LIMIT ? ERR_CORRUPT : rc;
        ssize_t n = pread(fd, out->p + out->len, READ_BYTES, (off_t)out->len);
        if (n == 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return ERR_IO;
        if (n > 0)
            out->len += (size_t)n;
    }
}

/* The first 8 bytes of BLAKE2b-128, behind what they are of. */
static bool check_is_right(const uint8_t *p, size_t len) {
    uint8_t full[crypto_generichash_BYTES_MIN];
    crypto_generichash(full, sizeof full, p, len, NULL, 0);
    return memcmp(full, p + len, CHECK_BYTES) == 0;
}

/* ---- leaves ---- */

static size_t put_leb(uint8_t out[10], uint64_t v) {
    size_t n = 0;
    for (; v > 0x7f; v >>= 7)
        out[n++] = (uint8_t)((v & 0x7f) | 0x80);
    out[n++] = (uint8_t)v;
    return n;
}

/* Every table's rows begin with tenant and project, short strings both, and the time. */
static int row_time(const uint8_t *p, size_t len, uint64_t *ret_us) {
    for (int i = 0; i < 2; i++) {
        if (len < 1 || *p >= LIMIT_NAME || len - 1 < *p)
            return ERR_CORRUPT;
        len -= 1 + (size_t)*p;
        p += 1 + *p;
    }
    if (len < 8)
        return ERR_CORRUPT;
    *ret_us = get_u64(p);
    return 0;
}

/* As toYYYYMM: which partition the row goes to. */
static uint32_t month_of(uint64_t us) {
    const time_t s = (time_t)(us / 1000000);
    struct tm t;
    return gmtime_r(&s, &t) ? (uint32_t)(t.tm_year + 1900) * 100 + (uint32_t)t.tm_mon + 1 : 0;
}

static int add_leaf(struct batch *b, uint8_t table, const uint8_t *row, size_t len) {
    uint8_t month[4], leaf[BATCH_HASH_BYTES];
    uint64_t us;
    int rc = row_time(row, len, &us);
    if (rc)
        return rc;
    if (b->total == 0 || us < b->time_us)
        b->time_us = us;
    put_u32(month, month_of(us));
    batch_leaf(leaf, table, row, len);
    rc = buf_append_u8(&b->tables, table);
    if (!rc)
        rc = buf_append(&b->months, month, sizeof month);
    return rc ? rc : buf_append(&b->leaves, leaf, sizeof leaf);
}

/* The row of `leaves`: time, sealer, batch and three arrays. */
static int make_leaf_row(struct batch *b, uint64_t sealer, uint64_t number) {
    uint8_t fixed[24], n[10];
    const size_t digits = put_leb(n, b->total);
    const struct buf *arrays[] = {&b->tables, &b->months, &b->leaves};
    put_u64(fixed, b->time_us);
    put_u64(fixed + 8, sealer);
    put_u64(fixed + 16, number);
    int rc = buf_append(&b->leaf_row, fixed, sizeof fixed);
    for (size_t i = 0; !rc && i < 3; i++) {
        rc = buf_append(&b->leaf_row, n, digits);
        if (!rc)
            rc = buf_append(&b->leaf_row, arrays[i]->p, arrays[i]->len);
    }
    b->rows[STORE_LEAVES] = rc ? NULL : malloc(sizeof(struct store_piece));
    if (!b->rows[STORE_LEAVES])
        return rc ? rc : ERR_NOMEM;
    *b->rows[STORE_LEAVES] = (struct store_piece){b->leaf_row.p, b->leaf_row.len};
    b->count[STORE_LEAVES] = 1;
    return 0;
}

/* ---- the file ---- */

static int add_row(struct batch *b, uint8_t table, const uint8_t *p, size_t len) {
    if (table < ROWS_DATA_KEYS || table > ROWS_TABLE_LAST || b->total == LEAVES_MAX)
        return ERR_CORRUPT;
    int rc = add_leaf(b, table, p, len);
    if (rc)
        return rc;
    if (b->count[table] == b->room[table]) {
        size_t room = b->room[table] ? 2 * b->room[table] : 256;
        struct store_piece *rows = realloc(b->rows[table], room * sizeof *rows);
        if (!rows)
            return ERR_NOMEM;
        b->rows[table] = rows;
        b->room[table] = room;
    }
    b->rows[table][b->count[table]++] = (struct store_piece){p, len};
    b->total++;
    return 0;
}

static int take_frame(struct batch *b, uint8_t kind, uint8_t table, const uint8_t *p, size_t len) {
    if (b->ended)
        return ERR_CORRUPT;
    if (kind == FRAME_ROW)
        return add_row(b, table, p, len);
    if (kind == FRAME_END) {
        b->ended = true;
        return len == END_BYTES && get_u32(p) == b->total ? 0 : ERR_CORRUPT;
    }
    return kind == FRAME_EXCHANGE || kind == FRAME_ASSIGNMENT ? 0 : ERR_VERSION;
}

/* Rows borrow from b->file. */
static int parse(struct batch *b, uint64_t sealer, uint64_t number) {
    const uint8_t *p = b->file.p;
    size_t left = b->file.len;
    if (left < HEADER_BYTES + CHECK_BYTES || memcmp(p, MAGIC, MAGIC_BYTES) != 0 ||
        !check_is_right(p, HEADER_BYTES) || get_u64(p + MAGIC_BYTES) != sealer ||
        get_u64(p + MAGIC_BYTES + 8) != number)
        return ERR_CORRUPT;
    int rc = 0;
    for (size_t used = HEADER_BYTES + CHECK_BYTES; !rc;
         used = HEAD_BYTES + get_u32(p) + CHECK_BYTES) {
        p += used;
        left -= used;
        if (left == 0)
            break;
        size_t len = left >= HEAD_BYTES + CHECK_BYTES ? get_u32(p) : SIZE_MAX;
        if (len > left - HEAD_BYTES - CHECK_BYTES || !check_is_right(p, HEAD_BYTES + len))
            return ERR_CORRUPT;
        rc = take_frame(b, p[4], p[5], p + HEAD_BYTES, len);
    }
    return rc || b->ended ? rc : ERR_CORRUPT;
}

static int insert_table(struct store *s, enum rows_table t, const struct batch *b, uint64_t sealer,
                        uint64_t number, bool count_first) {
    uint64_t have = 0;
    int rc = count_first && b->count[t] ? store_count(s, t, sealer, number, &have) : 0;
    if (rc || have == b->count[t])
        return rc;
    if (have > b->count[t])
        return ERR_CORRUPT; /* another batch went by these numbers */
    rc = store_insert(s, t, sealer, number, b->rows[t], b->count[t]);
    if (rc || have == 0)
        return rc;
    rc = store_count(s, t, sealer, number, &have);
    return rc || have == b->count[t] ? rc : ERR_CORRUPT;
}

/* Did this process insert the batch before? Then nothing of this one can be there. */
static bool follows(const struct store *s, uint64_t sealer, uint64_t number) {
    for (size_t i = 0; i < STORE_SEALERS; i++)
        if (s->last[i].sealer == sealer && s->last[i].batch)
            return s->last[i].batch + 1 == number;
    return false;
}

static void remember(struct store *s, uint64_t sealer, uint64_t number) {
    size_t i = 0;
    while (i < STORE_SEALERS - 1 && s->last[i].sealer != sealer)
        i++;
    memmove(s->last + 1, s->last, i * sizeof s->last[0]); /* the newest first */
    s->last[0].sealer = sealer;
    s->last[0].batch = number;
}

int store_insert_file(struct store *s, int fd, uint64_t sealer, uint64_t batch, uint32_t rows,
                      bool again) {
    struct batch b = {0};
    buf_init(&b.file, FILE_MAX);
    buf_init(&b.tables, LEAVES_MAX);
    buf_init(&b.months, 4 * LEAVES_MAX);
    buf_init(&b.leaves, BATCH_HASH_BYTES * LEAVES_MAX);
    buf_init(&b.leaf_row, (BATCH_HASH_BYTES + 8) * LEAVES_MAX);
    int rc = read_file(fd, &b.file);
    if (!rc)
        rc = parse(&b, sealer, batch);
    if (!rc && b.total != rows)
        rc = ERR_CORRUPT;
    if (!rc && rows)
        rc = make_leaf_row(&b, sealer, batch);
    again = again || !follows(s, sealer, batch);
    for (int t = ROWS_DATA_KEYS; !rc && t < TABLES; t++)
        rc = insert_table(s, (enum rows_table)t, &b, sealer, batch, again);
    if (!rc)
        remember(s, sealer, batch);
    for (int t = ROWS_DATA_KEYS; t < TABLES; t++)
        free(b.rows[t]);
    buf_wipe(&b.tables);
    buf_wipe(&b.months);
    buf_wipe(&b.leaves);
    buf_wipe(&b.leaf_row);
    buf_wipe(&b.file);
    return rc;
}
