/* RowBinary rows and results (shape.h): read strictly, a wrong byte is ERR_CORRUPT, never a guess. */
#include "read/verify/shape.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"

#define TEXT(name) {name, SHAPE_STRING, 0}
#define ID(name) {name, SHAPE_UUID, 16}
#define U8(name) {name, SHAPE_NUMBER, 1}
#define U16(name) {name, SHAPE_NUMBER, 2}
#define U32(name) {name, SHAPE_NUMBER, 4}
#define U64(name) {name, SHAPE_NUMBER, 8}
#define PLACE U64("sealer"), U64("batch"), U32("index")

static const struct shape_column data_keys[] = {
    TEXT("tenant"),
    TEXT("project"),
    U64("time"),
    {"id", SHAPE_FIXED, 16},
    ID("subject"),
    U32("writer"),
    {"wrapped", SHAPE_FIXED, 80},
    {"mac", SHAPE_FIXED, 32},
    PLACE,
};
static const struct shape_column turns[] = {
    TEXT("tenant"),
    TEXT("project"),
    U64("time"),
    ID("id"),
    ID("root"),
    ID("parent"),
    {"parent_hash", SHAPE_FIXED, 16},
    U32("kept"),
    TEXT("dialect"),
    ID("subject"),
    TEXT("envelope"),
    PLACE,
};
static const struct shape_column interactions[] = {
    TEXT("tenant"),
    TEXT("project"),
    U64("time"),
    ID("id"),
    TEXT("key"),
    ID("subject"),
    ID("conversation"),
    ID("parent"),
    TEXT("dialect"),
    TEXT("provider"),
    TEXT("model_asked"),
    TEXT("model"),
    U16("status"),
    TEXT("outcome"),
    TEXT("error"),
    TEXT("finish"),
    {"streamed", SHAPE_NUMBER, 1},
    U32("tokens_input"),
    U32("tokens_output"),
    U32("tokens_cached"),
    U32("tokens_reasoning"),
    TEXT("usage"),
    U64("cost_nano"),
    U32("ttft_us"),
    U32("duration_us"),
    U32("overhead_us"),
    U8("attempts"),
    U16("findings"),
    TEXT("session_id"),
    TEXT("trace_id"),
    {"tags", SHAPE_MAP, 0},
    U64("worker_epoch"),
    U64("worker_sequence"),
    TEXT("stored"),
    PLACE,
};
static const struct shape_column findings[] = {
    TEXT("tenant"),
    TEXT("project"),
    U64("time"),
    ID("interaction"),
    TEXT("key"),
    ID("subject"),
    TEXT("class"),
    TEXT("rule"),
    TEXT("place"),
    U32("count"),
    TEXT("fingerprint"),
    U32("fingerprint_key"),
    PLACE,
};

#define EPOCH_COLUMN 31
#define TIME_COLUMN 2 /* of every table */
#define SHAPE(table, id) {#table, table, sizeof table / sizeof table[0], id}
static const struct shape shapes[SHAPE_TABLES + 1] = {
    [SHAPE_DATA_KEYS] = SHAPE(data_keys, 3),
    [SHAPE_TURNS] = SHAPE(turns, 3),
    [SHAPE_INTERACTIONS] = SHAPE(interactions, 3),
    [SHAPE_FINDINGS] = SHAPE(findings, -1),
};

const struct shape *shape_of(int t) {
    CHECK(t >= SHAPE_DATA_KEYS && t <= SHAPE_TABLES);
    return &shapes[t];
}

int shape_names(const struct shape *s, struct buf *out) {
    int rc = 0;
    for (size_t i = 0; !rc && i < s->count; i++)
        rc = buf_printf(out, "%s%s", i ? ", " : "", s->columns[i].name);
    return rc;
}

/* ---- a row ---- */

/* LEB128, the shortest form only: another one would be other bytes for the same row. */
static int read_leb(const uint8_t *p, size_t len, size_t *at, size_t *ret) {
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 35; shift += 7) {
        if (*at >= len)
            return ERR_AGAIN;
        const uint8_t b = p[(*at)++];
        v |= (uint64_t)(b & 0x7f) << shift;
        if (b & 0x80)
            continue;
        if ((shift && !b) || v > SHAPE_ROW_MAX)
            return ERR_CORRUPT;
        *ret = (size_t)v;
        return 0;
    }
    return ERR_CORRUPT;
}

static int skip(size_t len, size_t *at, size_t n) {
    if (len - *at < n)
        return ERR_AGAIN;
    *at += n;
    return 0;
}

static int skip_string(const uint8_t *p, size_t len, size_t *at) {
    size_t n;
    int rc = read_leb(p, len, at, &n);
    return rc ? rc : skip(len, at, n);
}

