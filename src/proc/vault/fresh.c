/*
 * Is this vault the newest there is of it? What is known of it outside, in its replicas and of its
 * ledger in its keys, tells: an old vault.db or an old ledger that was put back stays locked, so that
 * nobody who was erased comes back. Logging goes on, as with every locked vault.
 */
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "proc/vault/vault.h"

#define SAVE_NS 2000000000ull /* between two checkpoints that are kept outside of the ledger */

int checkpoint_save(struct vault *v) {
    struct ledger_totals totals;
    struct buf note;
    if (!v->ledger)
        return 0;
    ledger_totals(v->ledger, &totals);
    buf_init(&note, KEYS_NOTE_MAX);
    int rc = ledger_checkpoint(v->ledger, &note);
    if (!rc)
        rc = keys_checkpoint_set(v->keys, note.p, note.len);
    if (!rc)
        v->saved_entries = totals.entries;
    buf_wipe(&note);
    return rc;
}

int checkpoint_turn(struct vault *v) {
    struct ledger_totals totals;
    const uint64_t now = clock_mono_ns();
    if (!v->ledger || v->stale)
        return -1;
    ledger_totals(v->ledger, &totals);
    if (totals.entries == v->saved_entries)
        return -1;
    if (now < v->save_ns)
        return (int)((v->save_ns - now) / 1000000u) + 1;
    v->save_ns = now + SAVE_NS;
    int rc = keys_begin(v->keys);
    if (!rc)
        rc = checkpoint_save(v);
    if (!rc)
        rc = keys_commit(v->keys);
    if (!rc)
        return -1;
    keys_rollback(v->keys);
    return (int)(SAVE_NS / 1000000u);
}

static const char *compare_checkpoints(struct vault *v) {
    char note[KEYS_NOTE_MAX];
    size_t len;
    for (size_t i = 0;; i++) {
        int rc = keys_checkpoint(v->keys, i, note, &len);
        if (rc == ERR_NOTFOUND)
            return NULL;
        if (rc)
            continue; /* not there, or none yet */
        rc = ledger_covers(v->ledger, note, len);
        if (rc == ERR_AGAIN)
            return "the ledger is older than what is known of it outside: an earlier one was put back";
        if (rc)
            return "the ledger is not the one that is known outside: it was rewritten or replaced";
    }
}

const char *fresh_look(struct vault *v) {
    const char *stale = NULL;
    keys_replica_look(v->keys, clock_mono_ns());
    for (size_t i = 0; i < keys_replica_count(v->keys); i++)
        if (keys_replica_state(v->keys, i) == KEYS_REPLICA_NEWER)
            stale = "a replica knows more than vault.db: an earlier vault.db was put back";
    if (!stale && v->ledger) {
        int rc = erase_recover(v);
        if (rc == ERR_DENIED)
            stale = "the ledger has an erasure that vault.db does not know: an earlier vault.db was "
                    "put back";
        else if (rc)
            stale = "an erasure that the ledger has cannot be finished: free some space on the vault's "
                    "disk, then unlock";
    }
    if (!stale && v->ledger)
        stale = compare_checkpoints(v);
    if (stale && !v->stale)
        log_event("vault-is-old", LOG_END);
    v->stale = stale;
    if (!stale)
        keys_replica_checked(v->keys);
    return stale;
}

void fresh_turn(struct vault *v) {
    if (v->stale)
        return;
    bool look = keys_replica_unchecked(v->keys);
    for (size_t i = 0; i < keys_replica_count(v->keys); i++)
        look = look || keys_replica_state(v->keys, i) == KEYS_REPLICA_NEWER;
    if (look && fresh_look(v))
        state_lock(v);
}
