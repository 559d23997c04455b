/*
 * Erasing a person, for a client, together with the sealer (doc/erasure.md).
 *
 *   ASKED   the sealer is told to forget the ids, and says so after the assignments that it had not
 *           been answered: after that every id of the person is known here. Meanwhile the intention
 *           becomes durable
 *   (now)   ledger, end: in one turn, so that nothing comes in between
 *   ERASED  the sealer is told once more, if it can have learned an id of the person since it was told
 *           first; then the client gets its receipt, which says what did not answer in time, and the
 *           intention goes
 *
 * One at a time. What a vault that died had begun is finished, or called off, at its next start
 * (erase_recover); what it had erased the sealer is told at its next greeting.
 */
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/traces.h"
#include "proc/vault/vault.h"
#include "tlog/checkpoint.h"

#define SEALER_NS 5000000000ull /* within which it answers */
#define RETRY_MS 1000
#define NAME_SALT_BYTES 16
#define REPLICA_PIECES 64 /* of copying, before the receipt says "pending" */

enum step { IDLE, ASKED, FINISHING, ERASED };

struct erasing {
    enum step step;
    struct client *client; /* NULL: it went away */
    uint32_t number;       /* of the FORGET that is waited for */
    uint64_t until_ns, since_ns; /* since: the client asked */
    uint8_t id[KEYS_ERASURE_BYTES];
    uint64_t index, time_us; /* of its entry */
    size_t subjects;
    struct buf told; /* the ids that the sealer was told to forget first */
    bool said;       /* one of them was said to it since */
    bool sealer;     /* it has forgotten */
    struct buf proof; /* of the entry; empty: none could be made */
    size_t reason_len, name_len;
    char reason[LIMIT_REASON];
    uint8_t name[SUBJECT_NAME_MAX];
    struct client_who who;
};

int erase_init(struct vault *v) {
    buf_init(&v->forget, LIMIT_FRAME - 4);
    v->erasing = sodium_malloc(sizeof *v->erasing);
    if (!v->erasing)
        return ERR_NOMEM;
    sodium_memzero(v->erasing, sizeof *v->erasing);
    return 0;
}

static void end(struct vault *v, int rc, struct answer *a) {
    struct erasing *e = v->erasing;
    if (e->client)
        clients_answer(v, e->client, rc, a);
    buf_wipe(&e->told);
    buf_wipe(&e->proof);
    sodium_memzero(e, sizeof *e);
    traces_wipe();
}

/* Tried again before the next erasure, and at the next start. */
static void forget_intention(struct vault *v) {
    int rc = keys_erase_forget(v->keys);
    if (rc)
        log_event("intention-stays", LOG_ERR(rc), LOG_END);
}

static void fail(struct vault *v, int rc, const char *why) {
    struct answer a = {0};
    end(v, answer_fail(&a, rc, why), &a);
}

/* What was intended is called off: nothing is erased. */
static void call_off(struct vault *v, int rc, const char *why) {
    forget_intention(v);
    fail(v, rc, why);
}

void erase_client_gone(struct vault *v, const struct client *c) {
    if (v->erasing->client == c)
        v->erasing->client = NULL;
}

/* ---- the receipt ---- */

static void hex(char *out, const uint8_t *p, size_t len) {
    sodium_bin2hex(out, 2 * len + 1, p, len);
}

/* The name is in it as a salted hash: whoever has the receipt and the name sees that they belong
 * together. */
static int put_name(const struct erasing *e, struct buf *out) {
    uint8_t salt[NAME_SALT_BYTES], hash[32];
    char salt_hex[2 * sizeof salt + 1], hash_hex[2 * sizeof hash + 1];
    randombytes_buf(salt, sizeof salt);
    crypto_generichash(hash, sizeof hash, e->name, e->name_len, salt, sizeof salt);
    hex(salt_hex, salt, sizeof salt);
    hex(hash_hex, hash, sizeof hash);
    return buf_printf(out, "name %s %s\n", salt_hex, hash_hex);
}

