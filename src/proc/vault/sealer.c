/*
 * The sealer's side of the vault. Its frames are read into two rounds: questions (HELLO, SUBJECT,
 * POOL, ASSIGN), which share a transaction of the keys, and batches, which share an fsync of the
 * ledger. No answer leaves before what it says is on disk.
 *
 * A round that fails is kept and tried again as it is; everything in it may be done twice.
 * Meanwhile the sealer goes on with its pool and its spool, and when a round has grown full nothing
 * more is read. A connection that is lost takes its rounds with it: the sealer asks again on the
 * next one.
 */
#include <sodium.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/traces.h"
#include "proc/vault/vault.h"

#define ROUND_BYTES (1u << 20) /* then no more is read */
#define ANSWERS_MAX (4u << 20)
#define RETRY_MS 1000
#define POOL_MAX 256
#define POOL_SLICE 64 /* pairs made for one MSG_POOL at a time */
#define FRAME_HEAD 6  /* in rounds and answers: u16 message | u32 length */

static int put_frame(struct buf *b, uint16_t msg, const void *p, size_t len) {
    uint8_t head[FRAME_HEAD];
    put_u16(head, msg);
    put_u32(head + 2, (uint32_t)len);
    int rc = buf_reserve(b, sizeof head + len);
    if (!rc)
        rc = buf_append(b, head, sizeof head);
    return rc ? rc : buf_append(b, p, len);
}

/* ---- questions ---- */

/* u32 pepper number | 32 tag | u16 n | n sealed name */
static int parse_question(struct keys_question *q, const uint8_t *p, size_t len) {
    const size_t head = 6 + KEYS_TAG_BYTES;
    if (len < head || get_u16(p + 4 + KEYS_TAG_BYTES) != len - head ||
        len - head > KEYS_NAME_SEALED_MAX)
        return ERR_SYNTAX;
    *q = (struct keys_question){
        .pepper_number = get_u32(p), .tag = p + 4, .name = p + head, .name_len = len - head};
    return 0;
}

static int lend(struct vault *v, const struct keys_loan *loan) {
    uint8_t p[140];
    put_u32(p, loan->writer);
    put_u32(p + 4, loan->pepper_number);
    memcpy(p + 8, loan->pepper, 32);
    memcpy(p + 40, loan->mac, 32);
    keys_opening_public(v->keys, p + 72);
    put_u32(p + 104, loan->fingerprint_number);
    memcpy(p + 108, loan->fingerprint, 32);
    int rc = put_frame(&v->answers, MSG_WRITER, p, sizeof p);
    sodium_memzero(p, sizeof p);
    return rc;
}

/* The ledger has which keys marked what from now on. That it cannot be written keeps nobody from logging. */
static void note_temporary(struct vault *v, const struct keys_loan *loan) {
    int rc = v->stale ? ERR_DENIED : note_key(v, ROTATED_PEPPER, loan->pepper_number);
    if (!rc)
        rc = note_key(v, ROTATED_FINGERPRINT, loan->fingerprint_number);
    if (!rc)
        rc = note_sync(v);
    if (rc) {
        note_undo(v);
        log_event("temporary-keys-not-noted", LOG_ERR(rc), LOG_END);
    }
}

static int on_hello(struct vault *v, const uint8_t *p) {
    struct keys_loan loan;
    int rc = keys_lend(v->keys, get_u64(p), &loan);
    if (!rc && loan.fresh)
        note_temporary(v, &loan);
    if (!rc) {
        v->lent = loan.writer;
        rc = lend(v, &loan);
    }
    sodium_memzero(&loan, sizeof loan);
    return rc;
}

static int say_subject(struct vault *v, const uint8_t tag[KEYS_TAG_BYTES],
                       const struct keys_subject *s) {
    uint8_t p[KEYS_TAG_BYTES + sizeof *s];
    erase_sealer_learns(v, s->id);
    memcpy(p, tag, KEYS_TAG_BYTES);
    memcpy(p + KEYS_TAG_BYTES, s->id, UUID_BYTES);
    memcpy(p + KEYS_TAG_BYTES + UUID_BYTES, s->public_key, KEYS_PUBLIC_BYTES);
    return put_frame(&v->answers, MSG_SUBJECT_IS, p, sizeof p);
}

/* What no repetition makes right is logged and not answered. */
static int refused(const char *event, int rc) {
    if (rc != ERR_CORRUPT && rc != ERR_NOTFOUND && rc != ERR_EXISTS && rc != ERR_DENIED)
        return rc;
    log_event(event, LOG_ERR(rc), LOG_END);
    return 0;
}

