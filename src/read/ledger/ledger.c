/*
 * Writes the ledger (ledger.h; doc/ledger.md has the form). Runs in the vault alone.
 *
 * Two ends are kept: `now`, with what was appended, and `sure`, with what an fdatasync has
 * confirmed. A failure goes back to `sure`, file, tree and index alike. After a failed fdatasync
 * the kernel may have dropped what it could not write and say nothing the next time; cutting the
 * file back to `sure` and writing anew is right then. While not even the cutting works the ledger
 * is broken, and the next append begins with another try.
 *
 * A checkpoint is signed before it is durable, because one fdatasync is to do for both. It leaves
 * only after that; of one that was taken back nobody knows.
 */
#include "read/ledger/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/err.h"
#include "read/ledger/ledger_int.h"

/* ---- writing ---- */

static int open_dir(const char *dir) {
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? err_from_errno(errno) : fd;
}

static int write_all(int fd, const uint8_t *p, size_t len, uint64_t at) {
    while (len > 0) {
        ssize_t n = pwrite(fd, p, len, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_from_errno(errno);
        p += n;
        at += (uint64_t)n;
        len -= (size_t)n;
    }
    return 0;
}

/* Signs the tree of `end` and writes its checkpoint there. */
static int write_checkpoint(int fd, struct ledger_end *end, const uint8_t *secret) {
    uint8_t frame[LEDGER_FRAME_BYTES + LEDGER_CHECKPOINT_BYTES], *body = frame + LEDGER_FRAME_BYTES;
    struct checkpoint c;
    struct buf text;
    int rc = ledger_checkpoint_text(end, &c, &text);
    if (!rc)
        crypto_sign_ed25519_detached(end->signature, NULL, text.p, text.len, secret);
    buf_wipe(&text);
    if (rc)
        return rc;
    put_u64(body, c.size);
    memcpy(body + 8, c.root, sizeof c.root);
    memcpy(body + 8 + sizeof c.root, end->signature, NOTE_SIGNATURE_BYTES);
    ledger_frame_head(frame, end->bytes, LEDGER_FRAME_CHECKPOINT, body, LEDGER_CHECKPOINT_BYTES);
    rc = write_all(fd, frame, sizeof frame, end->bytes);
    if (!rc)
        end->bytes += sizeof frame;
    return rc;
}

/* ---- making ---- */

static int write_first(int fd, const uint8_t public_key[NOTE_PUBLIC_BYTES], const uint8_t *secret) {
    uint8_t head[LEDGER_HEAD_BYTES] = LEDGER_MAGIC;
    struct ledger_end end = {.bytes = sizeof head};
    randombytes_buf(head + 8, LEDGER_ID_BYTES);
    memcpy(head + 8 + LEDGER_ID_BYTES, public_key, NOTE_PUBLIC_BYTES);
    int rc = ledger_make_key(&end.key, head + 8, public_key);
    if (!rc)
        rc = write_all(fd, head, sizeof head, 0);
    return rc ? rc : write_checkpoint(fd, &end, secret);
}

int ledger_create(const char *dir) {
    uint8_t public_key[NOTE_PUBLIC_BYTES], *secret = NULL;
    int folder = open_dir(dir);
    if (folder < 0)
        return folder;
    int rc = 0;
    int fd =
        openat(folder, LEDGER_FILE, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        rc = err_from_errno(errno);
    if (!rc)
        rc = ledger_key_create(folder, public_key, &secret);
    if (!rc)
        rc = write_first(fd, public_key, secret);
    if (!rc && (fsync(fd) || fsync(folder)))
        rc = err_from_errno(errno);
    if (rc && secret)
        unlinkat(folder, LEDGER_KEY_FILE, 0);
    if (rc && fd >= 0)
        unlinkat(folder, LEDGER_FILE, 0);
    if (fd >= 0)
        close(fd);
    sodium_free(secret);
    close(folder);
    return rc;
}

/* ---- opening ---- */

static void take_configuration(struct ledger *l, unsigned kind, const void *fields, size_t len) {
    if (kind == LEDGER_CONFIGURATION && len >= sizeof l->configuration)
        memcpy(l->configuration, fields, sizeof l->configuration);
}

static int take_entry(void *arg, const struct ledger_entry *e) {
    struct ledger *l = arg;
    struct batch_head head;
    uint8_t commitment[BATCH_HASH_BYTES];
    l->opening_count += e->kind == LEDGER_OPENED;
    take_configuration(l, e->kind, e->fields, e->fields_len);
    if (e->kind != LEDGER_BATCH)
        return 0;
    if (ledger_get_batch(e, &head, commitment) ||
        ledger_index_find(l->batches, head.sealer, head.number))
        return ERR_CORRUPT; /* two for one: never written by us */
    l->batch_count++;
    return ledger_index_add(l->batches, head.sealer, head.number, e->at);
}

/* What came before a checkpoint is there to stay. */
static int take_checkpoint(void *arg, const struct checkpoint *c,
                           const uint8_t signature[NOTE_SIGNATURE_BYTES]) {
    struct ledger *l = arg;
    (void)c;
    (void)signature;
    l->sure_batches = l->batch_count;
    l->sure_openings = l->opening_count;
    memcpy(l->sure_configuration, l->configuration, sizeof l->configuration);
    return 0;
}

/* Cuts off what was never confirmed. The rest may be no further than the kernel's memory, after a
 * vault that died before its fdatasync. */
static int cut_tail(struct ledger *l, uint64_t *ret_cut) {
    struct stat st;
    if (fstat(l->fd, &st))
        return err_from_errno(errno);
    *ret_cut = (uint64_t)st.st_size - l->sure.bytes;
    if (*ret_cut && ftruncate(l->fd, (off_t)l->sure.bytes))
        return err_from_errno(errno);
    return fsync(l->fd) ? err_from_errno(errno) : 0;
}

static int open_files(struct ledger *l, const char *dir) {
    const struct ledger_walk walk = {.entry = take_entry, .checkpoint = take_checkpoint, .arg = l};
    uint8_t public_key[NOTE_PUBLIC_BYTES];
    int rc = 0;
    l->folder = open_dir(dir);
    if (l->folder < 0)
        return l->folder;
    l->fd = openat(l->folder, LEDGER_FILE, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (l->fd < 0)
        rc = err_from_errno(errno);
    if (!rc)
        rc = ledger_walk(l->fd, &walk, &l->sure);
    if (!rc)
        rc = ledger_key_read(l->folder, public_key, &l->secret);
    if (!rc && memcmp(public_key, l->sure.key.public_key, sizeof public_key))
        rc = ERR_CORRUPT;
    return rc;
}

int ledger_open(const char *dir, const uint8_t audit_public[32], struct ledger **ret,
                uint64_t *ret_cut) {
    uint64_t cut = 0;
    struct ledger *l = calloc(1, sizeof *l);
    if (!l)
        return ERR_NOMEM;
    l->fd = l->folder = -1;
    memcpy(l->audit, audit_public, sizeof l->audit);
    buf_init(&l->frame, LEDGER_FRAME_BYTES + LEDGER_BODY_MAX + LEDGER_LEAF_MAX);
    buf_init(&l->clear, LEDGER_SEALED_MAX);
    int rc = ledger_index_new(&l->batches);
    if (!rc)
        rc = open_files(l, dir);
    if (!rc)
        rc = cut_tail(l, &cut);
    if (rc) {
        ledger_close(l);
        return rc;
    }
    l->now = l->sure;
    ledger_index_cut(l->batches, l->sure.bytes);
    l->batch_count = l->sure_batches;
    l->opening_count = l->sure_openings;
    memcpy(l->configuration, l->sure_configuration, sizeof l->configuration);
    if (ret_cut)
        *ret_cut = cut;
    *ret = l;
    return 0;
}

void ledger_close(struct ledger *l) {
    if (!l)
        return;
    if (l->fd >= 0)
        close(l->fd);
    if (l->folder >= 0)
        close(l->folder);
    sodium_free(l->secret);
    ledger_index_free(l->batches);
    buf_wipe(&l->frame);
    buf_wipe(&l->clear);
    free(l);
}

/* ---- taking back, making sure ---- */

void ledger_undo(struct ledger *l) {
    if (l->now.bytes == l->sure.bytes && !l->broken)
        return;
    ledger_index_cut(l->batches, l->sure.bytes);
    l->now = l->sure;
    l->batch_count = l->sure_batches;
    l->opening_count = l->sure_openings;
    memcpy(l->configuration, l->sure_configuration, sizeof l->configuration);
    l->broken = ftruncate(l->fd, (off_t)l->sure.bytes) != 0;
}

int ledger_sync(struct ledger *l) {
    if (l->now.bytes == l->sure.bytes)
        return 0;
    int rc = l->broken ? ERR_IO : write_checkpoint(l->fd, &l->now, l->secret);
    if (!rc && fdatasync(l->fd))
        rc = err_from_errno(errno);
    if (rc) {
        ledger_undo(l);
        return rc;
    }
    l->sure = l->now;
    l->sure_batches = l->batch_count;
    l->sure_openings = l->opening_count;
    memcpy(l->sure_configuration, l->configuration, sizeof l->configuration);
    return 0;
}

bool ledger_broken(const struct ledger *l) {
    return l->broken;
}

/* ---- appending ---- */

#define HINT_BYTES 8

/* u32 uid | s8 person | 16 session | s16 reason | rest */
static int put_who(struct buf *out, const struct ledger_who *w) {
    static const uint8_t no_session[16];
    uint8_t head[5], reason[2];
    const size_t person = w->person ? strlen(w->person) : 0;
    if (person > UINT8_MAX || w->reason_len > LIMIT_REASON)
        return ERR_LIMIT;
    put_u32(head, w->uid);
    head[4] = (uint8_t)person;
    put_u16(reason, (uint16_t)w->reason_len);
    int rc = buf_append(out, head, sizeof head);
    if (!rc)
        rc = buf_append(out, w->person, person);
    if (!rc)
        rc = buf_append(out, w->session ? w->session : no_session, sizeof no_session);
    if (!rc)
        rc = buf_append(out, reason, sizeof reason);
    if (!rc)
        rc = buf_append(out, w->reason, w->reason_len);
    return rc ? rc : buf_append(out, w->rest, w->rest_len);
}

/* A sealed part in the making: its bytes stand in l->frame at `at`. */
struct sealing {
    size_t at, len;
    uint8_t commitment[LEDGER_HASH_BYTES], hash[LEDGER_HASH_BYTES];
};

/* Salt to l->clear: the part is appended behind it. */
static int begin_part(struct ledger *l) {
    uint8_t salt[LEDGER_SALT_BYTES];
    randombytes_buf(salt, sizeof salt);
    int rc = buf_append(&l->clear, salt, sizeof salt);
    sodium_memzero(salt, sizeof salt);
    return rc;
}

/* u32 n | n sealed, appended to the frame. */
static int seal_part(struct ledger *l, enum ledger_which which, const uint8_t to[32],
                     struct sealing *s, uint8_t ret_salt[LEDGER_SALT_BYTES]) {
    const struct buf *c = &l->clear;
    uint8_t n[4];
    s->len = c->len + crypto_box_SEALBYTES;
    if (s->len > LEDGER_SEALED_MAX)
        return ERR_LIMIT;
    ledger_commitment(s->commitment, which, c->p, c->p + LEDGER_SALT_BYTES,
                      c->len - LEDGER_SALT_BYTES);
    memcpy(ret_salt, c->p, LEDGER_SALT_BYTES);
    put_u32(n, (uint32_t)s->len);
    int rc = buf_append(&l->frame, n, sizeof n);
    if (!rc)
        rc = buf_reserve(&l->frame, s->len);
    if (rc)
        return rc;
    uint8_t *out = l->frame.p + l->frame.len;
    if (crypto_box_seal(out, c->p, c->len, to))
        return ERR_CORRUPT; /* not a public key */
    crypto_hash_sha256(s->hash, out, s->len);
    l->frame.len += s->len;
    return 0;
}

static int put_parts(struct ledger *l, const struct ledger_draft *d, struct sealing *who,
                     struct sealing *about, struct ledger_receipt *r) {
    static const uint8_t none[4];
    int rc = 0;
    if (d->who) {
        rc = begin_part(l);
        if (!rc)
            rc = put_who(&l->clear, d->who);
        if (!rc)
            rc = seal_part(l, LEDGER_WHO, l->audit, who, r->who_salt);
        buf_clear(&l->clear);
    } else {
        rc = buf_append(&l->frame, none, sizeof none);
    }
    if (rc || !d->about)
        return rc ? rc : buf_append(&l->frame, none, sizeof none);
    const uint8_t *to = d->about->subject_public ? d->about->subject_public : l->audit;
    rc = begin_part(l);
    if (!rc)
        rc = buf_append(&l->clear, d->about->part, d->about->part_len);
    if (!rc)
        rc = seal_part(l, LEDGER_ABOUT, to, about, r->about_salt);
    buf_clear(&l->clear);
    return rc;
}

static size_t leaf_bytes(const struct ledger_draft *d) {
    return LEDGER_LEAF_FIXED + d->fields_len + (d->who ? 2 * LEDGER_HASH_BYTES : 0) +
           (d->about ? HINT_BYTES + 2 * LEDGER_HASH_BYTES : 0);
}

/* The leaf, of which `leaf` has the room, without what its place in the log gives it. */
static void put_leaf(uint8_t *leaf, const struct ledger_draft *d, const struct sealing *who,
                     const struct sealing *about) {
    memset(leaf, 0, LEDGER_LEAF_FIXED);
    leaf[0] = 2;
    leaf[1] = (uint8_t)d->kind;
    leaf[2] = (uint8_t)((d->who ? LEDGER_HAS_WHO : 0) | (d->about ? LEDGER_HAS_ABOUT : 0) |
                        (d->about && !d->about->subject_public ? LEDGER_ABOUT_AUDIT : 0));
    put_u64(leaf + 4, UINT64_MAX); /* nowhere */
    put_u16(leaf + 20, (uint16_t)d->fields_len);
    uint8_t *p = leaf + LEDGER_LEAF_FIXED;
    if (d->fields_len)
        memcpy(p, d->fields, d->fields_len);
    p += d->fields_len;
    if (d->who) {
        memcpy(p, who->commitment, LEDGER_HASH_BYTES);
        memcpy(p + LEDGER_HASH_BYTES, who->hash, LEDGER_HASH_BYTES);
        p += 2 * LEDGER_HASH_BYTES;
    }
    if (d->about) {
        memset(p, 0, HINT_BYTES);
        memcpy(p + HINT_BYTES, about->commitment, LEDGER_HASH_BYTES);
        memcpy(p + HINT_BYTES + LEDGER_HASH_BYTES, about->hash, LEDGER_HASH_BYTES);
    }
}

/* Index, time and hint. The subject part stands last. */
static void place_leaf(const struct ledger *l, uint8_t *leaf, size_t leaf_len,
                       const uint8_t *hint_key) {
    const uint64_t now = clock_wall_us(), index = l->now.tree.size;
    put_u64(leaf + 4, index);
    put_u64(leaf + 12, now > l->now.time_us ? now : l->now.time_us);
    if (hint_key && leaf[2] & LEDGER_HAS_ABOUT && !(leaf[2] & LEDGER_ABOUT_AUDIT))
        ledger_hint(leaf + leaf_len - 2 * LEDGER_HASH_BYTES - HINT_BYTES, hint_key, index);
}

/* The frame is in l->frame. */
static int write_entry(struct ledger *l, size_t leaf_len) {
    struct buf *f = &l->frame;
    const uint8_t *leaf = f->p + LEDGER_FRAME_BYTES + 2;
    const size_t body = f->len - LEDGER_FRAME_BYTES;
    struct ledger_end end = l->now;
    merkle_hash hash;
    if (body > LEDGER_BODY_MAX)
        return ERR_LIMIT;
    ledger_frame_head(f->p, end.bytes, LEDGER_FRAME_ENTRY, NULL, (uint32_t)body);
    int rc = write_all(l->fd, f->p, f->len, end.bytes);
    l->before = end.tree;
    merkle_leaf(hash, leaf, leaf_len);
    merkle_add(&end.tree, hash);
    end.time_us = get_u64(leaf + 12);
    end.bytes += f->len;
    l->now = end;
    if (rc)
        ledger_undo(l);
    return rc;
}

/* To l->frame. */
static int make_frame(struct ledger *l, const struct ledger_draft *d, struct ledger_receipt *r) {
    struct sealing who = {0}, about = {0};
    const size_t leaf_len = leaf_bytes(d);
    if (d->fields_len > LEDGER_FIELDS_MAX)
        return ERR_LIMIT;
    buf_clear(&l->frame);
    int rc = buf_reserve(&l->frame, LEDGER_FRAME_BYTES + 2 + leaf_len);
    if (rc)
        return rc;
    l->frame.len = LEDGER_FRAME_BYTES + 2 + leaf_len;
    rc = put_parts(l, d, &who, &about, r);
    if (rc)
        return rc;
    put_u16(l->frame.p + LEDGER_FRAME_BYTES, (uint16_t)leaf_len);
    put_leaf(l->frame.p + LEDGER_FRAME_BYTES + 2, d, &who, &about);
    return 0;
}

static bool is_broken(struct ledger *l) {
    if (l->broken)
        ledger_undo(l);
    return l->broken;
}

/* The frame is in l->frame. */
static int append_frame(struct ledger *l, const uint8_t *hint_key) {
    uint8_t *leaf = l->frame.p + LEDGER_FRAME_BYTES + 2;
    const size_t leaf_len = get_u16(leaf - 2);
    place_leaf(l, leaf, leaf_len, hint_key);
    int rc = write_entry(l, leaf_len);
    l->opening_count += !rc && leaf[1] == LEDGER_OPENED;
    return rc;
}

int ledger_append(struct ledger *l, const struct ledger_draft *d, struct ledger_receipt *ret) {
    struct ledger_receipt r = {0};
    if (is_broken(l))
        return ERR_IO;
    int rc = make_frame(l, d, &r);
    r.index = l->now.tree.size;
    if (!rc)
        rc = append_frame(l, d->about ? d->about->hint_key : NULL);
    if (rc)
        return rc;
    take_configuration(l, d->kind, d->fields, d->fields_len);
    if (ret)
        *ret = r;
    return 0;
}

/* u32 n | n the frame, its head not written yet */
int ledger_seal(struct ledger *l, const struct ledger_draft *d, struct buf *out) {
    struct ledger_receipt r = {0};
    uint8_t n[4];
    CHECK(d->kind != LEDGER_CONFIGURATION);
    int rc = make_frame(l, d, &r);
    sodium_memzero(&r, sizeof r);
    if (rc)
        return rc;
    put_u32(n, (uint32_t)l->frame.len);
    rc = buf_reserve(out, sizeof n + l->frame.len);
    if (!rc)
        rc = buf_append(out, n, sizeof n);
    return rc ? rc : buf_append(out, l->frame.p, l->frame.len);
}

int ledger_append_sealed(struct ledger *l, const struct buf *sealed, size_t *at,
                         const uint8_t *hint_key) {
    CHECK(*at + 4 <= sealed->len);
    const size_t n = get_u32(sealed->p + *at);
    CHECK(n <= sealed->len - *at - 4);
    if (is_broken(l))
        return ERR_IO;
    buf_clear(&l->frame);
    int rc = buf_append(&l->frame, sealed->p + *at + 4, n);
    if (!rc)
        rc = append_frame(l, hint_key);
    *at += 4 + n;
    return rc;
}