static int put_receipt(struct vault *v, struct buf *out) {
    const struct erasing *e = v->erasing;
    char id[2 * KEYS_ERASURE_BYTES + 1];
    hex(id, e->id, sizeof e->id);
    int rc = buf_printf(out, "safehouse.invalid/receipt/erasure\n%s\nerasure %s\nleaf %llu\ntime %llu\n"
                             "subjects %zu\n",
                        ledger_key(v->ledger)->name, id, (unsigned long long)e->index,
                        (unsigned long long)e->time_us, e->subjects);
    if (!rc)
        rc = put_name(e, out);
    if (!rc)
        rc = buf_printf(out, "sealer %s\n", e->sealer ? "forgotten" : "pending");
    for (size_t i = 0; !rc && i < keys_replica_count(v->keys); i++)
        rc = buf_printf(out, "replica %s %s\n",
                        keys_replica_state(v->keys, i) == KEYS_REPLICA_CURRENT ? "erased" : "pending",
                        keys_replica_dir(v->keys, i));
    return rc;
}

static void give_receipt(struct vault *v) {
    struct answer a = {0};
    struct buf note;
    buf_init(&note, 65536);
    buf_init(&a.frames, 131072 + TLOG_PROOF_MAX);
    int rc = put_receipt(v, &note);
    if (!rc)
        rc = answer_receipt(v, &note, &a);
    if (!rc && v->erasing->proof.len)
        rc = answer_add(&a, MSG_PROOF, v->erasing->proof.p, v->erasing->proof.len);
    if (rc)
        answer_fail(&a, rc, "it is erased, but no receipt could be made");
    log_event("erasure-answered", LOG_U64("us", (clock_mono_ns() - v->erasing->since_ns) / 1000),
              LOG_END);
    end(v, rc, &a);
    forget_intention(v);
    buf_wipe(&note);
    buf_wipe(&a.frames);
}

/* ---- what the sealer knows ---- */

static bool was_told(const struct erasing *e, const uint8_t id[UUID_BYTES]) {
    for (size_t at = 0; at < e->told.len; at += UUID_BYTES)
        if (!memcmp(e->told.p + at, id, UUID_BYTES))
            return true;
    return false;
}

void erase_sealer_learns(struct vault *v, const uint8_t id[UUID_BYTES]) {
    struct erasing *e = v->erasing;
    e->said = e->said || (e->step == ASKED && was_told(e, id));
}

/* Has it forgotten all ids from `at` of v->forget on, and not heard of one again? */
static bool knows_nothing(const struct vault *v, size_t at) {
    bool nothing = v->sealer && !v->erasing->said;
    for (; nothing && at < v->forget.len; at += UUID_BYTES)
        nothing = was_told(v->erasing, v->forget.p + at);
    return nothing;
}

/* ---- the end of the keys ---- */

/* The ids are the sealer's to forget until it says that it has. */
static int destroy(struct vault *v, const uint8_t id[KEYS_ERASURE_BYTES], uint64_t time_us) {
    const size_t before = v->forget.len;
    int rc = keys_begin(v->keys);
    if (!rc)
        rc = keys_erase_finish(v->keys, id, time_us, &v->forget);
    if (!rc)
        rc = checkpoint_save(v);
    rc = rc ? rc : keys_commit(v->keys);
    if (rc) {
        keys_rollback(v->keys);
        v->forget.len = before;
        return rc;
    }
    v->erasing->subjects = (v->forget.len - before) / UUID_BYTES;
    log_event("erased", LOG_U64("subjects", v->erasing->subjects), LOG_END);
    return 0;
}

static void copy_to_replicas(struct vault *v) {
    for (int i = 0; i < REPLICA_PIECES; i++) {
        bool behind = false;
        keys_replica_look(v->keys, clock_mono_ns());
        for (size_t r = 0; r < keys_replica_count(v->keys); r++)
            behind = behind || keys_replica_state(v->keys, r) == KEYS_REPLICA_BEHIND;
        if (!behind)
            return;
    }
}

static uint8_t replicas_pending(struct vault *v) {
    size_t n = 0;
    for (size_t r = 0; r < keys_replica_count(v->keys); r++)
        n += keys_replica_state(v->keys, r) != KEYS_REPLICA_CURRENT &&
             keys_replica_state(v->keys, r) != KEYS_REPLICA_BEHIND;
    return (uint8_t)n;
}

