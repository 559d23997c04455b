/*
 * The client side of store and vault for the command line and the console (remote.h). What comes from the store is
 * not trusted with more than it can say: the vault checks each data-key row's MAC and each cell's
 * context itself, and a row for another key does not open anything.
 *
 * Opened bytes are wiped by their owner; frames are wiped by the peer.
 */
#include "read/query/remote.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"
#include "codec/codec.h"
#include "record/datakey.h"

#define ANSWER_MS 120000
#define SEND_MS 60000
#define KEYS_MAX 1024   /* data-key rows kept */
#define KEYS_ASKED 128  /* in one statement */
#define OPEN_BYTES (32u << 20) /* of cells in one opening request */

struct remote {
    struct remote_ways ways;
    const char *reason;
    const uint8_t *session; /* NULL: none */
    struct peer *store, *vault;
    struct data_key_row *keys;
    size_t keys_n, keys_next;
    bool told;   /* the vault's connection knows the reason */
    bool asking; /* within an answer of the store */
    char why[512];
};

int remote_new_by(struct remote **ret, const struct remote_ways *ways, const char *reason) {
    struct remote *r = calloc(1, sizeof *r);
    if (!r)
        return ERR_NOMEM;
    r->ways = *ways;
    r->reason = reason;
    r->keys = calloc(KEYS_MAX, sizeof *r->keys);
    if (!r->keys) {
        free(r);
        return ERR_NOMEM;
    }
    *ret = r;
    return 0;
}

void remote_free(struct remote *r) {
    if (!r)
        return;
    peer_free(r->store);
    peer_free(r->vault);
    free(r->keys);
    free(r);
}

void remote_session(struct remote *r, const uint8_t *token) {
    r->session = token;
}

const char *remote_why(const struct remote *r) {
    return r->why;
}

static void hang_up(struct peer **p) {
    peer_free(*p);
    *p = NULL;
}

static void leave_vault(struct remote *r) {
    hang_up(&r->vault);
    r->told = false;
}

void remote_rest(struct remote *r) {
    hang_up(&r->store);
    leave_vault(r);
}

/* Connects unless it is; says why not. */
static int reach(struct remote *r, const char *name, enum ipc_role role, struct peer **p) {
    int rc = *p ? 0 : r->ways.reach(r->ways.arg, role, p);
    if (rc == ERR_DENIED)
        snprintf(r->why, sizeof r->why, "this installation belongs to another user");
    else if (rc == ERR_LIMIT)
        snprintf(r->why, sizeof r->why, "the folder's path is too long for its sockets");
    else if (rc)
        snprintf(r->why, sizeof r->why, "the %s does not answer", name);
    return rc == ERR_NOTFOUND ? ERR_PEER : rc;
}

/* i32 code | text: remembers the text, gives the code. */
static int end_of(struct remote *r, const struct frame *f) {
    if (f->len < 4)
        return ERR_SYNTAX;
    size_t n = f->len - 4 < sizeof r->why - 1 ? f->len - 4 : sizeof r->why - 1;
    memcpy(r->why, f->p + 4, n);
    r->why[n] = 0;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)r->why[i] < 0x20 || r->why[i] == 0x7f)
            r->why[i] = ' ';
    return (int)(int32_t)get_u32(f->p);
}

static int send_query(struct remote *r, const char *format, const char *sql, size_t sql_len) {
    uint8_t head[2 + 64];
    size_t n = strlen(format);
    if (n > sizeof head - 2 || sql_len > LIMIT_SQL)
        return ERR_LIMIT;
    put_u16(head, (uint16_t)n);
    memcpy(head + 2, format, n);
    /* A kept connection may have been let go in the meantime: once more on a new one. */
    for (int fresh = 0; fresh < 2; fresh++) {
        if (!r->store)
            fresh = 1;
        int rc = reach(r, "store", IPC_STORE, &r->store);
        if (rc)
            return rc;
        rc = peer_send2(r->store, MSG_QUERY, head, 2 + n, sql, sql_len);
        if (!rc)
            rc = peer_flush_wait(r->store, SEND_MS);
        if (!rc)
            return 0;
        hang_up(&r->store);
        if (rc != ERR_PEER)
            return rc;
    }
    return ERR_PEER;
}

