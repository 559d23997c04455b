/*
 * Makes a large log in an installation that does not run, without a gateway:
 *   fill D EXCHANGES BYTES [EACH]
 *
 * Each exchange is a turn with an envelope of BYTES random bytes and an interaction, in batches of
 * thousands of rows, through the store's own way in and the vault's own ledger. With EACH a batch has so
 * many exchanges, of persons of their own, and rows of all tables: a data key first, and a finding for
 * each exchange. Nothing opens there; it is for verify, which does not care, and for whoever needs many
 * rows. Prints the number of rows.
 */
#include <ftw.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "read/ledger/ledger.h"
#include "store/store.h"

#define BATCH_EXCHANGES 4000
#define MUST(cond)                                                                                 \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fprintf(stderr, "fill: not so: %s\n", #cond);                                          \
            exit(4);                                                                               \
        }                                                                                          \
    } while (0)

static struct store *store;
static struct ledger *ledger;
static struct batch_head head;
static struct batch_tree tree;
static struct buf file;
static uint64_t epoch, sequence, now_us;
static unsigned owner;
static long each; /* 0: turns and interactions only, as many as a batch takes */

static void frame(uint8_t kind, uint8_t table, const void *p, size_t len) {
    uint8_t h[8] = {0}, check[16];
    const size_t from = file.len;
    put_u32(h, (uint32_t)len);
    h[4] = kind;
    h[5] = table;
    MUST(!buf_append(&file, h, 8) && !buf_append(&file, p, len));
    crypto_generichash(check, sizeof check, file.p + from, file.len - from, NULL, 0);
    MUST(!buf_append(&file, check, 8));
}

static void add_row(enum rows_table t, struct buf *row) {
    uint8_t leaf[BATCH_HASH_BYTES];
    batch_leaf(leaf, (uint8_t)t, row->p, row->len);
    batch_tree_add(&tree, leaf);
    frame(1, (uint8_t)t, row->p, row->len);
    head.rows++;
    buf_clear(row);
}

static void add_data_key(void) {
    struct buf row;
    const struct rows_place place = {head.sealer, head.number, head.rows};
    struct data_key_row k = {.tenant = "default", .project = "default", .created_us = now_us, .writer = 1};
    buf_init(&row, 4096);
    randombytes_buf(k.id, sizeof k.id);
    randombytes_buf(k.subject, sizeof k.subject);
    randombytes_buf(k.wrapped, sizeof k.wrapped);
    randombytes_buf(k.mac, sizeof k.mac);
    MUST(!rows_encode_data_key(&row, &k, &place));
    add_row(ROWS_DATA_KEYS, &row);
    buf_wipe(&row);
}

static void add_finding(const struct interaction_row *x) {
    struct buf row;
    const struct rows_place place = {head.sealer, head.number, head.rows};
    struct finding_row f = {.tenant = "default", .project = "default", .key = "fill", .time_us = now_us,
                            .class = "api-key", .rule = "openai", .place = "prompt", .count = 1,
                            .fingerprint = "abcdefghijklmnopqrstuvwxyz", .fingerprint_key = 1};
    buf_init(&row, 4096);
    memcpy(f.interaction, x->id, UUID_BYTES);
    memcpy(f.subject, x->subject, UUID_BYTES);
    MUST(!rows_encode_finding(&row, &f, &place));
    add_row(ROWS_FINDINGS, &row);
    buf_wipe(&row);
}

static void add_exchange(size_t bytes) {
    static uint8_t envelope[1 << 20];
    struct buf row;
    struct rows_place place = {head.sealer, head.number, head.rows};
    struct turn_row t = {.time_us = now_us, .envelope = envelope, .envelope_len = bytes};
    struct interaction_row x = {.tenant = "default", .project = "default", .key = "fill",
                                .time_us = now_us, .dialect = "openai.chat", .provider = "mock",
                                .model_asked = "gpt-4o-mini", .model = "gpt-4o-mini", .status = 200,
                                .outcome = "complete", .finish = "stop", .usage = "reported",
                                .tokens_input = 100, .tokens_output = 200, .attempts = 1,
                                .duration_us = 1000000, .stored = "turn", .worker_epoch = epoch,
                                .worker_sequence = ++sequence};
    buf_init(&row, 2u << 20);
    randombytes_buf(envelope, bytes);
    uuid_v7(x.id, now_us, epoch, sequence);
    memcpy(x.conversation, x.id, UUID_BYTES);
    memcpy(t.ctx.record, x.id, UUID_BYTES);
    memcpy(t.ctx.conversation, x.id, UUID_BYTES);
    strcpy(t.ctx.tenant, "default");
    strcpy(t.ctx.project, "default");
    strcpy(t.ctx.dialect, "openai.chat");
    if (each) {
        randombytes_buf(t.ctx.subject, UUID_BYTES);
        memcpy(x.subject, t.ctx.subject, UUID_BYTES);
        add_finding(&x);
        place.index = head.rows;
    }
    MUST(!rows_encode_turn(&row, &t, &place));
    add_row(ROWS_TURNS, &row);
    place.index = head.rows;
    MUST(!rows_encode_interaction(&row, &x, &place));
    add_row(ROWS_INTERACTIONS, &row);
    buf_wipe(&row);
    now_us += 100;
}

