/*
 * Reads the ledger's file (doc/ledger.md): every byte is checked before it is believed. Used when
 * the vault starts, and by whoever reads a ledger without writing it.
 */
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/err.h"
#include "read/ledger/ledger_int.h"

#define WINDOW (4u << 20)
_Static_assert(WINDOW >= LEDGER_FRAME_BYTES + LEDGER_BODY_MAX, "a frame");

struct walk {
    int fd;
    const struct ledger_walk *of;
    uint8_t *p;       /* the window */
    size_t len, used; /* of the window: read, gone */
    uint64_t at;      /* offset in the file of what is at used */
    bool ended;       /* the file has no more */
    struct ledger_end now, sure;
};

/* At least `need` bytes in the window, unless the file ends before. */
static int fill(struct walk *w, size_t need) {
    if (w->len - w->used >= need || w->ended)
        return 0;
    memmove(w->p, w->p + w->used, w->len - w->used);
    w->len -= w->used;
    w->used = 0;
    while (w->len < need && !w->ended) {
        const uint64_t from = w->at + w->len;
        size_t room = WINDOW - w->len;
        if (w->of->limit && w->of->limit - from < room)
            room = (size_t)(w->of->limit - from);
        ssize_t n = room ? pread(w->fd, w->p + w->len, room, (off_t)from) : 0;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_from_errno(errno);
        w->len += (size_t)n;
        w->ended = n == 0;
    }
    return 0;
}

/* Nothing but zeros up to the file's end: some file systems leave that of a write that a crash cut
 * short. No frame begins so. */
static bool only_zeros(struct walk *w) {
    if (fill(w, WINDOW) || !w->ended)
        return false;
    return sodium_is_zero(w->p + w->used, w->len - w->used);
}

/* ---- entries ---- */

/* u32 n | n sealed; as the leaf says. */
static int take_sealed(struct ledger_part *part, const uint8_t **p, const uint8_t *end) {
    uint8_t hash[LEDGER_HASH_BYTES];
    if (end - *p < 4)
        return ERR_CORRUPT;
    const size_t n = get_u32(*p);
    *p += 4;
    if (n > (size_t)(end - *p) || n > LEDGER_SEALED_MAX || (part->commitment != NULL) != (n > 0))
        return ERR_CORRUPT;
    if (n) {
        crypto_hash_sha256(hash, *p, n);
        if (memcmp(hash, part->hash, sizeof hash))
            return ERR_CORRUPT;
        part->sealed = *p;
        part->sealed_len = n;
    }
    *p += n;
    return 0;
}

static int take_entry(struct walk *w, const uint8_t *body, size_t len) {
    struct ledger_entry e;
    const uint8_t *p = body + 2, *end = body + len;
    if (len < 2 || get_u16(body) > len - 2)
        return ERR_CORRUPT;
    int rc = ledger_leaf_decode(&e, p, get_u16(body));
    if (rc)
        return rc == ERR_VERSION ? rc : ERR_CORRUPT;
    if (e.index != w->now.tree.size || e.time_us < w->now.time_us)
        return ERR_CORRUPT;
    p += e.leaf_len;
    rc = take_sealed(&e.who, &p, end);
    if (!rc)
        rc = take_sealed(&e.about, &p, end);
    if (rc || p != end)
        return ERR_CORRUPT;
    e.at = w->at;
    merkle_add(&w->now.tree, e.leaf_hash);
    w->now.time_us = e.time_us;
    return w->of->entry ? w->of->entry(w->of->arg, &e) : 0;
}

/* ---- checkpoints ---- */

static int take_checkpoint(struct walk *w, const uint8_t *body) {
    struct checkpoint c = {.size = get_u64(body)};
    merkle_hash root;
    memcpy(c.root, body + 8, sizeof c.root);
    memcpy(c.origin, w->now.key.name, sizeof c.origin);
    merkle_root(&w->now.tree, root);
    /* Each is of a larger tree than the one before; the first, of an empty one, is the only such.
     */
    if (c.size != w->now.tree.size || memcmp(root, c.root, sizeof root) ||
        (w->sure.bytes ? c.size <= w->sure.tree.size : c.size > 0))
        return ERR_CORRUPT;
    memcpy(w->now.signature, body + 8 + MERKLE_HASH_BYTES, NOTE_SIGNATURE_BYTES);
    w->now.bytes = w->at + LEDGER_FRAME_BYTES + LEDGER_CHECKPOINT_BYTES;
    w->sure = w->now;
    return w->of->checkpoint ? w->of->checkpoint(w->of->arg, &c, w->now.signature) : 0;
}

