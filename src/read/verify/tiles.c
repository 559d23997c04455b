/*
 * An exported ledger, c2sp.org/tlog-tiles as doc/ledger.md has them (verify_int.h): its leaf hashes give
 * the root of its own checkpoint, and those of the checkpoints that were kept elsewhere. The tiles of the
 * higher levels are not read: they follow from these.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "read/verify/verify_int.h"

#define WIDTH 256 /* hashes of a full tile */
#define NAME 64
#define KEY_MAX 1024

/* "tile/0/x001/x234/067", with ".p/<W>" when it is partial. */
static void tile_name(char out[NAME], uint64_t n, unsigned width) {
    uint64_t unit = 1;
    while (n / unit >= 1000)
        unit *= 1000;
    size_t at = (size_t)snprintf(out, NAME, "tile/0");
    for (; unit > 1; unit /= 1000)
        at += (size_t)snprintf(out + at, NAME - at, "/x%03" PRIu64, n / unit % 1000);
    at += (size_t)snprintf(out + at, NAME - at, "/%03" PRIu64, n % 1000);
    if (width < WIDTH)
        snprintf(out + at, NAME - at, ".p/%u", width);
}

static int read_head(struct verify *v, int dir, struct verify_note *note, struct verify_note_key *k) {
    uint8_t p[VERIFY_NOTE_MAX + 1];
    size_t len;
    int rc = verify_read_file(dir, "key", p, KEY_MAX, &len);
    if (!rc)
        rc = verify_note_key_parse(k, (const char *)p, len);
    if (!rc)
        rc = verify_read_file(dir, "checkpoint", p, sizeof p, &len);
    if (!rc)
        rc = verify_note_parse(note, p, len);
    if (rc)
        verify_say(v, VERIFY_LEDGER_MISSING, "there is no exported ledger with a key and a checkpoint "
                   "(%s)", err_text(rc));
    else if (strcmp(note->origin, k->name) != 0 || verify_note_verify(note, k))
        verify_say(v, VERIFY_LEDGER_SIGNATURE, "the tiles' checkpoint is not signed with the tiles' key");
    return rc ? ERR_NOTFOUND : 0;
}

static int add_tile(struct verify *v, int dir, struct kept *kept, struct tree *t, unsigned width) {
    uint8_t p[WIDTH * SHA_BYTES + 1];
    char name[NAME];
    size_t len;
    tile_name(name, t->count / WIDTH, width);
    int rc = verify_read_file(dir, name, p, sizeof p, &len);
    if (!rc && len != (size_t)width * SHA_BYTES)
        rc = ERR_CORRUPT;
    if (rc) {
        verify_say(v, VERIFY_LEDGER_DAMAGED, "%s is no tile of %u hashes (%s)", name, width, err_text(rc));
        return ERR_NOTFOUND;
    }
    for (unsigned i = 0; i < width; i++) {
        tree_add(t, p + i * SHA_BYTES);
        kept_size(v, kept, t);
    }
    return 0;
}

static int read_all(struct verify *v, int dir, struct kept *kept, struct journal_end *ret) {
    static struct verify_note note;
    struct verify_note_key k;
    struct tree t;
    int rc = read_head(v, dir, &note, &k);
    tree_init(&t);
    kept_size(v, kept, &t);
    while (!rc && t.count < note.size) {
        rc = add_tile(v, dir, kept, &t,
                      note.size - t.count < WIDTH ? (unsigned)(note.size - t.count) : WIDTH);
        verify_progress(v, "tiles", t.count, note.size);
    }
    if (rc)
        return rc;
    *ret = (struct journal_end){.entries = note.size};
    snprintf(ret->origin, sizeof ret->origin, "%s", k.name);
    memcpy(ret->public, k.public, sizeof ret->public);
    tree_root(&t, ret->root);
    if (memcmp(ret->root, note.root, sizeof note.root) != 0)
        verify_say(v, VERIFY_LEDGER_ROOT, "the tiles are not those of the %" PRIu64 " entries that the "
                   "checkpoint beside them was made of", note.size);
    return 0;
}

int tiles_read(struct verify *v, struct journal_end *ret) {
    struct kept kept;
    int dir = open(v->spec->tiles, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0) {
        verify_say(v, VERIFY_LEDGER_MISSING, "the exported ledger cannot be read: %s", strerror(errno));
        return ERR_NOTFOUND;
    }
    int rc = kept_init(v, &kept);
    if (!rc)
        rc = read_all(v, dir, &kept, ret);
    if (!rc)
        kept_judge(v, &kept, ret);
    kept_done(&kept);
    close(dir);
    return rc;
}
