/*
 * High-water marks: how far each gateway worker counted its exchanges, for the ledger, so that one
 * that never became a row shows. Of each epoch: the highest sequence number that the ring has
 * shown, and how many up to there are still in the ring. Taken when no batch is open, so that
 * everything else is in one; sent when something changed, at most every few seconds, and once more
 * to each new vault.
 */
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/err.h"
#include "proc/sealer/sealer.h"

#define EVERY_NS 5000000000ull
#define HEAD_BYTES 10 /* u64 sealer | u16 n */
#define MARK_BYTES 20 /* u64 epoch | u64 highest | u32 open */
_Static_assert(HEAD_BYTES + SEALER_MARKS * MARK_BYTES <= LIMIT_MARKS_BYTES, "all in one message");

/* The epoch's mark. When all are taken, one of a worker that is gone and said gives way. */
static struct mark *mark_of(struct marks *m, uint64_t epoch) {
    struct mark *free = NULL;
    for (size_t i = 0; i < SEALER_MARKS; i++) {
        struct mark *k = &m->marks[i];
        if (k->highest && k->epoch == epoch)
            return k;
        if (!k->highest || (!free && !k->open && !k->changed))
            free = k;
    }
    if (free)
        *free = (struct mark){.epoch = epoch};
    return free;
}

static void raise_mark(struct marks *m, uint64_t epoch, uint64_t sequence, uint32_t open) {
    struct mark *k = sequence ? mark_of(m, epoch) : NULL;
    if (!k)
        return;
    if (sequence > k->highest) {
        k->highest = sequence;
        k->changed = true;
    }
    k->found += open;
}

void marks_released(struct sealer *s, const struct ring_slot *slot) {
    const struct ring_meta *m = ring_meta_of(slot);
    raise_mark(&s->marks, m->epoch, m->sequence, 0);
}

static void see_slot(void *arg, uint64_t epoch, uint64_t sequence) {
    raise_mark(arg, epoch, sequence, 1);
}

void marks_connected(struct sealer *s) {
    for (size_t i = 0; i < SEALER_MARKS; i++)
        s->marks.marks[i].changed = s->marks.marks[i].highest > 0;
    s->marks.next_ns = 0;
}

void marks_send(struct sealer *s) {
    uint8_t p[HEAD_BYTES + SEALER_MARKS * MARK_BYTES];
    const uint64_t now = clock_mono_ns();
    struct marks *m = &s->marks;
    unsigned n = 0;
    if (!s->vault || now < m->next_ns)
        return;
    for (size_t i = 0; i < SEALER_MARKS; i++)
        m->marks[i].found = 0;
    ring_each(s->ring, see_slot, m);
    for (size_t i = 0; i < SEALER_MARKS; i++) {
        struct mark *k = &m->marks[i];
        k->changed = k->changed || k->open != k->found;
        k->open = k->found;
        if (!k->highest || !k->changed)
            continue;
        uint8_t *at = p + HEAD_BYTES + n++ * MARK_BYTES;
        put_u64(at, k->epoch);
        put_u64(at + 8, k->highest);
        put_u32(at + 16, k->open);
    }
    m->next_ns = now + EVERY_NS;
    if (!n)
        return;
    put_u64(p, s->id);
    put_u16(p + 8, (uint16_t)n);
    if (sealer_send(s, s->vault, MSG_MARKS, p, HEAD_BYTES + n * MARK_BYTES, -1))
        return;
    for (size_t i = 0; i < SEALER_MARKS; i++)
        m->marks[i].changed = false;
}