static int ask(struct remote *r, const char *format, const char *sql, size_t sql_len,
               remote_sink *sink, void *arg) {
    struct frame f;
    r->why[0] = 0;
    bool again = r->store != NULL;
    int rc = send_query(r, format, sql, sql_len);
    for (bool any = false; !rc; any = true) {
        rc = peer_recv_wait(r->store, &f, ANSWER_MS);
        if (rc == ERR_PEER && again && !any) {
            hang_up(&r->store);
            again = false;
            rc = send_query(r, format, sql, sql_len);
            continue;
        }
        if (rc)
            break;
        if (f.fd >= 0 || (f.msg != MSG_DATA && f.msg != MSG_END)) {
            rc = ERR_DENIED;
        } else if (f.msg == MSG_END) {
            return end_of(r, &f);
        } else {
            rc = sink(arg, f.p, f.len);
        }
    }
    hang_up(&r->store);
    return rc;
}

int remote_query(struct remote *r, const char *format, const char *sql, size_t sql_len,
                 remote_sink *sink, void *arg) {
    CHECK(!r->asking);
    r->asking = true;
    int rc = r->ways.query ? r->ways.query(r->ways.arg, format, sql, sql_len, sink, arg)
                           : ask(r, format, sql, sql_len, sink, arg);
    r->asking = false;
    return rc;
}

static int append_sink(void *arg, const void *p, size_t len) {
    return buf_append(arg, p, len);
}

int remote_query_whole(struct remote *r, const char *format, const char *sql, struct buf *out) {
    return remote_query(r, format, sql, strlen(sql), append_sink, out);
}

/* --- data keys --- */

static const struct data_key_row *find_key(const struct remote *r, const uint8_t *id) {
    for (size_t i = 0; i < r->keys_n; i++)
        if (memcmp(r->keys[i].id, id, DATA_KEY_ID_BYTES) == 0)
            return &r->keys[i];
    return NULL;
}

static int take_name(char out[LIMIT_NAME], const uint8_t **p, size_t *left) {
    size_t n = *left ? **p : LIMIT_NAME;
    if (n >= LIMIT_NAME || *left - 1 < n)
        return ERR_SYNTAX;
    memcpy(out, *p + 1, n);
    out[n] = 0;
    *p += 1 + n;
    *left -= 1 + n;
    return 0;
}

/* One row in RowBinary: tenant, project, time, id, subject, writer, wrapped, mac. */
static int take_key(struct data_key_row *row, const uint8_t **p, size_t *left) {
    const size_t fixed = 8 + DATA_KEY_ID_BYTES + UUID_BYTES + 4 + DATA_KEY_WRAPPED_BYTES +
                         DATA_KEY_MAC_BYTES;
    int rc = take_name(row->tenant, p, left);
    if (!rc)
        rc = take_name(row->project, p, left);
    if (rc || *left < fixed)
        return ERR_SYNTAX;
    const uint8_t *q = *p;
    row->created_us = get_u64(q);
    memcpy(row->id, q + 8, DATA_KEY_ID_BYTES);
    q += 8 + DATA_KEY_ID_BYTES;
    for (int i = 0; i < 8; i++) {
        row->subject[i] = q[7 - i];
        row->subject[8 + i] = q[15 - i];
    }
    row->writer = get_u32(q + UUID_BYTES);
    memcpy(row->wrapped, q + UUID_BYTES + 4, DATA_KEY_WRAPPED_BYTES);
    memcpy(row->mac, q + UUID_BYTES + 4 + DATA_KEY_WRAPPED_BYTES, DATA_KEY_MAC_BYTES);
    *p += fixed;
    *left -= fixed;
    return 0;
}