static void begin_batch(void) {
    uint8_t start[56] = "shspool1", check[16];
    head.number++;
    head.rows = 0;
    batch_tree_init(&tree);
    buf_clear(&file);
    put_u64(start + 8, head.sealer);
    put_u64(start + 16, head.number);
    memcpy(start + 24, head.previous, BATCH_HASH_BYTES);
    crypto_generichash(check, sizeof check, start, sizeof start, NULL, 0);
    MUST(!buf_append(&file, start, sizeof start) && !buf_append(&file, check, 8));
}

static void end_batch(void) {
    uint8_t end[68], commitment[BATCH_HASH_BYTES];
    batch_tree_root(&tree, head.root);
    batch_commitment(commitment, &head);
    put_u32(end, head.rows);
    memcpy(end + 4, head.root, BATCH_HASH_BYTES);
    memcpy(end + 36, commitment, BATCH_HASH_BYTES);
    frame(2, 0, end, sizeof end);
    int fd = memfd_create("spool", MFD_CLOEXEC);
    MUST(fd >= 0 && write(fd, file.p, file.len) == (ssize_t)file.len);
    MUST(!store_insert_file(store, fd, head.sealer, head.number, head.rows, false));
    close(fd);
    MUST(!ledger_batch(ledger, &head, commitment) && !ledger_sync(ledger));
    memcpy(head.previous, commitment, BATCH_HASH_BYTES);
}

static int give(const char *path, const struct stat *st, int type, struct FTW *f) {
    (void)st, (void)type, (void)f;
    return lchown(path, owner, owner);
}

/* What root made in a program's folder has to be that program's. */
static void give_back(const char *folder) {
    struct stat st;
    MUST(stat(folder, &st) == 0);
    owner = st.st_uid;
    if (geteuid() == 0)
        MUST(nftw(folder, give, 64, FTW_PHYS) == 0);
}

int main(int argc, char **argv) {
    char dir[PATH_MAX], vault[PATH_MAX + 8], log[PATH_MAX + 8];
    const uint8_t audit[32] = {9}; /* no entry here has a sealed part */
    MUST((argc == 4 || argc == 5) && sodium_init() >= 0 && realpath(argv[1], dir));
    each = argc == 5 ? atol(argv[4]) : 0;
    MUST(each >= 0 && each <= 2000);
    const long exchanges = atol(argv[2]), bytes = atol(argv[3]);
    MUST(exchanges > 0 && bytes > 60 && bytes <= 1 << 20);
    snprintf(vault, sizeof vault, "%s/vault", dir);
    snprintf(log, sizeof log, "%s/store", dir);
    randombytes_buf(&head.sealer, sizeof head.sealer);
    randombytes_buf(&epoch, sizeof epoch);
    now_us = clock_wall_us() - 100 * (uint64_t)exchanges;
    buf_init(&file, 1u << 30);
    MUST(!ledger_open(vault, audit, &ledger, NULL) && !store_open(log, &store));
    uint64_t rows = 0;
    for (long i = 0; i < exchanges;) {
        begin_batch();
        if (each)
            add_data_key();
        for (int k = 0; k < (each ? each : BATCH_EXCHANGES) && i < exchanges && file.len < 32u << 20; k++, i++)
            add_exchange((size_t)bytes);
        end_batch();
        rows += head.rows;
    }
    store_close(store);
    ledger_close(ledger);
    give_back(vault);
    give_back(log);
    printf("%llu\n", (unsigned long long)rows);
    return 0;
}
