/* What the ledger says of itself: only what is confirmed. */
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/err.h"
#include "read/ledger/ledger_int.h"

void ledger_totals(const struct ledger *l, struct ledger_totals *ret) {
    *ret = (struct ledger_totals){
        .entries = l->sure.tree.size,
        .bytes = l->sure.bytes,
        .batches = l->sure_batches,
        .openings = l->sure_openings,
    };
}

const struct note_key *ledger_key(const struct ledger *l) {
    return &l->sure.key;
}

const uint8_t *ledger_configuration(const struct ledger *l) {
    return l->sure_configuration;
}

int ledger_checkpoint(const struct ledger *l, struct buf *out) {
    struct checkpoint c = {.size = l->sure.tree.size};
    memcpy(c.origin, l->sure.key.name, sizeof c.origin);
    merkle_root(&l->sure.tree, c.root);
    return ledger_note(out, &l->sure.key, &c, l->sure.signature);
}

/* The proof of a tree's last leaf is the right edge before it, from the smallest subtree on. */
int ledger_prove_newest(const struct ledger *l, struct buf *out) {
    merkle_hash hashes[MERKLE_PROOF_MAX];
    size_t count = 0;
    struct buf note;
    const uint64_t index = l->before.size;
    const uint8_t *leaf = l->frame.p + LEDGER_FRAME_BYTES; /* u16 l | l leaf */
    if (!l->sure.tree.size || index != l->sure.tree.size - 1 || l->frame.len < LEDGER_FRAME_BYTES + 2 ||
        get_u64(leaf + 2 + 4) != index)
        return ERR_NOTFOUND;
    for (unsigned level = 0; level < MERKLE_LEVELS; level++)
        if (index >> level & 1)
            memcpy(hashes[count++], l->before.edge[level], sizeof hashes[0]);
    buf_init(&note, NOTE_MAX);
    int rc = ledger_checkpoint(l, &note);
    if (!rc)
        rc = tlog_proof_format(out, leaf, 2u + get_u16(leaf), index, hashes, count,
                               (const char *)note.p, note.len);
    buf_wipe(&note);
    return rc;
}

/* Looks for one checkpoint among those in the log. */
struct search {
    struct checkpoint wanted;
    int rc;
};

static int compare(void *arg, const struct checkpoint *c,
                   const uint8_t signature[NOTE_SIGNATURE_BYTES]) {
    struct search *s = arg;
    (void)signature;
    if (c->size == s->wanted.size)
        s->rc = memcmp(c->root, s->wanted.root, sizeof c->root) ? ERR_DENIED : 0;
    return 0;
}

int ledger_covers(const struct ledger *l, const char *checkpoint, size_t len) {
    struct search s = {.rc = ERR_DENIED};
    const struct ledger_walk walk = {.limit = l->sure.bytes, .checkpoint = compare, .arg = &s};
    struct ledger_end end;
    int rc = checkpoint_open(&s.wanted, &l->sure.key, checkpoint, len);
    if (rc)
        return rc;
    if (s.wanted.size > l->sure.tree.size)
        return ERR_AGAIN;
    rc = ledger_walk(l->fd, &walk, &end);
    return rc ? rc : s.rc;
}

int ledger_sign(const struct ledger *l, struct buf *out) {
    static const char first[] = LEDGER_ORIGIN "receipt/";
    uint8_t signature[NOTE_SIGNATURE_BYTES];
    /* A log's origin goes on with hex digits. */
    if (out->len < sizeof first || memcmp(out->p, first, sizeof first - 1))
        return ERR_USAGE;
    crypto_sign_ed25519_detached(signature, NULL, out->p, out->len, l->secret);
    int rc = buf_append_u8(out, '\n');
    return rc ? rc : note_put_signature(out, &l->sure.key, signature, sizeof signature);
}

int ledger_reader(const struct ledger *l) {
    int fd = openat(l->folder, LEDGER_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return fd < 0 ? err_from_errno(errno) : fd;
}