static int note(struct vault *v, const struct keys_person *p) {
    struct erasing *e = v->erasing;
    uint8_t fields[2 + KEYS_ERASURE_BYTES] = {(uint8_t)keys_replica_count(v->keys),
                                              replicas_pending(v)};
    struct ledger_receipt receipt;
    struct ledger_who who = who_of(&e->who, e->reason, e->reason_len);
    struct ledger_draft d = {
        .kind = LEDGER_ERASED, .fields = fields, .fields_len = sizeof fields, .who = &who};
    memcpy(fields + 2, e->id, KEYS_ERASURE_BYTES);
    int rc = person_note(v, p, &d, &receipt);
    if (rc)
        return rc;
    e->index = receipt.index;
    buf_init(&e->proof, TLOG_PROOF_MAX);
    if (ledger_prove_newest(v->ledger, &e->proof))
        buf_clear(&e->proof);
    return 0;
}

static void finish(struct vault *v) {
    struct erasing *e = v->erasing;
    const size_t before = v->forget.len;
    int rc = destroy(v, e->id, e->time_us);
    if (rc) { /* it is in the ledger: it will be done as soon as it can */
        e->step = FINISHING;
        e->until_ns = clock_mono_ns() + RETRY_MS * 1000000ull;
        log_event("erasure-waits", LOG_ERR(rc), LOG_END);
        return;
    }
    copy_to_replicas(v);
    e->step = ERASED;
    e->until_ns = clock_mono_ns() + SEALER_NS;
    if (knows_nothing(v, before)) {
        v->forget.len = before;
    } else {
        sealer_forget(v);
        e->number = v->forget_number;
    }
}

/* Everything that the sealer knew of the person is known here. A hold may have come in between. */
static void erase_now(struct vault *v) {
    struct erasing *e = v->erasing;
    struct keys_person p;
    int rc = keys_person(v->keys, e->name, e->name_len, &p);
    if (!rc && p.held_since_us)
        rc = ERR_DENIED;
    e->time_us = clock_wall_us();
    if (!rc)
        rc = note(v, &p);
    buf_wipe(&p.ids);
    if (rc)
        call_off(v, rc, rc == ERR_IO       ? "the ledger cannot be written, so nothing is erased"
                        : rc == ERR_DENIED ? "this person is held since a moment ago, so nothing is erased"
                                           : err_text(rc));
    else
        finish(v);
}

/* ---- a client's wish ---- */

static int refuse_held(const struct keys_person *p, struct answer *a) {
    const time_t since = (time_t)(p->held_since_us / 1000000u);
    char day[16];
    struct tm t;
    strftime(day, sizeof day, "%Y-%m-%d", gmtime_r(&since, &t));
    snprintf(a->why, sizeof a->why,
             "this person is held since %s (%s), so nothing is erased: safehouse subject release "
             "ends that", day, p->reason);
    return ERR_DENIED;
}

/* The sealer forgets while the intention becomes durable. */
static int begin(struct vault *v, const struct keys_person *p, struct answer *a) {
    struct erasing *e = v->erasing;
    int rc = 0;
    buf_init(&e->told, LIMIT_FRAME);
    for (size_t at = 0; !rc && at < p->ids.len; at += KEYS_ID_ROW)
        rc = buf_append(&e->told, p->ids.p + at, UUID_BYTES);
    if (!rc && sealer_forget_ids(v, e->told.p, e->told.len / UUID_BYTES))
        return answer_fail(a, ERR_AGAIN, "the sealer is not there, and what it knows has to go as "
                                         "well: try again in a moment");
    e->number = v->forget_number;
    e->until_ns = clock_mono_ns() + SEALER_NS;
    randombytes_buf(e->id, sizeof e->id);
    return rc ? rc : keys_erase_intend(v->keys, e->id, p);
}

