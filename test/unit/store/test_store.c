/*
 * The store over the real engine: batches from spool files, once each however often they are sent
 * and whenever the program is killed; rows that come back byte for byte; cells; what readers get.
 *
 * The engine has threads and allows one folder a process, so each case is a child process; this one
 * only waits.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <sodium.h>

#include "base/bytes.h"
#include "base/err.h"
#include "record/batch.h"
#include "record/rows.h"
#include "store/store_int.h"

#define MUST(cond)                                                                                 \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fprintf(stderr, "line %d: not so: %s\n", __LINE__, #cond);                             \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

#define NOVEMBER 1763000000000000ull /* 2025-11-13 */
#define DECEMBER 1765600000000000ull
#define EXCHANGES 40

static const struct store_terms owner = {.all = true};

/* ---- batches ---- */

/* What a sealer would have written: its rows by table, its file. */
struct sample {
    uint64_t sealer, number;
    uint32_t rows;
    struct buf file, table[ROWS_TABLE_LAST + 1];
    struct turn_row turns[EXCHANGES];
    uint8_t envelopes[EXCHANGES][200];
};

static void frame(struct buf *file, uint8_t kind, uint8_t table, const void *p, size_t len) {
    uint8_t head[8] = {0}, check[16];
    size_t from = file->len;
    put_u32(head, (uint32_t)len);
    head[4] = kind;
    head[5] = table;
    MUST(!buf_append(file, head, 8) && !buf_append(file, p, len));
    crypto_generichash(check, sizeof check, file->p + from, file->len - from, NULL, 0);
    MUST(!buf_append(file, check, 8));
}

static void add_row(struct sample *s, enum rows_table t, const struct buf *row) {
    frame(&s->file, 1, (uint8_t)t, row->p, row->len);
    MUST(!buf_append(&s->table[t], row->p, row->len));
    s->rows++;
}

static void name_id(uint8_t id[UUID_BYTES], uint64_t sealer, uint64_t number, size_t i) {
    uint8_t seed[24];
    put_u64(seed, sealer);
    put_u64(seed + 8, number);
    put_u64(seed + 16, i);
    crypto_generichash(id, UUID_BYTES, seed, sizeof seed, NULL, 0);
}

static void make_turn(struct sample *s, size_t i, uint64_t time_us) {
    struct turn_row *t = &s->turns[i];
    t->time_us = time_us;
    t->envelope = s->envelopes[i];
    t->envelope_len = 60 + i;
    randombytes_buf(s->envelopes[i], sizeof s->envelopes[i]);
    strcpy(t->ctx.tenant, "default");
    strcpy(t->ctx.project, i % 2 ? "shop" : "");
    strcpy(t->ctx.dialect, "openai.chat");
    t->ctx.field = CONTEXT_FIELD_TURN;
    t->ctx.schema = CONTEXT_SCHEMA_TURN;
    name_id(t->ctx.subject, s->sealer, 0, i % 5);
    name_id(t->ctx.record, s->sealer, s->number, i);
    if (i % 4 == 0) {
        memcpy(t->ctx.conversation, t->ctx.record, UUID_BYTES);
        return;
    }
    memcpy(t->ctx.conversation, s->turns[i - 1].ctx.conversation, UUID_BYTES);
    memcpy(t->ctx.parent, s->turns[i - 1].ctx.record, UUID_BYTES);
    randombytes_buf(t->ctx.parent_hash, CONTEXT_HASH_BYTES);
    t->ctx.kept = (uint32_t)(i * 0x01020304u);
}

