/*
 * Writes the ledger (ledger.h; the format is in ledger_int.h). Runs in the vault alone.
 *
 * Two ends are kept: `now`, with what was appended, and `sure`, with what an fdatasync has
 * confirmed. A failure goes back to `sure`, file and index alike. After a failed fdatasync the
 * kernel may have dropped what it could not write and say nothing the next time; cutting the file
 * back to `sure` and writing anew is right then, and if not even the cutting works, the ledger is
 * broken until it is opened anew.
 */
#include "read/ledger/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/err.h"
#include "read/ledger/ledger_int.h"

struct ledger {
    int fd;
    struct ledger_end now, sure;
    struct ledger_index *batches;
    uint64_t batch_count, opening_count; /* with what is not sure yet */
    uint64_t sure_batches, sure_openings;
    struct buf entry; /* sealed or clear metadata: nothing to wipe */
    bool broken;
};

/* ---- making and opening ---- */

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

int ledger_create(const char *dir) {
    uint8_t head[LEDGER_HEAD_BYTES] = "shledgr1";
    int folder = open_dir(dir);
    if (folder < 0)
        return folder;
    int rc = 0;
    int fd =
        openat(folder, LEDGER_FILE, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        rc = err_from_errno(errno);
    randombytes_buf(head + 8, UUID_BYTES);
    if (!rc)
        rc = write_all(fd, head, sizeof head, 0);
    if (!rc && (fsync(fd) || fsync(folder)))
        rc = err_from_errno(errno);
    if (rc && fd >= 0)
        unlinkat(folder, LEDGER_FILE, 0);
    if (fd >= 0)
        close(fd);
    close(folder);
    return rc;
}

static int take_entry(void *arg, const struct ledger_entry *e) {
    struct ledger *l = arg;
    struct batch_head head;
    uint8_t commitment[BATCH_HASH_BYTES];
    if (e->kind == LEDGER_OPENED) {
        l->opening_count++;
        return 0;
    }
    if (e->kind == LEDGER_ASKED)
        return 0;
    ledger_get_batch(e->payload, &head, commitment);
    if (ledger_index_find(l->batches, head.sealer, head.number))
        return ERR_CORRUPT; /* two for one: never written by us */
    l->batch_count++;
    return ledger_index_add(l->batches, head.sealer, head.number, e->at);
}

static void set_sure(struct ledger *l) {
    l->sure = l->now;
    l->sure_batches = l->batch_count;
    l->sure_openings = l->opening_count;
}

/* Cuts off the entry that is not whole. */
static int cut_tail(struct ledger *l, uint64_t *ret_cut) {
    struct stat st;
    if (fstat(l->fd, &st))
        return err_from_errno(errno);
    *ret_cut = (uint64_t)st.st_size - l->now.bytes;
    if (*ret_cut && (ftruncate(l->fd, (off_t)l->now.bytes) || fsync(l->fd)))
        return err_from_errno(errno);
    return 0;
}

int ledger_open(const char *dir, struct ledger **ret, uint64_t *ret_cut) {
    uint64_t cut = 0;
    int folder = open_dir(dir);
    if (folder < 0)
        return folder;
    struct ledger *l = calloc(1, sizeof *l);
    int rc = l ? ledger_index_new(&l->batches) : ERR_NOMEM;
    if (!rc) {
        buf_init(&l->entry, LEDGER_FIXED_BYTES + LEDGER_PAYLOAD_MAX + LEDGER_HASH_BYTES);
        l->fd = openat(folder, LEDGER_FILE, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
        rc = l->fd < 0 ? err_from_errno(errno) : 0;
    }
    if (!rc)
        rc = ledger_walk(l->fd, take_entry, l, &l->now);
    if (!rc)
        rc = cut_tail(l, &cut);
    close(folder);
    if (rc) {
        ledger_close(l);
        return rc;
    }
    set_sure(l);
    if (ret_cut)
        *ret_cut = cut;
    *ret = l;
    return 0;
}

void ledger_close(struct ledger *l) {
    if (!l)
        return;
    if (l->fd > 0)
        close(l->fd);
    ledger_index_free(l->batches);
    buf_wipe(&l->entry);
    free(l);
}

/* ---- appending ---- */

void ledger_undo(struct ledger *l) {
    if (l->now.bytes == l->sure.bytes)
        return;
    ledger_index_cut(l->batches, l->sure.bytes);
    l->now = l->sure;
    l->batch_count = l->sure_batches;
    l->opening_count = l->sure_openings;
    if (ftruncate(l->fd, (off_t)l->sure.bytes))
        l->broken = true;
}

/* Begins an entry in l->entry: the caller appends exactly `len` bytes of payload. */
static int begin_entry(struct ledger *l, enum ledger_kind kind, uint32_t len) {
    uint8_t fixed[LEDGER_FIXED_BYTES] = {0};
    uint64_t now = clock_wall_us();
    if (l->broken)
        return ERR_IO;
    put_u32(fixed, len);
    fixed[4] = (uint8_t)kind;
    put_u64(fixed + 8, l->now.entries + 1);
    put_u64(fixed + 16, now > l->now.time_us ? now : l->now.time_us);
    ledger_entry_check(fixed + 24, fixed);
    buf_clear(&l->entry);
    return buf_append(&l->entry, fixed, sizeof fixed);
}

static int end_entry(struct ledger *l) {
    struct ledger_end end = l->now;
    const uint8_t *fixed = l->entry.p;
    CHECK(l->entry.len == LEDGER_FIXED_BYTES + (size_t)get_u32(fixed));
    end.entries = get_u64(fixed + 8);
    end.time_us = get_u64(fixed + 16);
    ledger_entry_hash(end.hash, l->now.hash, fixed, l->entry.len);
    int rc = buf_append(&l->entry, end.hash, sizeof end.hash);
    if (rc)
        return rc;
    end.bytes += l->entry.len;
    rc = write_all(l->fd, l->entry.p, l->entry.len, l->now.bytes);
    l->now = end;
    if (rc)
        ledger_undo(l);
    return rc;
}

int ledger_sync(struct ledger *l) {
    if (l->now.bytes == l->sure.bytes)
        return 0;
    if (l->broken || fdatasync(l->fd)) {
        int rc = l->broken ? ERR_IO : err_from_errno(errno);
        ledger_undo(l);
        return rc;
    }
    set_sure(l);
    return 0;
}

bool ledger_broken(const struct ledger *l) {
    return l->broken;
}

void ledger_totals(const struct ledger *l, struct ledger_totals *ret) {
    *ret = (struct ledger_totals){
        .entries = l->sure.entries,
        .bytes = l->sure.bytes,
        .batches = l->sure_batches,
        .openings = l->sure_openings,
    };
}

/* ---- batches ---- */

/* The noted batch of that number; ERR_NOTFOUND. Read from the file: the index has places only. */
static int noted(const struct ledger *l, uint64_t sealer, uint64_t number,
                 uint8_t p[LEDGER_BATCH_BYTES]) {
    uint64_t at = ledger_index_find(l->batches, sealer, number);
    if (!at)
        return ERR_NOTFOUND;
    ssize_t n = pread(l->fd, p, LEDGER_BATCH_BYTES, (off_t)(at + LEDGER_FIXED_BYTES));
    return n == LEDGER_BATCH_BYTES ? 0 : ERR_IO;
}

/* A neighbour that is not there yet may come later: notes of one sealer are not in order. */
static int chains(const struct ledger *l, const struct batch_head *h,
                  const uint8_t commitment[BATCH_HASH_BYTES]) {
    static const uint8_t zero[BATCH_HASH_BYTES];
    uint8_t p[LEDGER_BATCH_BYTES], other[BATCH_HASH_BYTES];
    struct batch_head near;
    int rc = 0;
    if (h->number == 0 || (h->number == 1 && memcmp(h->previous, zero, sizeof zero)))
        return ERR_DENIED;
    rc = noted(l, h->sealer, h->number - 1, p);
    if (!rc) {
        ledger_get_batch(p, &near, other);
        rc = memcmp(h->previous, other, sizeof other) ? ERR_DENIED : 0;
    }
    if (rc && rc != ERR_NOTFOUND)
        return rc;
    rc = h->number == UINT64_MAX ? ERR_NOTFOUND : noted(l, h->sealer, h->number + 1, p);
    if (!rc) {
        ledger_get_batch(p, &near, other);
        rc = memcmp(near.previous, commitment, BATCH_HASH_BYTES) ? ERR_DENIED : 0;
    }
    return rc == ERR_NOTFOUND ? 0 : rc;
}

int ledger_batch(struct ledger *l, const struct batch_head *head,
                 const uint8_t commitment[BATCH_HASH_BYTES]) {
    uint8_t p[LEDGER_BATCH_BYTES], before[LEDGER_BATCH_BYTES], right[BATCH_HASH_BYTES];
    batch_commitment(right, head);
    if (memcmp(right, commitment, sizeof right))
        return ERR_CORRUPT;
    ledger_put_batch(p, head, commitment);
    int rc = noted(l, head->sealer, head->number, before);
    if (!rc)
        return memcmp(p, before, sizeof p) ? ERR_DENIED : ERR_EXISTS;
    if (rc == ERR_NOTFOUND)
        rc = chains(l, head, commitment);
    const uint64_t at = l->now.bytes;
    if (!rc)
        rc = begin_entry(l, LEDGER_BATCH, sizeof p);
    if (!rc)
        rc = buf_append(&l->entry, p, sizeof p);
    if (!rc)
        rc = end_entry(l);
    if (rc)
        return rc;
    l->batch_count++;
    rc = ledger_index_add(l->batches, head->sealer, head->number, at);
    if (rc)
        ledger_undo(l);
    return rc;
}

/* ---- openings ---- */

/* u32 uid | u16 n | n reason | cells, sealed as one piece. */
static int seal_opening(struct buf *out, const uint8_t opening_public[32],
                        const struct buf *clear) {
    int rc = buf_reserve(out, clear->len + crypto_box_SEALBYTES);
    if (rc)
        return rc;
    if (crypto_box_seal(out->p + out->len, clear->p, clear->len, opening_public))
        return ERR_CORRUPT; /* not a public key */
    out->len += clear->len + crypto_box_SEALBYTES;
    return 0;
}

static int put_opening(struct buf *out, uint32_t uid, const char *reason, size_t reason_len,
                       const struct ledger_cell *cells, uint32_t count) {
    uint8_t head[6];
    put_u32(head, uid);
    put_u16(head + 4, (uint16_t)reason_len);
    int rc = buf_append(out, head, sizeof head);
    if (!rc)
        rc = buf_append(out, reason, reason_len);
    for (uint32_t i = 0; !rc && i < count; i++) {
        rc = buf_append(out, cells[i].record, UUID_BYTES);
        if (!rc)
            rc = buf_append(out, cells[i].subject, UUID_BYTES);
        if (!rc)
            rc = buf_append(out, cells[i].hash, LEDGER_HASH_BYTES);
    }
    return rc;
}

int ledger_opened(struct ledger *l, const uint8_t opening_public[32], uint32_t uid,
                  const char *reason, size_t reason_len, const struct ledger_cell *cells,
                  uint32_t count) {
    struct buf clear;
    uint8_t n[4];
    if (reason_len > LIMIT_REASON || count > LIMIT_OPEN_CELLS)
        return ERR_LIMIT;
    buf_init(&clear, LEDGER_PAYLOAD_MAX);
    put_u32(n, count);
    int rc = put_opening(&clear, uid, reason, reason_len, cells, count);
    if (!rc)
        rc = begin_entry(l, LEDGER_OPENED, (uint32_t)(sizeof n + clear.len + crypto_box_SEALBYTES));
    if (!rc)
        rc = buf_append(&l->entry, n, sizeof n);
    if (!rc)
        rc = seal_opening(&l->entry, opening_public, &clear);
    buf_wipe(&clear);
    if (!rc)
        rc = end_entry(l);
    if (!rc)
        l->opening_count++;
    return rc;
}

/* ---- questions ---- */

int ledger_asked(struct ledger *l, const uint8_t opening_public[32], uint32_t uid) {
    uint8_t clear[4], sealed[sizeof clear + crypto_box_SEALBYTES];
    put_u32(clear, uid);
    if (crypto_box_seal(sealed, clear, sizeof clear, opening_public))
        return ERR_CORRUPT; /* not a public key */
    int rc = begin_entry(l, LEDGER_ASKED, sizeof sealed);
    if (!rc)
        rc = buf_append(&l->entry, sealed, sizeof sealed);
    return rc ? rc : end_entry(l);
}
