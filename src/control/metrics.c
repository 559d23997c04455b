/*
 * Counting of metrics.h. The supervisor makes the file; gateway workers add to it with relaxed
 * atomic operations on memory alone. metrics_int.h tells how entries are found and made.
 *
 * Everything that counts is an addition that stands alone: the number of a histogram's observations
 * is the sum of its buckets, a refusal's is the sum over its classes. So there is no state between
 * two additions that a reader, or the death of a worker, could find broken.
 */
#include "control/metrics_int.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/memfile.h"

#define MS UINT64_C(1000000) /* in ns */
#define NONE UINT64_MAX

#define TOKEN_BOUNDS                                                                               \
    {                                                                                              \
        1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864, \
            NONE, NONE                                                                             \
    }

/* clang-format off */
const struct metrics_bounds metrics_bounds[METRICS_HISTS] = {
    [METRICS_DURATION] = {0, 14, {10 * MS, 20 * MS, 40 * MS, 80 * MS, 160 * MS, 320 * MS, 640 * MS,
                                  1280 * MS, 2560 * MS, 5120 * MS, 10240 * MS, 20480 * MS,
                                  40960 * MS, 81920 * MS, NONE, NONE}},
    [METRICS_INPUT] = {16, 14, TOKEN_BOUNDS},
    [METRICS_OUTPUT] = {32, 14, TOKEN_BOUNDS},
    [METRICS_FIRST] = {48, 16, {1 * MS, 5 * MS, 10 * MS, 20 * MS, 40 * MS, 60 * MS, 80 * MS,
                                100 * MS, 250 * MS, 500 * MS, 750 * MS, 1000 * MS, 2500 * MS,
                                5000 * MS, 7500 * MS, 10000 * MS}},
    [METRICS_EACH] = {66, 13, {10 * MS, 25 * MS, 50 * MS, 75 * MS, 100 * MS, 150 * MS, 200 * MS,
                               300 * MS, 400 * MS, 500 * MS, 750 * MS, 1000 * MS, 2500 * MS,
                               NONE, NONE, NONE}},
};
/* clang-format on */

/* ---- keys ---- */

/* A 64 x 64 bit product, folded. */
static uint64_t fold(uint64_t a, uint64_t b) {
    __extension__ typedef unsigned __int128 product;
    product p = (product)a * b;
    return (uint64_t)p ^ (uint64_t)(p >> 64);
}

/* A name's bytes where they lie, eight at a time; then what is left with the length. Keyed, so that
 * nobody outside can aim at another one's place; two that meet by chance would only be counted as
 * one, and for names that are in the table that does not happen in practice. */
static uint64_t hash_name(const struct metrics_file *f, uint64_t h, const char *name, size_t len) {
    uint64_t word, last = len << 56;
    size_t i = 0;
    for (; i + 8 <= len; i += 8) {
        memcpy(&word, name + i, sizeof word);
        h = fold(h ^ word, f->hash_key[0]);
    }
    for (size_t shift = 0; i < len; i++, shift += 8)
        last ^= (uint64_t)(uint8_t)name[i] << shift;
    return fold(h ^ last, f->hash_key[1]);
}

/* Never 0, which is a free place. */
static uint64_t series_hash(const struct metrics_file *f, const struct metrics_exchange *e) {
    uint64_t h = f->hash_key[2] ^ ((uint64_t)e->operation << 8 | (uint64_t)e->error);
    h = hash_name(f, h, e->provider, strlen(e->provider));
    h = hash_name(f, h, e->model, e->model ? e->model_len : 0);
    h = hash_name(f, h, e->answered, e->answered ? e->answered_len : 0);
    return h | 1;
}

static uint64_t named_hash(const struct metrics_file *f, enum metrics_kind kind, const char *name) {
    return hash_name(f, f->hash_key[2] ^ (uint64_t)kind, name, strlen(name)) | 1;
}

struct key {
    uint64_t words[METRICS_SERIES_WORDS];
    size_t len;
};

static void key_byte(struct key *k, uint8_t v) {
    ((uint8_t *)k->words)[k->len++] = v;
}

static void key_name(struct key *k, const char *name, size_t len) {
    if (len)
        memcpy((uint8_t *)k->words + k->len, name, len);
    k->len += len;
    key_byte(k, 0);
}

static void series_key(struct key *k, const struct metrics_exchange *e) {
    *k = (struct key){.len = 0};
    key_byte(k, (uint8_t)e->operation);
    key_byte(k, (uint8_t)e->error);
    key_name(k, e->provider, strlen(e->provider));
    key_name(k, e->model, e->model ? e->model_len : 0);
    key_name(k, e->answered, e->answered ? e->answered_len : 0);
}