/* `next_us`: the time of the second half of the rows. */
static void make_sample(struct sample *s, uint64_t sealer, uint64_t number, uint64_t time_us,
                        uint64_t next_us) {
    uint8_t head[56] = "shspool1", check[16], end[68] = {0};
    struct buf row;
    *s = (struct sample){.sealer = sealer, .number = number};
    buf_init(&s->file, 16u << 20);
    buf_init(&row, 1u << 20);
    for (int t = 0; t <= ROWS_TABLE_LAST; t++)
        buf_init(&s->table[t], 16u << 20);
    put_u64(head + 8, sealer);
    put_u64(head + 16, number);
    crypto_generichash(check, sizeof check, head, sizeof head, NULL, 0);
    MUST(!buf_append(&s->file, head, sizeof head) && !buf_append(&s->file, check, 8));
    for (size_t i = 0; i < EXCHANGES; i++) {
        struct rows_place place = {sealer, number, s->rows};
        uint64_t us = (i < EXCHANGES / 2 ? time_us : next_us) + i;
        if (i % 10 == 0) {
            struct data_key_row k = {.tenant = "default", .project = "shop", .created_us = us};
            randombytes_buf(k.id, sizeof k.id);
            randombytes_buf(k.wrapped, sizeof k.wrapped);
            MUST(!rows_encode_data_key(&row, &k, &place));
            add_row(s, ROWS_DATA_KEYS, &row);
            buf_clear(&row);
        }
        place.index = s->rows;
        make_turn(s, i, us);
        MUST(!rows_encode_turn(&row, &s->turns[i], &place));
        add_row(s, ROWS_TURNS, &row);
        buf_clear(&row);
        place.index = s->rows;
        struct interaction_row x = {.tenant = "default",
                                    .project = "shop",
                                    .key = "k",
                                    .time_us = us,
                                    .model = "gpt-4o-mini",
                                    .status = 200,
                                    .outcome = "complete",
                                    .streamed = i % 2,
                                    .stored = "turn",
                                    .worker_sequence = i};
        memcpy(x.id, s->turns[i].ctx.record, UUID_BYTES);
        MUST(!rows_encode_interaction(&row, &x, &place));
        add_row(s, ROWS_INTERACTIONS, &row);
        buf_clear(&row);
        if (i % 5 == 0) {
            struct finding_row f = {.tenant = "default",
                                    .project = "shop",
                                    .key = "k",
                                    .time_us = us,
                                    .class = "github-token",
                                    .rule = "github-fine-grained",
                                    .place = "tool",
                                    .count = (uint32_t)i + 1,
                                    .fingerprint = "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
                                    .fingerprint_key = 1};
            memcpy(f.interaction, x.id, UUID_BYTES);
            place.index = s->rows;
            MUST(!rows_encode_finding(&row, &f, &place));
            add_row(s, ROWS_FINDINGS, &row);
            buf_clear(&row);
        }
        frame(&s->file, 3, 0, end, 32);
    }
    put_u32(end, s->rows);
    frame(&s->file, 2, 0, end, sizeof end);
    buf_wipe(&row);
}

static void free_sample(struct sample *s) {
    buf_wipe(&s->file);
    for (int t = 0; t <= ROWS_TABLE_LAST; t++)
        buf_wipe(&s->table[t]);
}

static int insert_bytes(struct store *st, const void *p, size_t len, uint64_t sealer,
                        uint64_t number, uint32_t rows, bool again) {
    int fd = memfd_create("spool", MFD_CLOEXEC);
    MUST(fd >= 0 && write(fd, p, len) == (ssize_t)len);
    int rc = store_insert_file(st, fd, sealer, number, rows, again);
    close(fd);
    return rc;
}

static int insert(struct store *st, const struct sample *s, bool again) {
    return insert_bytes(st, s->file.p, s->file.len, s->sealer, s->number, s->rows, again);
}

static uint64_t count(struct store *st, enum rows_table t, uint64_t sealer, uint64_t number) {
    uint64_t n;
    MUST(!store_count(st, t, sealer, number, &n));
    return n;
}

static bool is_there_once(struct store *st, uint64_t sealer, uint64_t number) {
    return count(st, ROWS_DATA_KEYS, sealer, number) == EXCHANGES / 10 &&
           count(st, ROWS_TURNS, sealer, number) == EXCHANGES &&
           count(st, ROWS_INTERACTIONS, sealer, number) == EXCHANGES &&
           count(st, ROWS_FINDINGS, sealer, number) == EXCHANGES / 5 &&
           count(st, STORE_LEAVES, sealer, number) == 1;
}

/* ---- children ---- */

static char folder[] = "/tmp/safehouse-store-XXXXXX";