static int on_subject(struct vault *v, const uint8_t *p, size_t len) {
    struct keys_question q;
    struct keys_subject subject;
    CHECK(parse_question(&q, p, len) == 0);
    int rc = keys_subject(v->keys, &q, &subject);
    return rc ? refused("subject-refused", rc) : say_subject(v, q.tag, &subject);
}

static int on_assign(struct vault *v, const uint8_t *p, size_t len) {
    struct keys_question q;
    struct keys_subject subject;
    CHECK(parse_question(&q, p + UUID_BYTES, len - UUID_BYTES) == 0);
    int rc = keys_assign(v->keys, p, &q, &subject);
    return rc ? refused("assignment-refused", rc) : say_subject(v, q.tag, &subject);
}

static int on_pool(struct vault *v, unsigned wanted) {
    struct keys_subject pairs[POOL_SLICE];
    unsigned n = 0;
    int rc = 0;
    while (!rc && n < wanted && n < POOL_SLICE) {
        rc = keys_pool(v->keys, &pairs[n]);
        n += !rc;
    }
    if (rc == ERR_FULL) {
        log_event("pool-full", LOG_END);
        rc = 0;
    }
    return rc ? rc : put_frame(&v->answers, MSG_POOL_IS, pairs, n * sizeof pairs[0]);
}

static int handle_question(struct vault *v, uint16_t msg, const uint8_t *p, size_t len) {
    switch (msg) {
    case MSG_FORGOTTEN:
        v->forgot = get_u32(p);
        return 0;
    case MSG_HELLO:
        return on_hello(v, p);
    case MSG_SUBJECT:
        return on_subject(v, p, len);
    case MSG_ASSIGN:
        return on_assign(v, p, len);
    default:
        return on_pool(v, get_u16(p));
    }
}

static int begin_questions(struct vault *v) {
    return keys_begin(v->keys);
}

static int commit_questions(struct vault *v) {
    int rc = keys_commit(v->keys);
    if (rc)
        return rc;
    v->writer = v->lent;
    v->forgotten = v->forgot;
    if (v->forgotten == v->forget_number && !v->forget_due)
        buf_clear(&v->forget);
    return 0;
}

static void undo_questions(struct vault *v) {
    keys_rollback(v->keys);
}

/* ---- batches ---- */

/* The message is the entry's fields. */
static int on_marks(struct vault *v, const uint8_t *p, size_t len) {
    const struct ledger_draft d = {.kind = LEDGER_HIGH_WATER, .fields = p, .fields_len = len};
    return v->ledger ? ledger_append(v->ledger, &d, NULL) : 0;
}

static int handle_batch(struct vault *v, uint16_t msg, const uint8_t *p, size_t len) {
    if (msg == MSG_MARKS)
        return on_marks(v, p, len);
    if (msg == MSG_REPORT) {
        int rc = inbox_take(v, p, len);
        return rc ? refused("report-refused", rc)
                  : put_frame(&v->answers, MSG_REPORT_NOTED, p, KEYS_REPORT_NUMBER);
    }
    struct batch_head head = {
        .sealer = get_u64(p), .number = get_u64(p + 8), .rows = get_u32(p + 16)};
    memcpy(head.previous, p + 20, BATCH_HASH_BYTES);
    memcpy(head.root, p + 52, BATCH_HASH_BYTES);
    int rc = v->ledger ? ledger_batch(v->ledger, &head, p + 84) : ERR_DENIED;
    if (rc == 0 || rc == ERR_EXISTS)
        return put_frame(&v->answers, MSG_BATCH_NOTED, p + 8, 8);
    return refused("batch-refused", rc);
}

static int begin_batches(struct vault *v) {
    (void)v;
    return 0;
}

static int commit_batches(struct vault *v) {
    int rc = v->ledger ? ledger_sync(v->ledger) : 0;
    if (!rc)
        inbox_noted(v);
    return rc;
}

static void undo_batches(struct vault *v) {
    v->report_due = false;
    if (v->ledger)
        ledger_undo(v->ledger);
}

/* ---- rounds ---- */