/* ---- tables ---- */

/* The place of this hash, or `count`. */
static uint32_t table_find(const _Atomic uint64_t *hashes, uint32_t count, uint64_t hash) {
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = (uint32_t)((hash / 2 + i) % count);
        uint64_t there = atomic_load_explicit(&hashes[at], memory_order_relaxed);
        if (there == hash)
            return at;
        if (!there)
            break;
    }
    return count;
}

/* The same, and claims a free place where there is none. Places are never given back, so nobody who
 * looked at one before us can have found it free and claim another for the same hash. */
static uint32_t table_claim(_Atomic uint64_t *hashes, uint32_t count, uint64_t hash) {
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = (uint32_t)((hash / 2 + i) % count);
        uint64_t there = 0;
        if (atomic_compare_exchange_strong(&hashes[at], &there, hash) || there == hash)
            return at;
    }
    return count;
}

/* Whoever meets an entry that is not ready makes it so, instead of waiting for its claimer. */
static void table_complete(_Atomic uint32_t *ready, _Atomic uint64_t *words, const struct key *k) {
    for (size_t i = 0; i < (k->len + 7) / 8; i++)
        atomic_store_explicit(&words[i], k->words[i], memory_order_relaxed);
    atomic_store_explicit(ready, 1, memory_order_release);
}

/* Of names that may be labels. NULL: there is no room. */
static struct metrics_series *series_claim(struct metrics *m, const struct metrics_exchange *e) {
    struct metrics_file *f = m->file;
    uint32_t at = table_claim(f->series_hash, METRICS_SERIES, series_hash(f, e));
    if (at == METRICS_SERIES)
        return NULL;
    if (!atomic_load_explicit(&f->series[at].ready, memory_order_relaxed)) {
        struct key k;
        series_key(&k, e);
        table_complete(&f->series[at].ready, f->series[at].key, &k);
    }
    return &f->series[at];
}

static struct metrics_named *named_claim(struct metrics *m, enum metrics_kind kind,
                                         const char *name) {
    struct metrics_file *f = m->file;
    uint32_t at = table_claim(f->named_hash, METRICS_NAMED, named_hash(f, kind, name));
    if (at == METRICS_NAMED)
        return NULL;
    if (!atomic_load_explicit(&f->named[at].ready, memory_order_relaxed)) {
        struct key k = {.len = 0};
        key_byte(&k, (uint8_t)kind);
        key_name(&k, name, strlen(name));
        table_complete(&f->named[at].ready, f->named[at].key, &k);
    }
    return &f->named[at];
}

/* An addition to a name's count, or to that of "other", which has its place from the start. */
static void named_add(struct metrics *m, enum metrics_kind kind, const char *name, size_t class) {
    struct metrics_named *n = strlen(name) < LIMIT_NAME ? named_claim(m, kind, name) : NULL;
    if (!n)
        n = named_claim(m, kind, METRICS_OTHER);
    if (n)
        atomic_fetch_add_explicit(&n->counts[class], 1, memory_order_relaxed);
}

/* ---- the file ---- */

/* The entries of what has no room must have room: they are made first. */
static int make_rest(struct metrics *m) {
    for (int i = 0; i < 2; i++) {
        struct metrics_exchange e = {.provider = METRICS_OTHER,
                                     .model = METRICS_OTHER,
                                     .model_len = strlen(METRICS_OTHER),
                                     .operation = METRICS_OTHER_OPERATION,
                                     .error = i ? METRICS_OTHER_ERROR : METRICS_NO_ERROR};
        m->rest[i] = series_claim(m, &e);
    }
    return m->rest[0] && m->rest[1] && named_claim(m, METRICS_REFUSAL, METRICS_OTHER) &&
                   named_claim(m, METRICS_FALLBACK, METRICS_OTHER)
               ? 0
               : ERR_CORRUPT;
}