static int make_folder(void **state) {
    (void)state;
    strcpy(folder + sizeof folder - 7, "XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state) {
    (void)state;
    char *argv[] = {(char *)"rm", (char *)"-rf", folder, NULL};
    pid_t pid = fork();
    if (pid == 0) {
        execvp("rm", argv);
        _exit(127);
    }
    return waitpid(pid, NULL, 0) == pid ? 0 : -1;
}

static void in_child(void (*work)(struct store *st)) {
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct store *st;
        MUST(!store_open(folder, &st));
        work(st);
        store_close(st);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* ---- inserting ---- */

static void once(struct store *st) {
    static struct sample a, b;
    make_sample(&a, 7, 1, NOVEMBER, NOVEMBER);
    make_sample(&b, 7, 2, NOVEMBER, NOVEMBER);
    MUST(insert(st, &a, false) == 0 && is_there_once(st, 7, 1));
    MUST(insert(st, &a, true) == 0 && is_there_once(st, 7, 1));
    MUST(insert(st, &a, false) == 0 && is_there_once(st, 7, 1));
    MUST(insert(st, &b, false) == 0 && is_there_once(st, 7, 2));
    MUST(insert(st, &a, true) == 0 && is_there_once(st, 7, 1));
    free_sample(&a);
    free_sample(&b);
}

/* The same rows under the same numbers, again in a process that did not insert them. */
static void once_after_a_restart(struct store *st) {
    static struct sample a;
    make_sample(&a, 7, 1, NOVEMBER, NOVEMBER);
    MUST(insert(st, &a, false) == 0 && is_there_once(st, 7, 1));
    MUST(insert(st, &a, true) == 0 && is_there_once(st, 7, 1));
    free_sample(&a);
}

static void batches_go_in_once(void **state) {
    (void)state;
    in_child(once);
    in_child(once_after_a_restart);
}

static int sink(void *buf, const void *p, size_t len) {
    return buf_append(buf, p, len);
}

static int ask(struct store_reader *r, const char *format, const char *sql, struct buf *out,
               char *why) {
    buf_clear(out);
    struct store_answer a;
    const struct store_question q = {.sql = sql, .sql_len = strlen(sql), .format = format,
                                     .format_len = strlen(format)};
    int rc = store_reader_query(r, &q, sink, out, &a);
    snprintf(why, 512, "%.500s", a.why);
    return rc;
}

/* A month goes, the held person's rows of it stay in another table, and again changes nothing. */
static void a_month_goes(struct store *st) {
    static struct sample a;
    struct store_partition parts[4];
    struct store_reader *r;
    struct buf out, before;
    char why[512];
    size_t n;
    uint64_t held = 0;
    uint8_t ids[2 * UUID_BYTES] = {0};
    buf_init(&out, 1 << 20);
    buf_init(&before, 1 << 20);
    make_sample(&a, 5, 1, NOVEMBER, DECEMBER);
    MUST(insert(st, &a, false) == 0);
    memcpy(ids + UUID_BYTES, a.turns[1].ctx.subject, UUID_BYTES); /* every fifth turn */
    MUST(!store_partitions(st, ROWS_TURNS, false, ids, sizeof ids, parts, 4, &n) && n == 2);
    MUST(parts[0].month == 202511 && parts[1].month == 202512 && parts[0].rows == EXCHANGES / 2);
    MUST(parts[0].held == EXCHANGES / 10);
    MUST(store_partitions(st, ROWS_DATA_KEYS, false, NULL, 0, parts, 4, &n) == ERR_USAGE);
    MUST(store_retain(st, ROWS_DATA_KEYS, 202511, NULL, 0, &held) == ERR_USAGE);
    MUST(store_retain(st, ROWS_TURNS, 202511, ids, 17, &held) == ERR_USAGE);
    MUST(!store_reader_open(st, &owner, &r));
    const char *of_held = "SELECT id, body FROM turns WHERE toYYYYMM(time) = 202511 AND subject ="
                          " (SELECT max(subject) FROM turns WHERE sealer = 5 AND index = 4)"
                          " ORDER BY id";
    MUST(!ask(r, "TSV", of_held, &before, why) && before.len > 0);
    for (int twice = 0; twice < 2; twice++) {
        MUST(!store_retain(st, ROWS_TURNS, 202511, ids, sizeof ids, &held));
        MUST(held == EXCHANGES / 10);
        MUST(count(st, ROWS_TURNS, 5, 1) == EXCHANGES / 2);
    }
    MUST(!ask(r, "TSV", "SELECT id, body FROM held_turns ORDER BY id", &out, why));
    MUST(out.len == before.len && !memcmp(out.p, before.p, out.len));
    MUST(!store_partitions(st, ROWS_TURNS, false, NULL, 0, parts, 4, &n) && n == 1 && parts[0].month == 202512);
    MUST(count(st, ROWS_INTERACTIONS, 5, 1) == EXCHANGES); /* content and metadata are apart */
    MUST(!store_retain(st, ROWS_INTERACTIONS, 202511, NULL, 0, &held) && held == 0);
    MUST(count(st, ROWS_INTERACTIONS, 5, 1) == EXCHANGES / 2);
    MUST(count(st, ROWS_DATA_KEYS, 5, 1) == EXCHANGES / 10); /* they outlive what they open */
    store_reader_close(r);
    buf_wipe(&out);
    buf_wipe(&before);
    free_sample(&a);
}

static void retention_drops_months(void **state) {
    (void)state;
    in_child(a_month_goes);
}

/* Two persons are held; when one is not any more, his copies go, and with the last one's the partition. */
static void a_hold_ends(struct store *st) {
    static struct sample a;
    struct store_partition parts[4];
    struct store_reader *r;
    struct buf out;
    char why[512];
    size_t n;
    uint64_t held = 0;
    uint8_t ids[2 * UUID_BYTES];
    buf_init(&out, 1 << 20);
    make_sample(&a, 5, 1, NOVEMBER, DECEMBER);
    MUST(insert(st, &a, false) == 0);
    memcpy(ids, a.turns[2].ctx.subject, UUID_BYTES); /* each of them has every fifth turn */
    memcpy(ids + UUID_BYTES, a.turns[1].ctx.subject, UUID_BYTES);
    MUST(!store_partitions(st, ROWS_TURNS, true, ids, sizeof ids, parts, 4, &n) && n == 0);
    MUST(!store_release(st, ROWS_TURNS, 202511, ids, sizeof ids, &held) && held == 0);
    MUST(!store_retain(st, ROWS_TURNS, 202511, ids, sizeof ids, &held) && held == EXCHANGES / 5);
    MUST(!store_partitions(st, ROWS_TURNS, true, ids, sizeof ids, parts, 4, &n) && n == 1);
    MUST(parts[0].month == 202511 && parts[0].rows == EXCHANGES / 5 && parts[0].held == parts[0].rows);
    MUST(!store_release(st, ROWS_TURNS, 202511, ids, sizeof ids, &held) && held == EXCHANGES / 5);
    MUST(store_release(st, ROWS_TURNS, 202511, ids, 17, &held) == ERR_USAGE);
    MUST(!store_partitions(st, ROWS_TURNS, true, ids, UUID_BYTES, parts, 4, &n) && n == 1);
    MUST(parts[0].rows == EXCHANGES / 5 && parts[0].held == EXCHANGES / 10);
    for (int twice = 0; twice < 2; twice++)
        MUST(!store_release(st, ROWS_TURNS, 202511, ids, UUID_BYTES, &held) && held == EXCHANGES / 10);
    MUST(!store_reader_open(st, &owner, &r));
    MUST(!ask(r, "TSV", "SELECT uniqExact(subject), count() FROM held_turns", &out, why));
    snprintf(why, sizeof why, "1\t%d\n", EXCHANGES / 10);
    MUST(out.len == strlen(why) && !memcmp(out.p, why, out.len));
    MUST(!store_release(st, ROWS_TURNS, 202511, NULL, 0, &held) && held == 0);
    MUST(!store_partitions(st, ROWS_TURNS, true, NULL, 0, parts, 4, &n) && n == 0);
    MUST(count(st, ROWS_TURNS, 5, 1) == EXCHANGES / 2); /* December is nobody's business here */
    store_reader_close(r);
    buf_wipe(&out);
    free_sample(&a);
}

static void retention_releases(void **state) {
    (void)state;
    in_child(a_hold_ends);
}

static void half_of_it(struct store *st) {
    static struct sample a;
    make_sample(&a, 8, 1, NOVEMBER, DECEMBER);
    /* A batch over the turn of a month becomes two parts of each table; the kill came between. */
    struct store_piece piece = {a.table[ROWS_DATA_KEYS].p, a.table[ROWS_DATA_KEYS].len};
    MUST(!store_insert(st, ROWS_DATA_KEYS, 8, 1, &piece, 1));
    size_t n = 0, cut = 0;
    for (struct buf *t = &a.table[ROWS_TURNS]; n < EXCHANGES / 2; n++) {
        struct buf row;
        buf_init(&row, 1u << 20);
        struct rows_place place = {8, 1, 0};
        MUST(!rows_encode_turn(&row, &a.turns[n], &place));
        cut += row.len;
        MUST(cut < t->len);
        buf_wipe(&row);
    }
    piece = (struct store_piece){a.table[ROWS_TURNS].p, cut};
    MUST(!store_insert(st, ROWS_TURNS, 8, 1, &piece, 1));
    MUST(count(st, ROWS_TURNS, 8, 1) == EXCHANGES / 2);
    MUST(insert(st, &a, true) == 0 && is_there_once(st, 8, 1));
    free_sample(&a);
}

static void a_batch_of_two_months_is_completed(void **state) {
    (void)state;
    in_child(half_of_it);
}

static void refuse_damaged(struct store *st) {
    static struct sample a;
    make_sample(&a, 9, 1, NOVEMBER, NOVEMBER);
    const uint8_t *p = a.file.p;
    size_t n = a.file.len;
    MUST(insert_bytes(st, p, n, 9, 2, a.rows, false) == ERR_CORRUPT);
    MUST(insert_bytes(st, p, n, 8, 1, a.rows, false) == ERR_CORRUPT);
    MUST(insert_bytes(st, p, n, 9, 1, a.rows - 1, false) == ERR_CORRUPT);
    MUST(insert_bytes(st, p, n - 1, 9, 1, a.rows, false) == ERR_CORRUPT);
    MUST(insert_bytes(st, p, n - 84, 9, 1, a.rows, false) == ERR_CORRUPT); /* no end frame */
    MUST(insert_bytes(st, p, 0, 9, 1, 0, false) == ERR_CORRUPT);
    MUST(insert_bytes(st, p, 63, 9, 1, 0, false) == ERR_CORRUPT);
    for (int i = 0; i < 200; i++) {
        size_t at = randombytes_uniform((uint32_t)n);
        a.file.p[at] ^= 0x10;
        MUST(insert(st, &a, false) == ERR_CORRUPT);
        a.file.p[at] ^= 0x10;
    }
    uint8_t nothing[32] = {0};
    frame(&a.file, 3, 0, nothing, sizeof nothing); /* behind the end */
    MUST(insert(st, &a, false) == ERR_CORRUPT);
    a.file.len = n - 84;
    frame(&a.file, 1, 4, nothing, sizeof nothing); /* a table that is none */
    MUST(insert(st, &a, false) == ERR_CORRUPT);
    for (int t = ROWS_DATA_KEYS; t <= ROWS_TABLE_LAST; t++)
        MUST(count(st, (enum rows_table)t, 9, 1) == 0);
    free_sample(&a);
}

static void damaged_files_leave_nothing(void **state) {
    (void)state;
    in_child(refuse_damaged);
}

/* ---- kill -9 ---- */

/* Inserts from batch `from` on and says each one that is confirmed, until it is killed. */
static void insert_for_ever(int to, uint64_t from) {
    struct store *st;
    MUST(!store_open(folder, &st));
    MUST(write(to, &from, sizeof from) == sizeof from);
    for (uint64_t number = from;; number++) {
        static struct sample s;
        make_sample(&s, 5, number, NOVEMBER, number % 3 ? NOVEMBER : DECEMBER);
        MUST(insert(st, &s, number == from) == 0);
        MUST(write(to, &number, sizeof number) == sizeof number);
        free_sample(&s);
    }
}

/* Kills it a moment after it began, or after its first batch was confirmed. */
static uint64_t until_killed(uint64_t from, bool first_confirmed) {
    int pipes[2], status;
    uint64_t number = 0, last = from - 1;
    assert_int_equal(pipe(pipes), 0);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        close(pipes[0]);
        insert_for_ever(pipes[1], from);
    }
    close(pipes[1]);
    assert_int_equal(read(pipes[0], &number, sizeof number), sizeof number); /* it is open */
    if (first_confirmed) {
        assert_int_equal(read(pipes[0], &number, sizeof number), sizeof number);
        last = number;
    }
    struct timespec pause = {0, (long)randombytes_uniform(150000000)};
    nanosleep(&pause, NULL);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    while (read(pipes[0], &number, sizeof number) == sizeof number)
        last = number;
    close(pipes[0]);
    return last;
}

static uint64_t confirmed;

static void look_after_kills(struct store *st) {
    for (uint64_t number = 1; number <= confirmed; number++)
        MUST(is_there_once(st, 5, number));
    /* The one that was not confirmed is there or not; sent again, it is. */
    static struct sample s;
    uint64_t number = confirmed + 1;
    make_sample(&s, 5, number, NOVEMBER, number % 3 ? NOVEMBER : DECEMBER);
    MUST(insert(st, &s, true) == 0 && is_there_once(st, 5, number));
    MUST(count(st, ROWS_TURNS, 5, number + 1) == 0);
    free_sample(&s);
}

static void killed_in_the_middle(void **state) {
    (void)state;
    for (int i = 0; i < 8; i++)
        confirmed = until_killed(confirmed + 1, i % 2);
    assert_true(confirmed >= 4);
    in_child(look_after_kills);
}

/* ---- reading ---- */

static const char *const spool_order =
    "SELECT * FROM %s WHERE sealer = 3 AND batch = 1 ORDER BY index";

static void come_back(struct store *st) {
    static struct sample s;
    struct store_reader *r;
    struct buf out;
    char why[512], sql[256];
    make_sample(&s, 3, 1, NOVEMBER, DECEMBER);
    buf_init(&out, 16u << 20);
    MUST(insert(st, &s, false) == 0 && !store_reader_open(st, &owner, &r));
    for (int t = ROWS_DATA_KEYS; t <= ROWS_TABLE_LAST; t++) {
        snprintf(sql, sizeof sql, spool_order, rows_table_name((enum rows_table)t));
        MUST(ask(r, "RowBinary", sql, &out, why) == 0);
        MUST(out.len == s.table[t].len && memcmp(out.p, s.table[t].p, out.len) == 0);
    }
    buf_wipe(&out);
    store_reader_close(r);
    free_sample(&s);
}

static void rows_come_back_byte_for_byte(void **state) {
    (void)state;
    in_child(come_back);
}

/* One line of the cells query: conversation, cell. */
static void check_cell(const struct turn_row *t, const char *line, size_t len) {
    uint8_t conversation[UUID_BYTES], bytes[2048];
    const uint8_t *envelope;
    size_t envelope_len;
    struct context ctx;
    MUST(len > UUID_TEXT + 6 && uuid_parse(conversation, line, UUID_TEXT));
    MUST(memcmp(conversation, t->ctx.conversation, UUID_BYTES) == 0);
    MUST(memcmp(line + UUID_TEXT + 1, CELL_PREFIX, 5) == 0);
    long n = b64url_decode(bytes, line + UUID_TEXT + 6, len - UUID_TEXT - 6);
    MUST(n > 0 && !cell_split(bytes, (size_t)n, &ctx, &envelope, &envelope_len));
    MUST(envelope_len == t->envelope_len && !memcmp(envelope, t->envelope, envelope_len));
    uint8_t want[CONTEXT_MAX], got[CONTEXT_MAX];
    size_t want_len = context_encode(want, &t->ctx), got_len = context_encode(got, &ctx);
    MUST(want_len == got_len && memcmp(want, got, want_len) == 0);
    MUST((size_t)n == want_len + envelope_len);
}

static void cells(struct store *st) {
    static struct sample s;
    struct store_reader *r;
    struct buf out;
    char why[512], id[UUID_TEXT + 1], sql[128];
    make_sample(&s, 3, 1, NOVEMBER, DECEMBER);
    buf_init(&out, 16u << 20);
    MUST(insert(st, &s, false) == 0 && !store_reader_open(st, &owner, &r));
    MUST(ask(r, "TabSeparated", "SELECT conversation, body FROM turns ORDER BY index", &out, why) ==
         0);
    const char *p = (const char *)out.p, *end = p + out.len;
    for (size_t i = 0; i < EXCHANGES; i++) {
        const char *eol = memchr(p, '\n', (size_t)(end - p));
        MUST(eol);
        check_cell(&s.turns[i], p, (size_t)(eol - p));
        p = eol + 1;
    }
    MUST(p == end);
    /* A conversation is found by its id, by way of the primary key. */
    uuid_format(id, s.turns[5].ctx.conversation);
    snprintf(sql, sizeof sql, "SELECT count() FROM turns WHERE conversation = '%s'", id);
    MUST(ask(r, "TabSeparated", sql, &out, why) == 0 && out.len == 2 &&
         memcmp(out.p, "4\n", 2) == 0);
    buf_wipe(&out);
    store_reader_close(r);
    free_sample(&s);
}

static void cells_hold_what_was_inserted(void **state) {
    (void)state;
    in_child(cells);
}

static void refuse(struct store *st) {
    static const char *const bad[] = {
        "SELECT * FROM numbers(3)",
        "SELECT * FROM merge('system', '.*')",
        "SELECT * FROM view(SELECT 1)",
        "SELECT * FROM values('a Int', 1)",
        "SELECT * FROM (VALUES (1))",
        "SELECT * FROM loop(turns)",
        "SELECT * FROM mergeTreeIndex(safehouse, turns)",
        "SELECT * FROM cluster('default', 'safehouse', 'turns')",
        "SELECT * FROM sqlite('/etc/passwd', 'x')",
        "SELECT * FROM icebergLocal('/etc')",
        "SELECT * FROM python('x')",
        "SELECT * FROM turns, numbers(3)",
        "SELECT * FROM turns AS a JOIN numbers(3) AS b ON 1 = 1",
        "SELECT * FROM (SELECT 1 UNION ALL SELECT number FROM numbers(3))",
        "SELECT 1 WHERE EXISTS (SELECT 1 FROM numbers(3))",
        "SELECT 1 IN numbers(3)",
        "SELECT 'x' IN merge('system', '.*')",
        "SELECT 'x' IN urlCluster('default', 'http://127.0.0.1:1/', 'LineAsString')",
        "WITH numbers AS (SELECT 1) SELECT * FROM numbers(3)",
        "WITH x AS (SELECT * FROM zeros(3)) SELECT * FROM x",
        "SELECT * FROM one",
        "SELECT * FROM tables",
        "SELECT * FROM \"system.one\"",
        "SELECT * FROM \"sys\"\"tem\".one",
        "SELECT id FROM turns WHERE id IN (SELECT uuid FROM tables)",
        "SELECT 1 UNION ALL SELECT 2 FROM fi/**/le('/etc/passwd')",
        "SELECT /* /* */ 1 */",
        "SELECT arrayMap(file, ['/etc/passwd'])",
        "SELECT * FROM turns FINAL SETTINGS x = 1",
        "EXPLAIN SELECT * FROM numbers(3)",
        "EXPLAIN QUERY TREE SELECT * FROM merge('system', '.*')",
        "SELECT sum(number) FROM zeros",
        "SELECT * FROM turns LIMIT 1 PARALLEL WITH SELECT 1",
        "SELECT nosuchcolumn FROM turns",
        "SELECT",
    };
    struct store_reader *r;
    struct buf out;
    char why[512];
    buf_init(&out, 1u << 20);
    MUST(!store_reader_open(st, &owner, &r));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int rc = ask(r, "TabSeparated", bad[i], &out, why);
        if ((rc != ERR_DENIED && rc != ERR_SYNTAX) || out.len || !*why) {
            fprintf(stderr, "%s: %s, \"%s\"\n", bad[i], rc ? err_name(rc) : "allowed", why);
            _exit(1);
        }
    }
    MUST(ask(r, "Template", "SELECT 1", &out, why) == ERR_DENIED);
    /* What would get past the guard still meets a connection that only reads. */
    static const char *const writes[] = {
        "DROP TABLE turns",
        "SET readonly = 0",
        "SET max_memory_usage = 0",
        "INSERT INTO turns SELECT * FROM turns",
        "CREATE TABLE x (a Int8) ENGINE = Memory",
        "CREATE TEMPORARY TABLE x (a Int8)",
        "ALTER TABLE turns DROP PARTITION ID '202511'",
        "SELECT 1 SETTINGS readonly = 0",
    };
    for (size_t i = 0; i < sizeof writes / sizeof writes[0]; i++) {
        chdb_result *x = chdb_query_n(*r->conn, writes[i], strlen(writes[i]), "TabSeparated", 12);
        if (!x || !chdb_result_error(x)) {
            fprintf(stderr, "a reader may: %s\n", writes[i]);
            _exit(1);
        }
        chdb_destroy_query_result(x);
    }
    buf_wipe(&out);
    store_reader_close(r);
}

