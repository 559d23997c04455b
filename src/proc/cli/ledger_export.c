/*
 * `safehouse ledger export FOLDER`: the log as c2sp.org/tlog-tiles, in one pass. For each level the
 * hashes of the tile in the making are kept, and one bundle of entries. The checkpoint is written
 * last, so that a folder with one has every tile that it needs.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "proc/cli/cli.h"
#include "proc/cli/ledger_cli.h"

#define WIDTH 256
#define LEVELS 8 /* 256^8 entries */

struct level {
    uint64_t tile; /* which is in the making */
    unsigned count;
    merkle_hash hashes[WIDTH];
};

struct exporting {
    const char *to;
    struct level levels[LEVELS];
    struct buf bundle;
    uint64_t files;
};

/* ---- files ---- */

/* Makes the folders that lead to the file. */
static int make_folders(char *path, size_t from) {
    for (char *p = strchr(path + from, '/'); p; p = strchr(p + 1, '/')) {
        *p = 0;
        int failed = mkdir(path, 0755) && errno != EEXIST;
        *p = '/';
        if (failed)
            return err_from_errno(errno);
    }
    return 0;
}

static int write_file(struct exporting *x, const char *name, const void *p, size_t len) {
    char path[CLI_PATH];
    if (!cli_path(path, x->to, name))
        return ERR_LIMIT;
    int rc = make_folders(path, strlen(x->to) + 1);
    FILE *f = rc ? NULL : fopen(path, "we");
    if (!f)
        return rc ? rc : err_from_errno(errno);
    if (fwrite(p, 1, len, f) != len)
        rc = ERR_IO;
    if (fclose(f))
        rc = ERR_IO;
    x->files++;
    return rc;
}

/* "tile/<L>/x001/x234/067", with ".p/<W>" when it is partial. */
static void tile_name(char out[128], const char *level, uint64_t n, unsigned width) {
    uint64_t groups[8];
    size_t count = 0, at;
    do
        groups[count++] = n % 1000;
    while ((n /= 1000) && count < 8);
    at = (size_t)snprintf(out, 128, "tile/%s", level);
    while (count) {
        count--;
        at += (size_t)snprintf(out + at, 128 - at, count ? "/x%03llu" : "/%03llu",
                               (unsigned long long)groups[count]);
    }
    if (width < WIDTH)
        snprintf(out + at, 128 - at, ".p/%u", width);
}

/* ---- tiles ---- */

static int write_tile(struct exporting *x, unsigned level) {
    const struct level *l = &x->levels[level];
    char name[128], word[8];
    snprintf(word, sizeof word, "%u", level);
    tile_name(name, word, l->tile, l->count);
    return write_file(x, name, l->hashes, l->count * sizeof l->hashes[0]);
}

static int write_bundle(struct exporting *x) {
    char name[128];
    tile_name(name, "entries", x->levels[0].tile, x->levels[0].count);
    int rc = write_file(x, name, x->bundle.p, x->bundle.len);
    buf_clear(&x->bundle);
    return rc;
}

/* A full tile's root is a hash of the level above. */
static int add_hash(struct exporting *x, unsigned level, const merkle_hash hash) {
    struct level *l = &x->levels[level];
    struct merkle m;
    merkle_hash root;
    int rc = 0;
    memcpy(l->hashes[l->count++], hash, sizeof root);
    if (l->count < WIDTH)
        return 0;
    if (level == 0)
        rc = write_bundle(x);
    if (!rc)
        rc = write_tile(x, level);
    merkle_init(&m);
    for (unsigned i = 0; i < WIDTH; i++)
        merkle_add(&m, l->hashes[i]);
    merkle_root(&m, root);
    l->count = 0;
    l->tile++;
    return rc || level + 1 == LEVELS ? rc : add_hash(x, level + 1, root);
}

static int take(void *arg, const struct ledger_entry *e) {
    struct exporting *x = arg;
    const uint8_t n[2] = {(uint8_t)(e->leaf_len >> 8), (uint8_t)e->leaf_len};
    int rc = buf_append(&x->bundle, n, sizeof n);
    if (!rc)
        rc = buf_append(&x->bundle, e->leaf, e->leaf_len);
    return rc ? rc : add_hash(x, 0, e->leaf_hash);
}

static int write_rest(struct exporting *x, const struct ledger_source *s) {
    struct buf key;
    int rc = x->levels[0].count ? write_bundle(x) : 0;
    for (unsigned i = 0; !rc && i < LEVELS; i++)
        rc = x->levels[i].count ? write_tile(x, i) : 0;
    buf_init(&key, 1024);
    if (!rc)
        rc = note_key_format(&key, &s->key);
    if (!rc)
        rc = buf_append_u8(&key, '\n');
    if (!rc)
        rc = write_file(x, "key", key.p, key.len);
    buf_wipe(&key);
    return rc ? rc : write_file(x, "checkpoint", s->note.p, s->note.len);
}

int ledger_export(const struct ledger_source *s, const char *to, bool json) {
    struct exporting *x = calloc(1, sizeof *x);
    struct ledger_end end;
    if (!x)
        return cli_fail_err(ERR_NOMEM, NULL, "exporting");
    const struct ledger_walk walk = {.limit = s->bytes, .entry = take, .arg = x};
    x->to = to;
    buf_init(&x->bundle, WIDTH * (2 + LEDGER_LEAF_MAX));
    int rc = mkdir(to, 0755) && errno != EEXIST ? err_from_errno(errno) : 0;
    if (!rc)
        rc = ledger_walk(s->fd, &walk, &end);
    if (!rc)
        rc = write_rest(x, s);
    const uint64_t files = x->files;
    buf_wipe(&x->bundle);
    free(x);
    if (rc == ERR_CORRUPT)
        return cli_fail(CLI_FOUND, "keep it as it is, and compare it with a copy",
                        "the ledger is damaged");
    if (rc)
        return cli_fail_err(rc, NULL, "exporting");
    if (json)
        return cli_print_json(json_pack("{s:s, s:I, s:I}", "folder", to, "size",
                                        (json_int_t)s->checkpoint.size, "files", (json_int_t)files))
                   ? CLI_DONE
                   : CLI_INCOMPLETE;
    printf("%llu entries, %llu files in %s\n", (unsigned long long)s->checkpoint.size,
           (unsigned long long)files, to);
    return CLI_DONE;
}