static void keep_key(struct remote *r, const struct data_key_row *row) {
    if (find_key(r, row->id))
        return;
    r->keys[r->keys_next] = *row;
    r->keys_next = (r->keys_next + 1) % KEYS_MAX;
    if (r->keys_n < KEYS_MAX)
        r->keys_n++;
}

/* The rows of up to KEYS_ASKED ids, written as hex in `list`. */
static int fetch_keys(struct remote *r, const struct buf *list) {
    struct buf sql, rows;
    buf_init(&sql, LIMIT_SQL);
    buf_init(&rows, 1u << 20);
    int rc = buf_append_str(&sql, "SELECT tenant, project, time, id, subject, writer, wrapped, mac"
                                  " FROM data_keys WHERE id IN (");
    if (!rc)
        rc = buf_append(&sql, list->p, list->len);
    if (!rc)
        rc = buf_append(&sql, ")", 2);
    if (!rc)
        rc = remote_query_whole(r, "RowBinary", (const char *)sql.p, &rows);
    const uint8_t *p = rows.p;
    size_t left = rows.len;
    while (!rc && left > 0) {
        struct data_key_row row = {0};
        rc = take_key(&row, &p, &left);
        if (!rc)
            keep_key(r, &row);
    }
    buf_wipe(&sql);
    buf_wipe(&rows);
    return rc;
}

/* Fetches what is not known yet. A cell whose key does not exist is found out later. */
static int need_keys(struct remote *r, const struct cell *cells, size_t n) {
    struct buf list;
    size_t asked = 0;
    uint8_t last[DATA_KEY_ID_BYTES] = {0};
    int rc = 0;
    buf_init(&list, LIMIT_SQL);
    for (size_t i = 0; !rc && i < n; i++) {
        struct envelope_header h;
        if (envelope_decode_header(&h, cells[i].envelope, cells[i].envelope_len) ||
            find_key(r, h.data_key) || (asked && memcmp(last, h.data_key, sizeof last) == 0))
            continue;
        char hex[2 * DATA_KEY_ID_BYTES + 1];
        memcpy(last, h.data_key, sizeof last);
        hex_encode(hex, h.data_key, DATA_KEY_ID_BYTES);
        rc = buf_printf(&list, "%sunhex('%s')", asked ? "," : "", hex);
        if (!rc && ++asked == KEYS_ASKED) {
            rc = fetch_keys(r, &list);
            buf_clear(&list);
            asked = 0;
        }
    }
    if (!rc && asked)
        rc = fetch_keys(r, &list);
    buf_wipe(&list);
    return rc;
}

/* --- the vault --- */

/* The request that follows is for the session, if there is one. */
static int send_as(struct remote *r) {
    return r->session ? peer_send(r->vault, MSG_AS, r->session, 32, -1) : 0;
}

static int send_why(struct remote *r) {
    uint8_t why[2 + LIMIT_REASON];
    size_t n = strlen(r->reason);
    if (n > LIMIT_REASON)
        return ERR_LIMIT;
    put_u16(why, (uint16_t)n);
    memcpy(why + 2, r->reason, n);
    return peer_send(r->vault, MSG_OPEN_WHY, why, 2 + n, -1);
}

/* u32 number | u16 n | data-key row | context | envelope */
static int send_cell(struct remote *r, uint32_t number, const struct data_key_row *key,
                     const struct cell *cell) {
    uint8_t head[6 + DATA_KEY_ROW_MAX];
    size_t n = data_key_row_encode(head + 6, key);
    put_u32(head, number);
    put_u16(head + 4, (uint16_t)n);
    /* Context and envelope lie one after the other: they came out of one cell. */
    int rc = peer_send2(r->vault, MSG_OPEN_CELL, head, 6 + n, cell->context,
                        cell->context_len + cell->envelope_len);
    return rc ? rc : peer_flush_wait(r->vault, SEND_MS);
}

/* Padded and maybe compressed, as the vault gives it, to the text. */
static int unpack(struct opened *o, uint8_t dictionary, const uint8_t *p, size_t len) {
    long n = padme_unpad(p, len);
    if (n < 0)
        return (int)n;
    buf_init(&o->text, LIMIT_TURN_PLAIN);
    return codec_decompress(dictionary, p, (size_t)n, &o->text);
}