static void the_engine_refuses_too(void **state) {
    (void)state;
    in_child(refuse);
}

static int stop_at_once(void *arg, const void *p, size_t len) {
    (void)p, (void)len;
    ++*(int *)arg;
    return ERR_PEER;
}

static void bounds(struct store *st) {
    struct store_reader *r;
    struct buf out;
    char why[512];
    int pieces = 0;
    const char *many = "SELECT arrayJoin(range(3000000))";
    buf_init(&out, 1u << 20);
    MUST(!store_reader_open(st, &owner, &r));
    struct store_answer a;
    const struct store_question q = {.sql = many, .sql_len = strlen(many), .format = "TabSeparated",
                                     .format_len = 12};
    MUST(store_reader_query(r, &q, stop_at_once, &pieces, &a) == ERR_PEER && pieces == 1);
    MUST(ask(r, "TabSeparated",
             "SELECT length(groupArray(concat(toString(x), repeat('y', 1000))))"
             " FROM (SELECT arrayJoin(range(10000000)) AS x)",
             &out, why) == ERR_LIMIT);
    MUST(ask(r, "TabSeparated", "SELECT 1", &out, why) == 0 && out.len == 2);
    buf_wipe(&out);
    store_reader_close(r);
}

static void readers_have_bounds(void **state) {
    (void)state;
    in_child(bounds);
}