void sealer_init(struct vault *v) {
    v->questions = (struct round){.name = "keys",
                                  .begin = begin_questions,
                                  .handle = handle_question,
                                  .commit = commit_questions,
                                  .undo = undo_questions};
    v->batches = (struct round){.name = "ledger",
                                .begin = begin_batches,
                                .handle = handle_batch,
                                .commit = commit_batches,
                                .undo = undo_batches};
    buf_init(&v->questions.frames, 2 * ROUND_BYTES);
    buf_init(&v->batches.frames, 2 * ROUND_BYTES);
    buf_init(&v->answers, ANSWERS_MAX);
}

static bool is_full(const struct round *r) {
    return r->frames.len > ROUND_BYTES;
}

/* Handles frames until the time is up; *ret_to is where it came to. */
static int handle_some(struct vault *v, struct round *r, size_t *ret_to) {
    const uint64_t end = clock_mono_ns() + VAULT_TURN_NS;
    size_t at = r->done;
    int rc = r->begin(v);
    while (!rc && at < r->frames.len && clock_mono_ns() < end) {
        const uint8_t *p = r->frames.p + at;
        const size_t len = get_u32(p + 2);
        rc = r->handle(v, get_u16(p), p + FRAME_HEAD, len);
        at += FRAME_HEAD + len;
    }
    *ret_to = at;
    return rc;
}

static void send_answers(struct vault *v) {
    int rc = 0;
    for (size_t at = 0; !rc && at < v->answers.len;) {
        const uint8_t *p = v->answers.p + at;
        const size_t len = get_u32(p + 2);
        rc = peer_send(v->sealer, (enum ipc_msg)get_u16(p), p + FRAME_HEAD, len, -1);
        at += FRAME_HEAD + len;
    }
    buf_clear(&v->answers);
    if (rc)
        sealer_drop(v);
}

static void round_failed(struct round *r, int rc) {
    if (rc != r->rc)
        log_event("write-failed", LOG_WORD("of", r->name), LOG_ERR(rc), LOG_END);
    r->rc = rc;
    r->retry_ns = clock_mono_ns() + RETRY_MS * 1000000ull;
}

static void run_round(struct vault *v, struct round *r) {
    size_t to;
    if (r->done == r->frames.len || clock_mono_ns() < r->retry_ns)
        return;
    int rc = handle_some(v, r, &to);
    if (!rc)
        rc = r->commit(v);
    traces_wipe(); /* of names and new secrets */
    if (rc) {
        r->undo(v);
        buf_clear(&v->answers);
        round_failed(r, rc);
        return;
    }
    if (r->rc)
        log_event("write-works", LOG_WORD("of", r->name), LOG_END);
    r->rc = 0;
    r->done = to;
    if (r->done == r->frames.len) {
        buf_clear(&r->frames);
        r->done = 0;
    }
    send_answers(v);
}

static void clear_round(struct round *r) {
    buf_clear(&r->frames);
    r->done = 0;
    r->rc = 0;
    r->retry_ns = 0;
}

/* ---- the connection ---- */

void sealer_drop(struct vault *v) {
    if (!v->sealer)
        return;
    loop_forget(v->loop, peer_fd(v->sealer));
    peer_free(v->sealer);
    v->sealer = NULL;
    v->greeted = false;
    v->lent = v->writer = 0;
    v->forget_due = v->forget.len > 0;
    clear_round(&v->questions);
    clear_round(&v->batches);
    buf_clear(&v->answers);
}

void sealer_take(struct vault *v, int fd) {
    sealer_drop(v);
    if (peer_new(fd, IPC_VAULT, IPC_SEALER, &v->sealer)) {
        v->sealer = NULL;
        log_event("peer-refused", LOG_U64("role", IPC_SEALER), LOG_END);
        return;
    }
    vault_watch(v, v->sealer, true);
}

/* A POOL that asks for more than a slice becomes several. */
static int take_pool(struct vault *v, const struct frame *f) {
    unsigned wanted = f->len == 2 ? get_u16(f->p) : POOL_MAX + 1;
    uint8_t slice[2];
    int rc = 0;
    if (wanted > POOL_MAX)
        return ERR_SYNTAX;
    do {
        unsigned n = wanted < POOL_SLICE ? wanted : POOL_SLICE;
        put_u16(slice, (uint16_t)n);
        rc = put_frame(&v->questions.frames, MSG_POOL, slice, sizeof slice);
        wanted -= n;
    } while (!rc && wanted);
    return rc;
}

