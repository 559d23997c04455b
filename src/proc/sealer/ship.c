/*
 * Finished batches on their way: MSG_BATCH_IS to the vault (its commitment, for the ledger),
 * MSG_INSERT to the store (its file). In the order of their numbers, a few at a time; what a
 * connection took with it is sent again with `again` set, so that the store looks before it
 * inserts.
 */
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "proc/sealer/sealer.h"

#define INSERTS_MAX 4 /* unanswered at a time */
#define NOTES_MAX 64
#define RETRY_FIRST_MS 50u
#define RETRY_LAST_MS 5000u

void ship_messages_lost(struct sealer *s, enum ipc_role who) {
    for (struct spool_batch *b = spool_batches(s->spool); b; b = b->next) {
        if (who == IPC_VAULT) {
            b->note_sent = false;
        } else {
            b->again = b->again || b->insert_sent;
            b->insert_sent = false;
            b->retry_ns = 0;
        }
    }
    if (who == IPC_VAULT)
        for (struct spool_assignment *a = spool_assignments(s->spool); a; a = a->next)
            a->sent = false;
}

/* Answers name the batch by its number alone: of those that wait for one, the oldest with it. */
static struct spool_batch *waiting(struct sealer *s, uint64_t number, bool note) {
    for (struct spool_batch *b = spool_batches(s->spool); b; b = b->next)
        if (b->head.number == number && (note ? b->note_sent && !b->noted : b->insert_sent))
            return b;
    return NULL;
}

void ship_noted(struct sealer *s, uint64_t number) {
    struct spool_batch *b = waiting(s, number, true);
    if (b)
        b->noted = true;
}

void ship_inserted(struct sealer *s, uint64_t number, int rc) {
    struct spool_batch *b = waiting(s, number, false);
    if (!b)
        return;
    b->insert_sent = false;
    b->inserted = rc == 0;
    if (!rc)
        return;
    unsigned ms = RETRY_FIRST_MS << (b->failures < 7 ? b->failures : 7);
    b->failures++;
    b->again = true;
    b->retry_ns = clock_mono_ns() + (ms < RETRY_LAST_MS ? ms : RETRY_LAST_MS) * 1000000ull;
    log_event("insert-refused", LOG_U64("number", number), LOG_U64("failures", b->failures),
              LOG_ERR(rc), LOG_END);
}

static void send_note(struct sealer *s, struct spool_batch *b) {
    uint8_t p[116];
    put_u64(p, b->head.sealer);
    put_u64(p + 8, b->head.number);
    put_u32(p + 16, b->head.rows);
    memcpy(p + 20, b->head.previous, BATCH_HASH_BYTES);
    memcpy(p + 52, b->head.root, BATCH_HASH_BYTES);
    memcpy(p + 84, b->commitment, BATCH_HASH_BYTES);
    b->note_sent = sealer_send(s, s->vault, MSG_BATCH_IS, p, sizeof p, -1) == 0;
}

static void send_insert(struct sealer *s, struct spool_batch *b) {
    uint8_t p[21];
    int fd = spool_batch_fd(s->spool, b);
    if (fd < 0)
        return;
    put_u64(p, b->head.sealer);
    put_u64(p + 8, b->head.number);
    put_u32(p + 16, b->head.rows);
    p[20] = b->again;
    b->insert_sent = sealer_send(s, s->store, MSG_INSERT, p, sizeof p, fd) == 0;
    close(fd);
}

/* Two sealers' batches may have one number: only one of them waits for an answer at a time. */
static bool number_waits(struct sealer *s, const struct spool_batch *than, bool note) {
    struct spool_batch *b = waiting(s, than->head.number, note);
    return b && b != than;
}

static unsigned ship_inserts(struct sealer *s, uint64_t now) {
    unsigned waits = 0, wake_ms = 0;
    for (struct spool_batch *b = spool_batches(s->spool); b; b = b->next)
        waits += b->insert_sent;
    for (struct spool_batch *b = spool_batches(s->spool); b && waits < INSERTS_MAX; b = b->next) {
        if (b->inserted || b->insert_sent || number_waits(s, b, false))
            continue;
        if (b->retry_ns > now) {
            unsigned ms = (unsigned)((b->retry_ns - now) / 1000000u) + 1;
            wake_ms = !wake_ms || ms < wake_ms ? ms : wake_ms;
            continue;
        }
        send_insert(s, b);
        waits += b->insert_sent;
    }
    return wake_ms;
}

static void ship_notes(struct sealer *s) {
    unsigned waits = 0;
    for (struct spool_batch *b = spool_batches(s->spool); b && waits < NOTES_MAX; b = b->next) {
        if (!b->noted && !b->note_sent && !number_waits(s, b, true))
            send_note(s, b);
        waits += b->note_sent && !b->noted;
    }
}

int ship(struct sealer *s) {
    unsigned wake_ms = 0;
    if (s->vault) {
        ship_notes(s);
        if (!spool_waiting(s->spool)) /* only what is durable */
            for (struct spool_assignment *a = spool_assignments(s->spool); a; a = a->next)
                if (!a->sent)
                    a->sent = sealer_send(s, s->vault, MSG_ASSIGN, a->payload, a->len, -1) == 0;
    }
    if (s->store)
        wake_ms = ship_inserts(s, clock_mono_ns());
    spool_sweep(s->spool);
    return wake_ms ? (int)wake_ms : -1;
}