/* ---- what is left in the folder ---- */

#define CANARY "canary-4711-in-a-statement"

static void statements(struct store *st) {
    static struct sample s;
    struct store_reader *r;
    struct buf out;
    char why[512];
    const char *logs = "SELECT count() FROM system.tables WHERE database = 'system' AND"
                       " (name LIKE '%\\_log%' OR engine LIKE '%MergeTree')";
    make_sample(&s, 2, 1, NOVEMBER, DECEMBER);
    buf_init(&out, 1u << 20);
    MUST(insert(st, &s, false) == 0 && !store_reader_open(st, &owner, &r));
    MUST(ask(r, "TabSeparated", "SELECT '" CANARY "', count() FROM turns", &out, why) == 0);
    MUST(ask(r, "TabSeparated", "SELECT throwIf(count() > 0, '" CANARY "') FROM turns", &out, why));
    MUST(ask(r, "TabSeparated", "SELECT nosuch, '" CANARY "' FROM turns", &out, why));
    MUST(ask(r, "TabSeparated", "SELECT file('" CANARY "')", &out, why));
    chdb_result *x = chdb_query_n(*st->conn, logs, strlen(logs), "TabSeparated", 12);
    MUST(chdb_result_length(x) == 2 && memcmp(chdb_result_buffer(x), "0\n", 2) == 0);
    chdb_destroy_query_result(x);
    buf_wipe(&out);
    store_reader_close(r);
    free_sample(&s);
}

