/*
 * The sealer's spool folder as verify reads it, from doc/spool.md alone: which batches wait there, and
 * which exchanges are in them. Files come and go while the installation runs.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/err.h"
#include "read/verify/verify_int.h"

#define HEADER_BYTES 56 /* before its check */
#define CHECK_BYTES 8
#define FRAME_BYTES 8
#define END_BYTES 68
#define EXCHANGE_BYTES 32
#define SMALL_BYTES 128 /* of a payload that is looked at */
#define READ_BYTES 65536

struct file {
    int fd;
    uint64_t at;
};

/* ERR_AGAIN: the file ends before. */
static int read_at(const struct file *f, uint8_t *out, size_t len) {
    for (size_t n = 0; n < len;) {
        ssize_t got = pread(f->fd, out + n, len - n, (off_t)(f->at + n));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_from_errno(errno);
        if (got == 0)
            return ERR_AGAIN;
        n += (size_t)got;
    }
    return 0;
}

static int read_header(struct file *f, struct spool_file *ret) {
    uint8_t p[HEADER_BYTES + CHECK_BYTES], full[16];
    int rc = read_at(f, p, sizeof p);
    if (rc)
        return rc;
    crypto_generichash(full, sizeof full, p, HEADER_BYTES, NULL, 0);
    if (memcmp(p, "shspool1", 8) != 0 || memcmp(full, p + HEADER_BYTES, CHECK_BYTES) != 0 ||
        get_u64(p + 8) != ret->sealer || get_u64(p + 16) != ret->number)
        return ERR_CORRUPT;
    f->at += sizeof p;
    return 0;
}

/* One frame; the first bytes of its payload to `small`, its hash as a leaf to `leaf`. The check covers
 * all of it. */
static int read_frame(struct file *f, uint8_t head[FRAME_BYTES], uint8_t small[SMALL_BYTES],
                      uint8_t leaf[SHA_BYTES]) {
    crypto_generichash_state s;
    struct sha h;
    uint8_t piece[READ_BYTES], full[16];
    int rc = read_at(f, head, FRAME_BYTES);
    if (rc)
        return rc;
    size_t left = get_u32(head);
    if (left > LIMIT_SPOOL_FRAME)
        return ERR_CORRUPT;
    f->at += FRAME_BYTES;
    crypto_generichash_init(&s, NULL, 0, sizeof full);
    crypto_generichash_update(&s, head, FRAME_BYTES);
    const uint8_t prefix[2] = {0x00, head[5]};
    sha_begin(&h);
    sha_add(&h, prefix, sizeof prefix);
    for (bool first = true; left || first; first = false) {
        size_t n = left < sizeof piece ? left : sizeof piece;
        rc = read_at(f, piece, n);
        if (rc)
            return rc;
        if (first)
            memcpy(small, piece, n < SMALL_BYTES ? n : SMALL_BYTES);
        crypto_generichash_update(&s, piece, n);
        sha_add(&h, piece, n);
        f->at += n;
        left -= n;
    }
    crypto_generichash_final(&s, full, sizeof full);
    sha_end(&h, leaf);
    rc = read_at(f, piece, CHECK_BYTES);
    f->at += CHECK_BYTES;
    return rc ? rc : memcmp(full, piece, CHECK_BYTES) ? ERR_CORRUPT : 0;
}

/* What a frame of kind 3 names must have rows, or a file without any would hide that there are none. */
static int take_exchange(struct verify *v, const uint8_t *p, size_t n, bool rows) {
    if (n != EXCHANGE_BYTES || !rows)
        return ERR_CORRUPT;
    int rc = exchanges_add(&v->exchanges, get_u64(p), get_u64(p + 8));
    return rc == ERR_EXISTS ? 0 : rc; /* the store may have its row already */
}