static int skip_column(const struct shape_column *c, const uint8_t *p, size_t len, size_t *at) {
    size_t pairs;
    if (c->kind == SHAPE_STRING)
        return skip_string(p, len, at);
    if (c->kind != SHAPE_MAP)
        return skip(len, at, c->bytes);
    int rc = read_leb(p, len, at, &pairs);
    if (!rc && pairs > 1024)
        rc = ERR_CORRUPT;
    for (size_t i = 0; !rc && i < 2 * pairs; i++)
        rc = skip_string(p, len, at);
    return rc;
}

int shape_read(const struct shape *s, const uint8_t *p, size_t len, struct shape_row *ret) {
    size_t at = 0;
    for (size_t i = 0; i < s->count; i++) {
        int rc = skip_column(&s->columns[i], p, len, &at);
        if (rc)
            return rc == ERR_AGAIN && len > SHAPE_ROW_MAX ? ERR_CORRUPT : rc;
        ret->ends[i] = at;
    }
    ret->p = p;
    ret->len = at;
    return 0;
}

const uint8_t *shape_column(const struct shape_row *r, size_t i, size_t *ret_len) {
    const size_t from = i ? r->ends[i - 1] : 0;
    *ret_len = r->ends[i] - from;
    return r->p + from;
}

struct shape_place shape_place(const struct shape_row *r) {
    const uint8_t *p = r->p + r->len - SHAPE_PLACE_BYTES;
    return (struct shape_place){get_u64(p), get_u64(p + 8), get_u32(p + 16)};
}

uint64_t shape_time_us(const struct shape_row *r) {
    size_t n;
    return get_u64(shape_column(r, TIME_COLUMN, &n));
}

void shape_exchange(const struct shape_row *r, uint64_t *ret_epoch, uint64_t *ret_sequence) {
    size_t n;
    *ret_epoch = get_u64(shape_column(r, EPOCH_COLUMN, &n));
    *ret_sequence = get_u64(shape_column(r, EPOCH_COLUMN + 1, &n));
}

void shape_id(const struct shape *s, const struct shape_row *r, uint8_t out[UUID_BYTES]) {
    size_t n;
    memset(out, 0, UUID_BYTES);
    if (s->id < 0)
        return;
    const uint8_t *p = shape_column(r, (size_t)s->id, &n);
    const bool uuid = s->columns[s->id].kind == SHAPE_UUID;
    for (int i = 0; i < UUID_BYTES; i++)
        out[i] = p[uuid ? (i < 8 ? 7 - i : 23 - i) : i];
}

void shape_leaf(uint8_t out[SHA_BYTES], int table, const uint8_t *row, size_t len) {
    const uint8_t prefix[2] = {0x00, (uint8_t)table};
    sha_two(out, prefix, sizeof prefix, row, len);
}

/* ---- a result ---- */

void shape_stream_init(struct shape_stream *s, int table, shape_fn *fn, void *arg) {
    *s = (struct shape_stream){.shape = shape_of(table), .fn = fn, .arg = arg};
}

/* Whole rows; *ret_used is what they took. */
static int take(struct shape_stream *s, const uint8_t *p, size_t len, size_t *ret_used) {
    size_t used = 0;
    int rc = 0;
    while (!rc && used < len) {
        struct shape_row row;
        rc = shape_read(s->shape, p + used, len - used, &row);
        s->malformed = s->malformed || rc == ERR_CORRUPT;
        if (rc)
            break;
        rc = s->fn(s->arg, &row);
        used += row.len;
    }
    *ret_used = used;
    return rc == ERR_AGAIN ? 0 : rc;
}

static int keep(struct shape_stream *s, const uint8_t *p, size_t len) {
    if (len == 0)
        return 0;
    if (len > s->room - s->len) {
        size_t room = s->room ? s->room : 1u << 16;
        while (room - s->len < len)
            room *= 2;
        uint8_t *more = realloc(s->rest, room);
        if (!more)
            return ERR_NOMEM;
        s->rest = more;
        s->room = room;
    }
    memcpy(s->rest + s->len, p, len);
    s->len += len;
    return 0;
}

int shape_stream_feed(void *stream, const void *p, size_t len) {
    struct shape_stream *s = stream;
    size_t used;
    if (s->len == 0) {
        int rc = take(s, p, len, &used);
        return rc ? rc : keep(s, (const uint8_t *)p + used, len - used);
    }
    int rc = keep(s, p, len);
    if (!rc)
        rc = take(s, s->rest, s->len, &used);
    if (rc)
        return rc;
    memmove(s->rest, s->rest + used, s->len - used);
    s->len -= used;
    return 0;
}

int shape_stream_end(struct shape_stream *s) {
    int rc = s->len ? ERR_CORRUPT : 0;
    free(s->rest);
    s->rest = NULL;
    s->len = s->room = 0;
    return rc;
}
