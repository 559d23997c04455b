/*
 * What the vault says of itself (client.h): its state as JSON, and the ledger's file.
 */
#include <stdio.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/err.h"
#include "proc/vault/client.h"

#define STATUS_BYTES 4096

static const char *replica_word(enum keys_replica_state s) {
    static const char *const words[] = {"behind", "current", "missing", "foreign", "newer"};
    return words[s];
}

/* The newest checkpoint as the inside of a JSON string; "" while there is none. Its characters are
 * such that only the newlines need an escape. */
static void checkpoint_json(const struct vault *v, char *out, size_t size) {
    struct buf note;
    size_t n = 0;
    buf_init(&note, NOTE_MAX);
    if (v->ledger && ledger_checkpoint(v->ledger, &note) == 0)
        for (size_t i = 0; i < note.len && n + 3 < size; i++) {
            if (note.p[i] == '\n')
                out[n++] = '\\';
            out[n++] = note.p[i] == '\n' ? 'n' : (char)note.p[i];
        }
    out[n] = 0;
    buf_wipe(&note);
}

int status(struct vault *v, struct client *c) {
    char p[STATUS_BYTES], checkpoint[1024];
    struct keys_counts k;
    struct ledger_totals l = {0};
    struct people_actor a;
    int denied = c->channel ? client_actor(v, c, &a) : 0;
    if (denied)
        return client_end(c, denied, client_refusal(denied));
    keys_counts(v->keys, &k);
    checkpoint_json(v, checkpoint, sizeof checkpoint);
    if (v->ledger)
        ledger_totals(v->ledger, &l);
    int n = snprintf(
        p, sizeof p,
        "{\"locked\":%s,\"subjects\":%llu,\"openings\":%llu,\"batches\":%llu,"
        "\"pool\":%llu,\"pending\":%llu,\"unreadable\":%llu,\"generation\":%u,"
        "\"ledger\":\"%s\",\"entries\":%llu,\"ledger_bytes\":%llu,\"checkpoint\":\"%s\","
        "\"one_person_mode\":%s,\"passwords\":%s,"
        "\"sealer\":%s,\"landlock\":%u,\"seccomp\":%s,\"replicas\":[",
        keys_locked(v->keys) ? "true" : "false", (unsigned long long)k.subjects,
        (unsigned long long)l.openings, (unsigned long long)l.batches, (unsigned long long)k.pool,
        (unsigned long long)k.pending, (unsigned long long)k.unreadable, k.generation,
        !v->ledger                 ? "damaged"
        : ledger_broken(v->ledger) ? "broken"
                                   : "ok",
        (unsigned long long)l.entries, (unsigned long long)l.bytes, checkpoint,
        !v->people                     ? "null"
        : people_one_person(v->people) ? "true"
                                       : "false",
        v->helper_fd >= 0 ? "true" : "false", v->sealer ? "true" : "false",
        v->sandbox.landlock_abi, v->sandbox.seccomp ? "true" : "false");
    for (size_t i = 0; i < keys_replica_count(v->keys); i++)
        n += snprintf(p + n, sizeof p - (size_t)n, "%s\"%s\"", i ? "," : "",
                      replica_word(keys_replica_state(v->keys, i)));
    n += snprintf(p + n, sizeof p - (size_t)n, "]}");
    int rc = peer_send(c->peer, MSG_STATUS_IS, p, (size_t)n, -1);
    return rc ? rc : client_end_rc(c, 0);
}

int ledger(struct vault *v, struct client *c) {
    struct ledger_totals totals;
    struct buf p;
    uint8_t bytes[8];
    if (!v->ledger)
        return client_end(c, ERR_CORRUPT, "the ledger is damaged: see the vault's log");
    int denied = client_owner_or(v, c, ROLE(ADMIN) | ROLE(AUDITOR));
    if (denied)
        return client_end(c, denied, client_refusal(denied));
    int fd = ledger_reader(v->ledger);
    if (fd < 0)
        return client_end_rc(c, fd);
    ledger_totals(v->ledger, &totals);
    put_u64(bytes, totals.bytes);
    buf_init(&p, NOTE_MAX);
    int rc = buf_append(&p, bytes, sizeof bytes);
    if (!rc)
        rc = ledger_checkpoint(v->ledger, &p);
    if (!rc)
        rc = peer_send(c->peer, MSG_LEDGER_IS, p.p, p.len, fd);
    close(fd);
    buf_wipe(&p);
    return rc ? rc : client_end_rc(c, 0);
}