static int read_frames(struct verify *v, struct file *f, struct spool_file *ret) {
    uint8_t head[FRAME_BYTES], small[SMALL_BYTES] = {0}, leaf[SHA_BYTES];
    struct tree t;
    bool rows = false; /* since the last exchange */
    int rc;
    tree_init(&t);
    while ((rc = read_frame(f, head, small, leaf)) == 0) {
        const size_t n = get_u32(head);
        if (ret->ended)
            return ERR_CORRUPT;
        if (head[4] == 1) {
            tree_add(&t, leaf);
            ret->rows++;
            rows = true;
        } else if (head[4] == 2) {
            tree_root(&t, ret->root);
            ret->ended = true;
            if (n != END_BYTES || get_u32(small) != ret->rows || !ret->rows ||
                memcmp(small + 4, ret->root, SHA_BYTES) != 0)
                return ERR_CORRUPT;
        } else if (head[4] == 3) {
            rc = take_exchange(v, small, n, rows);
            rows = false;
            if (rc)
                return rc;
        }
    }
    return rc == ERR_AGAIN ? 0 : rc; /* what is written at this moment, or was when it ended */
}

static int add(struct spool_list *l, const struct spool_file *f) {
    for (size_t i = 0; i < l->count; i++)
        if (l->files[i].sealer == f->sealer && l->files[i].number == f->number) {
            l->files[i] = *f;
            return 0;
        }
    if (l->count == l->room) {
        size_t room = l->room ? 2 * l->room : 64;
        struct spool_file *more = reallocarray(l->files, room, sizeof *more);
        if (!more)
            return ERR_NOMEM;
        l->files = more;
        l->room = room;
    }
    l->files[l->count++] = *f;
    return 0;
}

static int take(struct verify *v, struct spool_list *l, int dir, const char *name) {
    struct spool_file f = {0};
    char again[64];
    if (sscanf(name, "%16" SCNx64 "-%16" SCNx64, &f.sealer, &f.number) != 2)
        return 0;
    snprintf(again, sizeof again, "%016" PRIx64 "-%016" PRIx64 ".spool", f.sealer, f.number);
    const size_t n = strlen(again);
    if (strncmp(name, again, n) != 0)
        return 0;
    if (strcmp(name + n, ".damaged") == 0) {
        verify_say_at(v, VERIFY_SPOOL_DAMAGED, NULL, f.sealer, f.number, VERIFY_NO_INDEX,
                      "its file was put aside as damaged; its rows are in no table");
        return 0;
    }
    if (name[n])
        return 0;
    struct file file = {.fd = verify_open(dir, name)};
    if (file.fd == ERR_NOTFOUND)
        return 0; /* gone in the meantime: the store has it */
    int rc = file.fd < 0 ? file.fd : read_header(&file, &f);
    if (!rc)
        rc = read_frames(v, &file, &f);
    if (file.fd >= 0)
        close(file.fd);
    if (rc == ERR_NOMEM || rc == ERR_LIMIT)
        return rc;
    if (rc && rc != ERR_AGAIN)
        verify_say_at(v, VERIFY_SPOOL_DAMAGED, NULL, f.sealer, f.number, VERIFY_NO_INDEX,
                      "its file in the spool cannot be read: %s", err_text(rc));
    return add(l, &f);
}

int spool_list_read(struct verify *v, struct spool_list *l) {
    char path[4096];
    if (snprintf(path, sizeof path, "%s/spool", v->spec->dir) >= (int)sizeof path)
        return ERR_LIMIT;
    DIR *d = opendir(path);
    int rc = 0;
    if (!d) {
        verify_say(v, VERIFY_STORE_UNREAD, "the spool cannot be read (%s): what waits there is not "
                   "known", strerror(errno));
        return 0;
    }
    for (struct dirent *e; !rc && (e = readdir(d)) != NULL;)
        rc = take(v, l, dirfd(d), e->d_name);
    closedir(d);
    return rc;
}

struct spool_file *spool_list_find(const struct spool_list *l, uint64_t sealer, uint64_t number) {
    for (size_t i = 0; i < l->count; i++)
        if (l->files[i].sealer == sealer && l->files[i].number == number)
            return &l->files[i];
    return NULL;
}

bool spool_list_excuses(struct spool_list *l, uint64_t sealer, uint64_t number, const uint8_t *root) {
    struct spool_file *f = spool_list_find(l, sealer, number);
    if (!f || !f->ended || (root && memcmp(root, f->root, SHA_BYTES) != 0))
        return false;
    f->excuses = true;
    return true;
}