/* u32 number | i32 code | u8 dictionary | padded plaintext */
static int take_opened(const struct frame *f, struct opened *ret, size_t n) {
    if (f->len < 9)
        return ERR_SYNTAX;
    uint32_t number = get_u32(f->p);
    if (number >= n || ret[number].rc != ERR_AGAIN)
        return ERR_SYNTAX;
    int rc = (int)(int32_t)get_u32(f->p + 4);
    if (!rc)
        rc = unpack(&ret[number], f->p[8], f->p + 9, f->len - 9);
    ret[number].rc = rc;
    return 0;
}

static int receive_opened(struct remote *r, struct opened *ret, size_t n) {
    for (;;) {
        struct frame f;
        int rc = peer_recv_wait(r->vault, &f, ANSWER_MS);
        if (!rc && f.fd >= 0)
            rc = ERR_DENIED;
        if (!rc && f.msg == MSG_END)
            return end_of(r, &f);
        if (!rc)
            rc = f.msg == MSG_OPENED ? take_opened(&f, ret, n) : ERR_DENIED;
        if (rc)
            return rc;
    }
}

/* One request: cells [from, *to), as many as fit. Cells without a key row, or too large for a message,
 * are failed at once. */
static int open_some(struct remote *r, const struct cell *cells, size_t from, size_t *to, size_t n,
                     struct opened *ret) {
    size_t bytes = 0, sent = 0;
    int rc = reach(r, "vault", IPC_VAULT, &r->vault);
    if (!rc)
        rc = send_as(r);
    if (!rc && !r->told)
        rc = send_why(r);
    r->told = !rc;
    for (; !rc && *to < n && bytes < OPEN_BYTES && sent < LIMIT_OPEN_CELLS; (*to)++) {
        struct envelope_header h;
        const struct cell *c = &cells[*to];
        int bad = envelope_decode_header(&h, c->envelope, c->envelope_len);
        if (c->context_len + c->envelope_len > LIMIT_CELL - 6 - DATA_KEY_ROW_MAX)
            bad = ERR_LIMIT;
        const struct data_key_row *key = bad ? NULL : find_key(r, h.data_key);
        if (!key) {
            ret[*to].rc = bad ? bad : ERR_NOTFOUND;
            continue;
        }
        rc = send_cell(r, (uint32_t)(*to - from), key, c);
        bytes += c->context_len + c->envelope_len;
        sent++;
    }
    if (!rc && sent) {
        rc = peer_send(r->vault, MSG_OPEN_GO, NULL, 0, -1);
        if (!rc)
            rc = peer_flush_wait(r->vault, SEND_MS);
        if (!rc)
            rc = receive_opened(r, ret + from, *to - from);
    }
    return rc;
}

static int receive_end(struct remote *r) {
    struct frame f;
    int rc = peer_recv_wait(r->vault, &f, ANSWER_MS);
    if (!rc && (f.fd >= 0 || f.msg != MSG_END))
        rc = ERR_DENIED;
    return rc ? rc : end_of(r, &f);
}

int remote_plan(struct remote *r, const char *query, size_t query_len, const uint8_t (*hashes)[32],
                size_t count) {
    struct buf head;
    uint8_t len[2];
    const size_t shown = query_len < LIMIT_PLAN_QUERY ? query_len : LIMIT_PLAN_QUERY;
    if (count > LIMIT_PLAN_CELLS) {
        snprintf(r->why, sizeof r->why, "more than %d cells cannot be opened by one statement",
                 LIMIT_PLAN_CELLS);
        return ERR_LIMIT;
    }
    r->why[0] = 0;
    buf_init(&head, 2 + LIMIT_PLAN_QUERY);
    put_u16(len, (uint16_t)shown);
    int rc = buf_append(&head, len, sizeof len);
    if (!rc)
        rc = buf_append(&head, query, shown);
    if (!rc)
        rc = reach(r, "vault", IPC_VAULT, &r->vault);
    if (!rc)
        rc = send_as(r);
    if (!rc && !r->told)
        rc = send_why(r);
    r->told = !rc;
    if (!rc)
        rc = peer_send2(r->vault, MSG_OPEN_PLAN, head.p, head.len, hashes, 32 * count);
    if (!rc)
        rc = peer_flush_wait(r->vault, SEND_MS);
    if (!rc)
        rc = receive_end(r);
    if (rc)
        leave_vault(r);
    buf_wipe(&head);
    return rc;
}

