/*
 * Reads ledger.log (journal.h), in a window over the file, frame by frame. What is wrong is told and
 * passed over where the next frame can still be found: lengths are believed with their check only.
 */
#include "read/verify/journal.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/err.h"

#define MAGIC "shledgr2"
#define HEAD_BYTES 64
#define FRAME_BYTES 16 /* before its body */
#define BODY_MAX 2097152u
#define PART_MAX 1048576u
#define CHECKPOINT_BYTES 104
#define WINDOW (4u << 20)
#define LEAF_BYTES 22 /* before the public fields */
_Static_assert(WINDOW >= FRAME_BYTES + BODY_MAX, "a frame");

static const char frame_label[] = "safehouse ledger frame 2";

const char *journal_kind_name(uint8_t kind) {
    static const char *const names[JOURNAL_KINDS + 1] = {
        NULL,       "batch",    "opened",      "asked",   "exported",      "erased",
        "held",     "released", "retention",   "grant",   "approval",      "key rotated",
        "sign-in",  "configuration", "report received", "high-water mark", "canary",
        "report answered",
    };
    return kind && kind <= JOURNAL_KINDS ? names[kind] : "unknown";
}

/* ---- leaves ---- */

int journal_leaf_read(struct journal_leaf *ret, const uint8_t *p, size_t len) {
    if (len < 1)
        return ERR_SYNTAX;
    if (p[0] != 2)
        return ERR_VERSION;
    if (len < LEAF_BYTES || p[3] != 0 || p[2] & ~7u)
        return ERR_SYNTAX;
    *ret = (struct journal_leaf){.kind = p[1],
                                 .parts = p[2],
                                 .index = get_u64(p + 4),
                                 .time_us = get_u64(p + 12),
                                 .len = get_u16(p + 20),
                                 .fields = p + LEAF_BYTES};
    size_t left = len - LEAF_BYTES;
    if (left < ret->len)
        return ERR_SYNTAX;
    p += LEAF_BYTES + ret->len;
    left -= ret->len;
    for (int part = 0; part < 2; part++) {
        const size_t hint = part == 1 ? 8 : 0, n = hint + 2 * SHA_BYTES;
        if (!(ret->parts & 1u << part))
            continue;
        if (left < n)
            return ERR_SYNTAX;
        memcpy(ret->commitment[part], p + hint, SHA_BYTES);
        memcpy(ret->hash[part], p + hint + SHA_BYTES, SHA_BYTES);
        p += n;
        left -= n;
    }
    return left ? ERR_SYNTAX : 0;
}

/* ---- the file ---- */

struct reading {
    int fd;
    const struct journal_reader *r;
    struct journal_end *end;
    uint8_t *p;       /* the window */
    size_t len, used; /* of the window: read, gone */
    uint64_t at, all; /* in the file */
    struct tree tree;
    uint64_t last_time, last_size;
    bool any_checkpoint;
};

/* At least `need` bytes in the window, unless the file ends before. */
static int fill(struct reading *g, size_t need) {
    if (g->len - g->used >= need)
        return 0;
    memmove(g->p, g->p + g->used, g->len - g->used);
    g->len -= g->used;
    g->used = 0;
    while (g->len < need) {
        ssize_t n = pread(g->fd, g->p + g->len, WINDOW - g->len, (off_t)(g->at + g->len));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_from_errno(errno);
        if (n == 0)
            break;
        g->len += (size_t)n;
    }
    return 0;
}

static void gone(struct reading *g, size_t n) {
    g->used += n;
    g->at += n;
}

static void fault(struct reading *g, enum journal_fault f) {
    g->r->fault(g->r->arg, f, g->at, g->tree.count);
}

static int read_head(struct reading *g) {
    char id[2 * JOURNAL_ID_BYTES + 1];
    int rc = fill(g, HEAD_BYTES);
    if (rc)
        return rc;
    if (g->len < HEAD_BYTES || memcmp(g->p, "shledgr", 7) != 0 || !sodium_is_zero(g->p + 56, 8))
        return ERR_CORRUPT;
    if (memcmp(g->p, MAGIC, 8) != 0)
        return ERR_VERSION;
    hex_encode(id, g->p + 8, JOURNAL_ID_BYTES);
    snprintf(g->end->origin, sizeof g->end->origin, "safehouse.invalid/%s", id);
    memcpy(g->end->public, g->p + 24, 32);
    gone(g, HEAD_BYTES);
    return 0;
}

static void check_part(struct reading *g, const struct journal_leaf *l, int part, const uint8_t *p,
                       size_t len) {
    uint8_t hash[SHA_BYTES];
    const bool has = l->parts & 1u << part;
    sha_two(hash, p, len, "", 0);
    if (has != (len > 0) || (has && memcmp(hash, l->hash[part], sizeof hash) != 0))
        fault(g, JOURNAL_PART);
}

/* u16 l | l leaf | u32 a | a who part | u32 b | b subject part. False: the body is not of this form. */
static bool split_entry(const uint8_t *p, size_t n, const uint8_t *piece[3], size_t len[3]) {
    for (int i = 0; i < 3; i++) {
        const size_t head = i ? 4 : 2;
        if (n < head)
            return false;
        len[i] = i ? get_u32(p) : get_u16(p);
        if (n - head < len[i] || len[i] > (i ? PART_MAX : UINT16_MAX))
            return false;
        piece[i] = p + head;
        p += head + len[i];
        n -= head + len[i];
    }
    return n == 0;
}