int metrics_map(int fd, const struct snapshot *names, struct metrics **ret) {
    struct stat st;
    if (fstat(fd, &st))
        return err_from_errno(errno);
    if (st.st_size != (off_t)sizeof(struct metrics_file))
        return ERR_VERSION;
    struct metrics_file *f = mmap(NULL, sizeof *f, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (f == MAP_FAILED)
        return err_from_errno(errno);
    struct metrics *m = calloc(1, sizeof *m);
    int rc = !m ? ERR_NOMEM : f->magic != METRICS_MAGIC || f->bytes != sizeof *f ? ERR_CORRUPT : 0;
    if (!rc) {
        *m = (struct metrics){.file = f, .fd = fd, .slot = LIMIT_WORKER_SLOTS, .names = names};
        rc = make_rest(m);
    }
    if (rc) {
        munmap(f, sizeof *f);
        free(m);
        return rc;
    }
    *ret = m;
    return 0;
}

int metrics_create(struct metrics **ret) {
    struct {
        uint64_t magic, bytes;
        uint64_t hash_key[3];
    } head = {METRICS_MAGIC, sizeof(struct metrics_file), {0}};
    randombytes_buf(head.hash_key, sizeof head.hash_key);
    for (size_t i = 0; i < 3; i++)
        head.hash_key[i] |= 1; /* multipliers */
    int fd = -1;
    int rc = memfile_new("safehouse-metrics", sizeof(struct metrics_file), &head, sizeof head, &fd);
    if (!rc)
        rc = metrics_map(fd, NULL, ret);
    if (rc) {
        if (fd >= 0)
            close(fd);
        return rc;
    }
    (*ret)->creator = true;
    return 0;
}

void metrics_close(struct metrics *m) {
    if (!m)
        return;
    munmap(m->file, sizeof *m->file);
    if (m->creator)
        close(m->fd);
    free(m);
}

int metrics_fd(const struct metrics *m) {
    return m->fd;
}

static void clear_slot(void *arg, uint32_t slot) {
    struct metrics *m = arg;
    atomic_store(&m->file->in_flight[slot], 0);
}

int metrics_claim(struct metrics *m) {
    CHECK(m->slot == LIMIT_WORKER_SLOTS);
    return slots_claim(m->fd, &m->file->slots, clear_slot, m, &m->slot);
}

unsigned metrics_reap(struct metrics *m) {
    return slots_reap(m->fd, &m->file->slots, clear_slot, m);
}

/* ---- an exchange ---- */

enum metrics_operation metrics_operation_of(const char *dialect) {
    static const struct {
        const char *dialect;
        enum metrics_operation operation;
    } table[] = {
        {"openai.chat", METRICS_CHAT},
        {"anthropic.messages", METRICS_CHAT},
        {"openai.responses", METRICS_GENERATE_CONTENT},
        {"openai.embeddings", METRICS_EMBEDDINGS},
        {"openai.completions", METRICS_TEXT_COMPLETION},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (!strcmp(table[i].dialect, dialect))
            return table[i].operation;
    return METRICS_OTHER_OPERATION;
}

enum metrics_error metrics_error_of(unsigned status) {
    static const char *const texts[] = {
#define TEXT(name, text) text,
        METRICS_ERRORS_TABLE(TEXT)
#undef TEXT
    };
    char number[12];
    if (status < 400)
        return METRICS_NO_ERROR;
    snprintf(number, sizeof number, "%u", status);
    for (unsigned e = METRICS_400; e < METRICS_OTHER_ERROR; e++)
        if (!strcmp(texts[e], number))
            return (enum metrics_error)e;
    return status < 500 ? METRICS_4XX : status < 600 ? METRICS_5XX : METRICS_OTHER_ERROR;
}

static void only_known(const struct metrics *m, const char **name, size_t *len) {
    if (!*name || !*len)
        return;
    if (*len < LIMIT_MODEL && m->names && snapshot_model_known(m->names, *name, *len))
        return;
    *name = METRICS_OTHER;
    *len = strlen(METRICS_OTHER);
}

/*
 * Names that are in the table were known when they came there; others are looked up, and become
 * "other". Providers answer with names that the configuration does not have (a model's with its
 * date) time and again: what came of such a lookup is remembered, by hash, until the next snapshot.
 */
static struct metrics_series *series_of(struct metrics *m, const struct metrics_exchange *e) {
    uint64_t hash = series_hash(m->file, e);
    uint32_t at = table_find(m->file->series_hash, METRICS_SERIES, hash);
    if (at < METRICS_SERIES &&
        atomic_load_explicit(&m->file->series[at].ready, memory_order_relaxed))
        return &m->file->series[at];
    uint64_t version = m->names ? snapshot_version(m->names) : 0;
    struct metrics_memo *memo = &m->memos[hash / 2 % METRICS_MEMOS];
    if (memo->series && memo->hash == hash && memo->version == version)
        return memo->series;
    struct metrics_exchange known = *e;
    if (strlen(e->provider) >= LIMIT_NAME)
        known.provider = METRICS_OTHER;
    only_known(m, &known.model, &known.model_len);
    only_known(m, &known.answered, &known.answered_len);
    struct metrics_series *s = series_claim(m, &known);
    if (!s)
        s = m->rest[e->error != METRICS_NO_ERROR];
    *memo = (struct metrics_memo){hash, version, s};
    return s;
}

/* The bucket first: when the sum has it, so has the count. */
static void record(struct metrics_series *s, enum metrics_hist which, uint64_t value) {
    const struct metrics_bounds *b = &metrics_bounds[which];
    size_t above = 0;
    for (size_t i = 0; i < METRICS_BOUNDS; i++)
        above += value > b->bound[i];
    atomic_fetch_add_explicit(&s->cells[b->at + above], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&s->cells[b->at + b->count + 1u], value, memory_order_release);
}

static void add_tokens(struct metrics *m, enum metrics_tokens which, uint32_t count) {
    if (count)
        atomic_fetch_add_explicit(&m->file->tokens[which], count, memory_order_relaxed);
}

/* A currency is its own name: claimed and complete in one step. */
static void add_cost(struct metrics *m, const char currency[SNAPSHOT_CURRENCY], uint64_t nano) {
    uint64_t name;
    _Static_assert(sizeof name == SNAPSHOT_CURRENCY, "a word");
    memcpy(&name, currency, sizeof name);
    uint32_t at = 0;
    for (uint32_t i = 1; name && i < METRICS_CURRENCIES && !at; i++) {
        uint64_t there = atomic_load_explicit(&m->file->money[i].currency, memory_order_relaxed);
        if (!there)
            atomic_compare_exchange_strong(&m->file->money[i].currency, &there, name);
        if (!there || there == name)
            at = i;
    }
    atomic_fetch_add_explicit(&m->file->money[at].nano, nano, memory_order_relaxed);
}

static void observe_series(struct metrics *m, const struct metrics_exchange *e) {
    struct metrics_series *s = series_of(m, e);
    record(s, METRICS_DURATION, e->duration_ns);
    if (e->usage) {
        record(s, METRICS_INPUT, e->input);
        record(s, METRICS_OUTPUT, e->output);
        add_tokens(m, METRICS_CACHED, e->cached);
        add_tokens(m, METRICS_CACHE_WRITE, e->cache_write);
        add_tokens(m, METRICS_REASONING, e->reasoning);
    }
    if (e->error != METRICS_NO_ERROR || !e->first_ns)
        return;
    record(s, METRICS_FIRST, e->first_ns);
    if (e->usage && e->output > 1 && e->duration_ns > e->first_ns)
        record(s, METRICS_EACH, (e->duration_ns - e->first_ns) / (e->output - 1));
}

/* Only the owner of the slot writes its cell: no addition of two programs can meet there. */
static void in_flight(struct metrics *m, int change) {
    CHECK(m->slot < LIMIT_WORKER_SLOTS);
    _Atomic uint32_t *cell = &m->file->in_flight[m->slot];
    uint32_t now = atomic_load_explicit(cell, memory_order_relaxed);
    if (change > 0 || now > 0)
        atomic_store_explicit(cell, now + (uint32_t)change, memory_order_relaxed);
}

void metrics_begin(struct metrics *m) {
    in_flight(m, 1);
}

void metrics_observe(struct metrics *m, const struct metrics_exchange *e) {
    size_t class = e->status / 100 < METRICS_CLASSES ? e->status / 100 : 0;
    CHECK((unsigned)e->operation < METRICS_OPERATIONS && (unsigned)e->error < METRICS_ERRORS);
    in_flight(m, -1);
    if (e->refusal)
        named_add(m, METRICS_REFUSAL, e->refusal, class);
    else
        atomic_fetch_add_explicit(&m->file->served[class], 1, memory_order_relaxed);
    if (e->provider)
        observe_series(m, e);
    if (e->cost)
        add_cost(m, e->currency, e->cost);
}

void metrics_fallback(struct metrics *m, const char *provider) {
    named_add(m, METRICS_FALLBACK, provider, 0);
}

void metrics_set_reports(struct metrics *m, uint64_t waiting, uint64_t since_us) {
    atomic_store_explicit(&m->file->reports, waiting, memory_order_relaxed);
    atomic_store_explicit(&m->file->reports_us, since_us, memory_order_relaxed);
}

void metrics_set_alarms(struct metrics *m, uint64_t total) {
    atomic_store_explicit(&m->file->alarms, total, memory_order_relaxed);
}