static int run_status(const char *command) {
    int status = system(command);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void no_statement_is_left_behind(void **state) {
    (void)state;
    char command[256];
    in_child(statements);
    snprintf(command, sizeof command, "grep -rqa " CANARY " %s", folder);
    assert_int_equal(run_status(command), 1);
    snprintf(command, sizeof command, "grep -rqa openai.chat %s", folder);
    assert_int_equal(run_status(command), 0); /* grep would find something */
    /* No configuration, no users, no other database than ours. */
    snprintf(command, sizeof command,
             "test -z \"$(find %s -name '*.xml' -o -name '*.yaml' -o -name 'preprocessed*')\"",
             folder);
    assert_int_equal(run_status(command), 0);
    snprintf(command, sizeof command, "test \"$(ls %s/data | tr -d '\\n')\" = cataloguesafehouse", folder);
    assert_int_equal(run_status(command), 0);
}

static void nothing(struct store *st) {
    MUST(count(st, ROWS_TURNS, 1, 1) == 0);
}

static void a_configuration_beside_it_is_not_read(void **state) {
    (void)state;
    char command[256], before[4096];
    assert_non_null(getcwd(before, sizeof before));
    snprintf(command, sizeof command, "echo '<clickhouse><broken' >%s/config.xml", folder);
    assert_int_equal(run_status(command), 0);
    assert_int_equal(chdir(folder), 0);
    in_child(nothing);
    assert_int_equal(chdir(before), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(batches_go_in_once, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(retention_drops_months, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(retention_releases, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_batch_of_two_months_is_completed, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(damaged_files_leave_nothing, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(killed_in_the_middle, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(rows_come_back_byte_for_byte, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(cells_hold_what_was_inserted, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(the_engine_refuses_too, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(readers_have_bounds, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(no_statement_is_left_behind, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_configuration_beside_it_is_not_read, make_folder,
                                        remove_folder),
    };
    if (sodium_init() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