void remote_open(void *remote, const struct cell *cells, size_t n, struct opened *ret) {
    struct remote *r = remote;
    for (size_t i = 0; i < n; i++) {
        ret[i].rc = ERR_AGAIN; /* not answered yet */
        buf_init(&ret[i].text, LIMIT_TURN_PLAIN);
    }
    int rc = r->reason ? 0 : ERR_DENIED;
    if (!rc)
        rc = need_keys(r, cells, n);
    for (size_t to = 0, from = 0; !rc && from < n; from = to)
        rc = open_some(r, cells, from, &to, n, ret);
    if (rc)
        leave_vault(r);
    for (size_t i = 0; i < n; i++) {
        if (ret[i].rc == ERR_AGAIN)
            ret[i].rc = rc ? rc : ERR_PEER;
        if (ret[i].rc)
            buf_wipe(&ret[i].text);
    }
}

/* --- fingerprints --- */

static int send_secret(struct remote *r, const uint8_t *value, size_t len, const uint8_t *wanted,
                       size_t wanted_len) {
    if (len > LIMIT_SECRET || wanted_len > LIMIT_SECRET_TAG - 2 - len)
        return ERR_LIMIT;
    uint8_t *head = sodium_malloc(2 + len);
    if (!head)
        return ERR_NOMEM;
    put_u16(head, (uint16_t)len);
    memcpy(head + 2, value, len);
    int rc = peer_send2(r->vault, MSG_SECRET_TAG, head, 2 + len, wanted, wanted_len);
    sodium_free(head);
    return rc ? rc : peer_flush_wait(r->vault, SEND_MS);
}

int remote_secret_tags(struct remote *r, const uint8_t *value, size_t len, const uint8_t *wanted,
                       size_t wanted_len, struct buf *ret_tags) {
    r->why[0] = 0;
    int rc = reach(r, "vault", IPC_VAULT, &r->vault);
    if (!rc)
        rc = send_as(r);
    if (!rc)
        rc = send_secret(r, value, len, wanted, wanted_len);
    while (!rc) {
        struct frame f;
        rc = peer_recv_wait(r->vault, &f, ANSWER_MS);
        if (!rc && (f.fd >= 0 || (f.msg != MSG_SECRET_TAGS && f.msg != MSG_END)))
            rc = ERR_DENIED;
        if (!rc && f.msg == MSG_END)
            return end_of(r, &f);
        if (!rc)
            rc = buf_append(ret_tags, f.p, f.len);
    }
    leave_vault(r);
    return rc;
}

int remote_vault(struct remote *r, enum ipc_msg msg, const void *p, size_t len, remote_frame *fn,
                 void *arg) {
    r->why[0] = 0;
    int rc = reach(r, "vault", IPC_VAULT, &r->vault);
    if (!rc)
        rc = send_as(r);
    if (!rc)
        rc = peer_send(r->vault, msg, p, len, -1);
    if (!rc)
        rc = peer_flush_wait(r->vault, SEND_MS);
    while (!rc) {
        struct frame f;
        rc = peer_recv_wait(r->vault, &f, ANSWER_MS);
        if (!rc && f.fd >= 0)
            rc = ERR_DENIED;
        if (!rc && f.msg == MSG_END)
            return end_of(r, &f);
        if (!rc)
            rc = fn ? fn(arg, f.msg, f.p, f.len) : ERR_DENIED;
    }
    hang_up(&r->vault);
    return rc;
}
