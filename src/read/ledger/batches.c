/* Batches in the ledger: each once, and chained to its neighbours as far as they are in. */
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/err.h"
#include "read/ledger/ledger_int.h"

struct noted {
    struct batch_head head;
    uint8_t commitment[BATCH_HASH_BYTES];
};

/* The noted batch of that number; ERR_NOTFOUND. Read from the file: the index has places only. */
static int find(const struct ledger *l, uint64_t sealer, uint64_t number, struct noted *ret) {
    enum { LEAF_AT = LEDGER_FRAME_BYTES + 2, LEAF = LEDGER_LEAF_FIXED + LEDGER_BATCH_BYTES };
    struct ledger_entry e;
    uint8_t leaf[LEAF];
    uint64_t at = ledger_index_find(l->batches, sealer, number);
    if (!at)
        return ERR_NOTFOUND;
    if (pread(l->fd, leaf, sizeof leaf, (off_t)(at + LEAF_AT)) != sizeof leaf)
        return ERR_IO;
    int rc = ledger_leaf_decode(&e, leaf, sizeof leaf);
    return rc ? ERR_IO : ledger_get_batch(&e, &ret->head, ret->commitment);
}

/* A neighbour that is not there yet may come later: notes of one sealer are not in order. */
static int chains(const struct ledger *l, const struct batch_head *h,
                  const uint8_t commitment[BATCH_HASH_BYTES]) {
    static const uint8_t zero[BATCH_HASH_BYTES];
    struct noted near;
    if (h->number == 0 || (h->number == 1 && memcmp(h->previous, zero, sizeof zero)))
        return ERR_DENIED;
    int rc = find(l, h->sealer, h->number - 1, &near);
    if (!rc)
        rc = memcmp(h->previous, near.commitment, BATCH_HASH_BYTES) ? ERR_DENIED : 0;
    if (rc && rc != ERR_NOTFOUND)
        return rc;
    rc = h->number == UINT64_MAX ? ERR_NOTFOUND : find(l, h->sealer, h->number + 1, &near);
    if (!rc)
        rc = memcmp(near.head.previous, commitment, BATCH_HASH_BYTES) ? ERR_DENIED : 0;
    return rc == ERR_NOTFOUND ? 0 : rc;
}

int ledger_batch(struct ledger *l, const struct batch_head *head,
                 const uint8_t commitment[BATCH_HASH_BYTES]) {
    uint8_t fields[LEDGER_BATCH_BYTES], before[LEDGER_BATCH_BYTES], right[BATCH_HASH_BYTES];
    const struct ledger_draft d = {
        .kind = LEDGER_BATCH, .fields = fields, .fields_len = sizeof fields};
    struct noted same;
    batch_commitment(right, head);
    if (memcmp(right, commitment, sizeof right))
        return ERR_CORRUPT;
    ledger_put_batch(fields, head, commitment);
    int rc = find(l, head->sealer, head->number, &same);
    if (!rc) {
        ledger_put_batch(before, &same.head, same.commitment);
        return memcmp(fields, before, sizeof fields) ? ERR_DENIED : ERR_EXISTS;
    }
    if (rc == ERR_NOTFOUND)
        rc = chains(l, head, commitment);
    const uint64_t at = l->now.bytes;
    if (!rc)
        rc = ledger_append(l, &d, NULL);
    if (rc)
        return rc;
    l->batch_count++;
    rc = ledger_index_add(l->batches, head->sealer, head->number, at);
    if (rc)
        ledger_undo(l);
    return rc;
}