int erase_begin(struct vault *v, const struct inquiry *q, struct client *c,
                const struct client_who *who, struct answer *a) {
    struct erasing *e = v->erasing;
    struct keys_person p = {0};
    const uint8_t *name;
    const uint64_t since_ns = clock_mono_ns();
    uint8_t earlier[KEYS_ERASURE_BYTES];
    size_t len;
    if (keys_locked(v->keys))
        return ERR_LOCKED;
    if (e->step != IDLE)
        return answer_fail(a, ERR_AGAIN, "somebody is being erased just now: try again in a moment");
    if (!q->reason_len)
        return answer_fail(a, ERR_USAGE, "a reason is needed: --reason TEXT");
    if (!v->ledger)
        return answer_fail(a, ERR_IO, "the ledger cannot be written, so nothing is erased");
    int rc = keys_erase_unfinished(v->keys, earlier) ? 0 : erase_recover(v);
    if (rc)
        return answer_fail(a, rc, "an erasure before this one is not finished, and cannot be just now");
    rc = person_only(v, q, a, &p, &name, &len);
    if (!rc && p.held_since_us)
        rc = refuse_held(&p, a);
    if (!rc) {
        *e = (struct erasing){
            .client = c, .since_ns = since_ns, .reason_len = q->reason_len, .name_len = len, .who = *who};
        memcpy(e->reason, q->reason, q->reason_len);
        memcpy(e->name, name, len);
        rc = begin(v, &p, a);
        e->step = ASKED;
        if (rc) { /* the caller answers */
            e->client = NULL;
            fail(v, rc, "");
        }
    }
    buf_wipe(&p.ids);
    return rc;
}

int erase_turn(struct vault *v) {
    struct erasing *e = v->erasing;
    const uint64_t now = clock_mono_ns();
    if (e->step == ASKED && v->forgotten == e->number)
        erase_now(v);
    else if (e->step == ASKED && (now > e->until_ns || !v->sealer))
        call_off(v, ERR_AGAIN, "the sealer does not answer, so nothing is erased: try again");
    else if (e->step == FINISHING && now > e->until_ns)
        finish(v);
    if (e->step == ERASED) {
        e->sealer = v->forgotten == e->number;
        if (e->sealer || now > e->until_ns || !v->sealer)
            give_receipt(v);
    }
    return e->step == IDLE ? -1 : e->until_ns > now ? (int)((e->until_ns - now) / 1000000u) + 1 : 0;
}

/* ---- after a start ---- */

struct search {
    struct vault *v;
    uint8_t id[KEYS_ERASURE_BYTES];
    bool found, unknown;
    uint64_t time_us;
};

static int look(void *arg, const struct ledger_entry *l) {
    struct search *s = arg;
    if (l->kind != LEDGER_ERASED || l->fields_len < 2 + KEYS_ERASURE_BYTES)
        return 0;
    if (!memcmp(l->fields + 2, s->id, KEYS_ERASURE_BYTES)) {
        s->found = true;
        s->time_us = l->time_us;
    } else if (keys_erasure(s->v->keys, l->fields + 2) == ERR_NOTFOUND) {
        s->unknown = true;
    }
    return 0;
}

/* What was begun, now that the ledger has been read. */
static int settle(struct vault *v, const struct search *s) {
    int rc = keys_erasure(v->keys, s->id); /* all but the intention's end? */
    if (rc == ERR_NOTFOUND)
        rc = s->found ? destroy(v, s->id, s->time_us) : 0;
    v->forget_due = v->forget.len > 0;
    return rc ? rc : keys_erase_forget(v->keys);
}

int erase_recover(struct vault *v) {
    struct search s = {.v = v};
    struct ledger_totals totals;
    struct ledger_end tail;
    const bool unfinished = keys_erase_unfinished(v->keys, s.id) == 0;
    ledger_totals(v->ledger, &totals);
    const struct ledger_walk walk = {.limit = totals.bytes, .entry = look, .arg = &s};
    int fd = ledger_reader(v->ledger);
    int rc = fd < 0 ? fd : ledger_walk(fd, &walk, &tail);
    if (fd >= 0)
        close(fd);
    if (!rc && unfinished)
        rc = settle(v, &s);
    return rc ? rc : s.unknown ? ERR_DENIED : 0;
}