static int take_entry(struct reading *g, const uint8_t *body, size_t n) {
    const uint8_t *piece[3];
    size_t len[3];
    struct journal_leaf l;
    uint8_t hash[SHA_BYTES];
    static const uint8_t prefix = 0x00;
    if (!split_entry(body, n, piece, len)) {
        fault(g, JOURNAL_DAMAGED);
        return ERR_CORRUPT;
    }
    sha_two(hash, &prefix, 1, piece[0], len[0]);
    int rc = journal_leaf_read(&l, piece[0], len[0]);
    if (rc || l.index != g->tree.count) {
        fault(g, JOURNAL_LEAF);
    } else {
        l.at = g->at + FRAME_BYTES + (uint64_t)(l.fields - body);
        if (l.time_us < g->last_time)
            fault(g, JOURNAL_TIME);
        g->last_time = l.time_us;
        for (int part = 0; part < 2; part++)
            check_part(g, &l, part, piece[1 + part], len[1 + part]);
        rc = g->r->leaf(g->r->arg, &l);
        if (rc)
            return rc;
    }
    tree_add(&g->tree, hash);
    g->r->size(g->r->arg, &g->tree);
    return 0;
}

static void take_checkpoint(struct reading *g, const uint8_t *body) {
    struct verify_note note;
    uint8_t root[SHA_BYTES];
    const uint64_t size = get_u64(body);
    if (size != g->tree.count || (g->any_checkpoint ? size <= g->last_size : size != 0))
        fault(g, JOURNAL_SIZE);
    tree_root(&g->tree, root);
    if (memcmp(root, body + 8, SHA_BYTES) != 0)
        fault(g, JOURNAL_ROOT);
    verify_note_make(&note, g->end->origin, size, body + 8);
    if (!verify_note_signature_right(&note, body + 40, g->end->public))
        fault(g, JOURNAL_SIGNATURE);
    g->any_checkpoint = true;
    g->last_size = size;
    g->end->entries = g->tree.count;
    g->end->time_us = g->last_time;
    memcpy(g->end->root, body + 8, SHA_BYTES);
    memcpy(g->end->signature, body + 40, 64);
    g->r->confirmed(g->r->arg);
}

/* Of a checkpoint the check covers its body too: `body` bytes of it. */
static bool check_is_right(const struct reading *g, const uint8_t *frame, size_t body) {
    uint8_t bytes[8 + 8 + CHECKPOINT_BYTES], hash[SHA_BYTES];
    put_u64(bytes, g->at);
    memcpy(bytes + 8, frame, 8);
    memcpy(bytes + 16, frame + FRAME_BYTES, body);
    sha_two(hash, frame_label, sizeof frame_label - 1, bytes, 16 + body);
    return memcmp(hash, frame + 8, 8) == 0;
}

/* A file that a crash cut short may go on in zeros: nothing of that was confirmed. */
static int only_zeros(struct reading *g, bool *ret) {
    int rc = 0;
    *ret = true;
    while (!rc && *ret && (rc = fill(g, WINDOW)) == 0 && g->len > g->used) {
        *ret = sodium_is_zero(g->p + g->used, g->len - g->used);
        gone(g, g->len - g->used);
    }
    return rc;
}

/* ERR_AGAIN: the file ends here, or within what was never confirmed. */
static int next_frame(struct reading *g) {
    int rc = fill(g, FRAME_BYTES + CHECKPOINT_BYTES);
    if (rc || g->len - g->used < FRAME_BYTES)
        return rc ? rc : ERR_AGAIN;
    const uint8_t *frame = g->p + g->used;
    const size_t n = get_u32(frame);
    const bool entry = frame[4] == 1, checkpoint = frame[4] == 2 && n == CHECKPOINT_BYTES;
    if (checkpoint && g->len - g->used < FRAME_BYTES + CHECKPOINT_BYTES)
        return ERR_AGAIN; /* it was never confirmed, or is written at this moment */
    if (frame[5] || frame[6] || frame[7] || !(entry || checkpoint) || n > BODY_MAX ||
        !check_is_right(g, frame, checkpoint ? CHECKPOINT_BYTES : 0)) {
        const uint64_t at = g->at;
        bool zeros;
        rc = only_zeros(g, &zeros);
        if (!rc && !zeros)
            g->r->fault(g->r->arg, JOURNAL_DAMAGED, at, g->tree.count);
        return rc ? rc : zeros ? ERR_AGAIN : ERR_CORRUPT;
    }
    rc = fill(g, FRAME_BYTES + n);
    if (rc || g->len - g->used < FRAME_BYTES + n)
        return rc ? rc : ERR_AGAIN;
    const uint8_t *body = g->p + g->used + FRAME_BYTES;
    if (entry)
        rc = take_entry(g, body, n);
    else
        take_checkpoint(g, body);
    gone(g, FRAME_BYTES + n);
    return rc;
}

int journal_read(int fd, const struct journal_reader *r, struct journal_end *ret) {
    struct reading g = {.fd = fd, .r = r, .end = ret, .p = malloc(WINDOW)};
    struct stat st;
    memset(ret, 0, sizeof *ret);
    int rc = !g.p ? ERR_NOMEM : fstat(fd, &st) ? err_from_errno(errno) : read_head(&g);
    if (!rc) {
        g.all = (uint64_t)st.st_size;
        r->size(r->arg, &g.tree);
    }
    for (uint64_t frames = 0; !rc; frames++) {
        rc = next_frame(&g);
        if (r->progress && frames % 4096 == 0)
            r->progress(r->arg, g.at, g.all);
    }
    ret->unconfirmed = g.tree.count - ret->entries;
    if (rc == ERR_AGAIN && !g.any_checkpoint) {
        fault(&g, JOURNAL_DAMAGED); /* a ledger begins with the checkpoint of size 0 */
        rc = 0;
    }
    free(g.p);
    return rc == ERR_AGAIN || (rc == ERR_CORRUPT && g.at >= HEAD_BYTES) ? 0 : rc;
}