int ledger_checkpoint_text(const struct ledger_end *end, struct checkpoint *ret, struct buf *text) {
    *ret = (struct checkpoint){.size = end->tree.size};
    memcpy(ret->origin, end->key.name, sizeof ret->origin);
    merkle_root(&end->tree, ret->root);
    buf_init(text, NOTE_MAX);
    return checkpoint_format(text, ret);
}

/* The last one's. */
static int check_signature(const struct ledger_end *end) {
    struct checkpoint c;
    struct buf text;
    int rc = ledger_checkpoint_text(end, &c, &text);
    if (!rc &&
        crypto_sign_ed25519_verify_detached(end->signature, text.p, text.len, end->key.public_key))
        rc = ERR_CORRUPT;
    buf_wipe(&text);
    return rc;
}

/* ---- the walk ---- */

static bool size_fits(unsigned type, uint32_t n) {
    return type == LEDGER_FRAME_CHECKPOINT ? n == LEDGER_CHECKPOINT_BYTES
                                           : type == LEDGER_FRAME_ENTRY && n <= LEDGER_BODY_MAX;
}

/* ERR_AGAIN: the file ends within this frame, or before it. */
static int next_frame(struct walk *w) {
    uint8_t right[LEDGER_FRAME_BYTES];
    int rc = fill(w, LEDGER_FRAME_BYTES + LEDGER_CHECKPOINT_BYTES);
    if (rc || w->len - w->used < LEDGER_FRAME_BYTES)
        return rc ? rc : ERR_AGAIN;
    const uint8_t *head = w->p + w->used;
    const uint32_t n = get_u32(head);
    const uint8_t type = head[4];
    if (!size_fits(type, n))
        return only_zeros(w) ? ERR_AGAIN : ERR_CORRUPT;
    const bool cut = w->len - w->used < LEDGER_FRAME_BYTES + (size_t)n;
    /* A checkpoint's check covers its body, too, so it says nothing of one that is cut. */
    if (cut && w->ended && type == LEDGER_FRAME_CHECKPOINT)
        return ERR_AGAIN;
    ledger_frame_head(right, w->at, (enum ledger_frame)type, head + LEDGER_FRAME_BYTES, n);
    if (memcmp(right, head, sizeof right))
        return ERR_CORRUPT;
    rc = fill(w, LEDGER_FRAME_BYTES + (size_t)n);
    if (rc || w->len - w->used < LEDGER_FRAME_BYTES + (size_t)n)
        return rc ? rc : ERR_AGAIN;
    const uint8_t *body = w->p + w->used + LEDGER_FRAME_BYTES;
    rc = type == LEDGER_FRAME_ENTRY ? take_entry(w, body, n) : take_checkpoint(w, body);
    w->used += LEDGER_FRAME_BYTES + (size_t)n;
    w->at += LEDGER_FRAME_BYTES + (size_t)n;
    return rc;
}

static int read_head(struct walk *w) {
    int rc = fill(w, LEDGER_HEAD_BYTES);
    if (rc)
        return rc;
    const size_t zeros = 8 + LEDGER_ID_BYTES + NOTE_PUBLIC_BYTES;
    if (w->len >= 8 && !memcmp(w->p, LEDGER_MAGIC, 7) && w->p[7] != LEDGER_MAGIC[7])
        return ERR_VERSION;
    if (w->len < LEDGER_HEAD_BYTES || memcmp(w->p, LEDGER_MAGIC, 8) ||
        !sodium_is_zero(w->p + zeros, LEDGER_HEAD_BYTES - zeros))
        return ERR_CORRUPT;
    w->used = LEDGER_HEAD_BYTES;
    w->at = LEDGER_HEAD_BYTES;
    return ledger_make_key(&w->now.key, w->p + 8, w->p + 8 + LEDGER_ID_BYTES);
}

int ledger_walk(int fd, const struct ledger_walk *of, struct ledger_end *ret_end) {
    struct walk *w = calloc(1, sizeof *w);
    int rc = w ? 0 : ERR_NOMEM;
    if (!rc) {
        w->fd = fd;
        w->of = of;
        w->p = malloc(WINDOW);
        rc = w->p ? read_head(w) : ERR_NOMEM;
    }
    while (!rc)
        rc = next_frame(w);
    if (rc == ERR_AGAIN) /* a log has at least the checkpoint that it was made with */
        rc = w->sure.bytes ? check_signature(&w->sure) : ERR_CORRUPT;
    if (!rc)
        *ret_end = w->sure;
    if (w)
        free(w->p);
    free(w);
    return rc;
}