/* Frames are checked here, so that what is in a round can be handled. */
static int take_frame(struct vault *v, const struct frame *f) {
    struct keys_question q;
    int rc = 0;
    switch (f->msg) {
    case MSG_HELLO:
        if (f->len != 8 || v->greeted)
            return ERR_SYNTAX;
        v->greeted = true;
        break;
    case MSG_SUBJECT:
        rc = parse_question(&q, f->p, f->len);
        break;
    case MSG_ASSIGN:
        rc = f->len < UUID_BYTES ? ERR_SYNTAX
                                 : parse_question(&q, f->p + UUID_BYTES, f->len - UUID_BYTES);
        break;
    case MSG_FORGOTTEN:
        rc = f->len == 4 ? 0 : ERR_SYNTAX;
        break;
    case MSG_POOL:
        return take_pool(v, f);
    case MSG_BATCH_IS:
        return f->len == 116 ? put_frame(&v->batches.frames, f->msg, f->p, f->len) : ERR_SYNTAX;
    case MSG_REPORT:
        return inbox_whole(f->len) ? put_frame(&v->batches.frames, f->msg, f->p, f->len)
                                   : ERR_SYNTAX;
    case MSG_MARKS:
        return f->len >= 10 && f->len == 10 + 20u * get_u16(f->p + 8)
                   ? put_frame(&v->batches.frames, f->msg, f->p, f->len)
                   : ERR_SYNTAX;
    default:
        return ERR_DENIED;
    }
    return rc ? rc : put_frame(&v->questions.frames, f->msg, f->p, f->len);
}

/* 0: a round is full. ERR_AGAIN: nothing more has come. */
static int read_frames(struct vault *v) {
    struct frame f;
    int rc = peer_flush(v->sealer);
    if (rc == ERR_AGAIN)
        rc = 0;
    while (!rc && !is_full(&v->questions) && !is_full(&v->batches)) {
        rc = peer_recv(v->sealer, &f);
        if (!rc)
            rc = take_frame(v, &f);
    }
    return rc;
}

static int wait_ms(const struct vault *v) {
    const struct round *const rounds[] = {&v->questions, &v->batches};
    uint64_t now = clock_mono_ns();
    int ms = -1;
    for (int i = 0; i < 2; i++) {
        const struct round *r = rounds[i];
        if (r->done == r->frames.len)
            continue;
        int one = r->retry_ns > now ? (int)((r->retry_ns - now) / 1000000u) + 1 : 0;
        ms = ms < 0 || one < ms ? one : ms;
    }
    return ms;
}

int sealer_turn(struct vault *v) {
    if (!v->sealer)
        return -1;
    int rc = read_frames(v);
    if (rc && rc != ERR_AGAIN) {
        if (rc != ERR_PEER)
            log_event("peer-dropped", LOG_U64("role", IPC_SEALER), LOG_ERR(rc), LOG_END);
        sealer_drop(v);
        return -1;
    }
    run_round(v, &v->questions);
    if (v->sealer)
        run_round(v, &v->batches);
    if (v->sealer && v->writer && v->forget_due)
        sealer_forget(v);
    if (!v->sealer)
        return -1;
    int ms = wait_ms(v);
    vault_watch(v, v->sealer, rc == ERR_AGAIN && ms < 0);
    return rc == 0 && ms < 0 ? 0 : ms;
}

void sealer_lend_again(struct vault *v) {
    struct keys_loan loan;
    if (!v->sealer || !v->writer)
        return;
    int rc = keys_lend_again(v->keys, v->writer, &loan);
    if (!rc)
        rc = lend(v, &loan);
    sodium_memzero(&loan, sizeof loan);
    if (rc)
        log_event("lending-failed", LOG_ERR(rc), LOG_END);
    send_answers(v);
}

int sealer_forget_ids(struct vault *v, const uint8_t *ids, size_t n) {
    struct buf b;
    uint8_t number[4];
    if (!v->sealer || !v->writer)
        return ERR_PEER;
    put_u32(number, ++v->forget_number);
    buf_init(&b, LIMIT_FRAME);
    int rc = buf_append(&b, number, sizeof number);
    if (!rc)
        rc = buf_append(&b, ids, n * UUID_BYTES);
    if (!rc)
        rc = peer_send(v->sealer, MSG_FORGET, b.p, b.len, -1);
    buf_wipe(&b);
    if (rc)
        sealer_drop(v);
    else
        vault_watch(v, v->sealer, true);
    return rc;
}

int sealer_forget(struct vault *v) {
    v->forget_due = false;
    int rc = sealer_forget_ids(v, v->forget.p, v->forget.len / UUID_BYTES);
    v->forget_due = rc != 0;
    return rc;
}
