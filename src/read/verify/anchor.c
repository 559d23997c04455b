/*
 * Whose is a checkpoint that a paper carries (verify_int.h)? It counts only if it is signed with a key
 * that is known, is a checkpoint that was kept, or is one of a ledger that is there to be read.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "read/verify/verify_int.h"

/* The same checkpoint, with a signature that both have, and none that differs. */
static bool same(const struct verify_note *a, const struct verify_note *b) {
    bool shared = false;
    if (a->text_len != b->text_len || memcmp(a->text, b->text, a->text_len) != 0)
        return false;
    for (size_t i = 0; i < a->count; i++)
        for (size_t j = 0; j < b->count; j++) {
            const struct verify_note_signature *x = &a->signatures[i], *y = &b->signatures[j];
            if (strcmp(x->name, y->name) != 0 || memcmp(x->id, y->id, sizeof x->id) != 0)
                continue;
            if (!x->ed25519 || !y->ed25519 || memcmp(x->bytes, y->bytes, sizeof x->bytes) != 0)
                return false;
            shared = true;
        }
    return shared;
}

static uint64_t told(const struct verify *v) {
    return v->totals->found + v->totals->part;
}

/* ---- the key ---- */

static void by_key(struct verify *v, const struct verify_note *n, const char *name) {
    const struct verify_note_key *k = v->spec->key;
    const int rc = verify_note_verify(n, k);
    if (rc == ERR_CORRUPT)
        verify_say(v, VERIFY_PROOF_WRONG, "%s: its checkpoint has a wrong signature", name);
    else if (rc || strcmp(n->origin, k->name) != 0)
        verify_say(v, VERIFY_PROOF_WRONG, "%s: its checkpoint is not signed with the key given", name);
}

/* ---- a ledger that is there ---- */

/* It is held against the checkpoints of the spec, and against this one. */
static int by_ledgers(struct verify *v, struct anchor *ret) {
    struct journal_end end;
    struct book b = {.fd = -1};
    int rc = 0;
    if (v->spec->dir) {
        rc = book_read(v, &b, true);
        end = b.end;
        book_done(&b);
    }
    if (!rc && v->spec->tiles)
        rc = tiles_read(v, &end);
    if (!rc && !ret->has_key)
        verify_note_key_make(&ret->key, end.origin, end.public);
    ret->has_key = ret->has_key || !rc;
    return rc;
}

static int in_ledgers(struct verify *v, const struct verify_note *n, const char *name,
                      struct anchor *ret) {
    const struct verify_spec *spec = v->spec;
    const size_t count = spec->checkpoint_count + (n ? 1 : 0);
    struct verify_note *notes = calloc(count + 1, sizeof *notes);
    const char **names = calloc(count + 1, sizeof *names);
    struct verify_spec with = *spec;
    int rc = notes && names ? 0 : ERR_NOMEM;
    for (size_t i = 0; !rc && i < spec->checkpoint_count; i++) {
        notes[i] = spec->checkpoints[i];
        names[i] = spec->names[i];
    }
    if (!rc && n) {
        notes[count - 1] = *n;
        names[count - 1] = name;
    }
    if (!rc) {
        with.checkpoints = notes;
        with.names = names;
        with.checkpoint_count = count;
        v->spec = &with;
        rc = by_ledgers(v, ret);
        v->spec = spec;
    }
    free(notes);
    free(names);
    return rc;
}

/* ---- checkpoints that were kept ---- */

/* Without a ledger nothing says that one of another size continues it, or is continued by it. */
static void by_kept(struct verify *v, const struct verify_note *n, const char *name, bool *known) {
    const struct verify_spec *spec = v->spec;
    for (size_t i = 0; i < spec->checkpoint_count; i++) {
        const struct verify_note *c = &spec->checkpoints[i];
        const int rc = spec->key ? verify_note_verify(c, spec->key) : 0;
        if (rc)
            verify_say(v, rc == ERR_CORRUPT ? VERIFY_CHECKPOINT_WRONG : VERIFY_LEDGER_KEY,
                       "%s is not signed with the key given", spec->names[i]);
        else if (strcmp(c->origin, n->origin) != 0)
            verify_say(v, VERIFY_PROOF_WRONG, "%s is of another ledger (%s) than %s (%s)", name,
                       n->origin, spec->names[i], c->origin);
        else if (c->size == n->size && memcmp(c->root, n->root, SHA_BYTES) != 0)
            verify_say(v, VERIFY_LEDGER_FORKED, "the %" PRIu64 " entries of %s are not those of which "
                       "%s was made", n->size, name, spec->names[i]);
        else if (c->size != n->size && spec->key)
            verify_say(v, VERIFY_CHECKPOINT_UNLINKED, "%s counts %" PRIu64 " entries and %s %" PRIu64
                       ": --dir or --tiles shows whether the one continues the other",
                       spec->names[i], c->size, name, n->size);
        else
            *known = *known || same(c, n);
    }
}

void anchor_find(struct verify *v, const struct verify_note *n, const char *name, struct anchor *ret) {
    const struct verify_spec *spec = v->spec;
    const uint64_t before = told(v);
    const bool ledger = spec->dir || spec->tiles;
    *ret = (struct anchor){.has_key = spec->key != NULL};
    bool known = spec->key || ledger;
    if (spec->key)
        ret->key = *spec->key;
    if (n && spec->key)
        by_key(v, n, name);
    if (ledger)
        known = in_ledgers(v, n, name, ret) == 0 && known;
    else if (n)
        by_kept(v, n, name, &known);
    ret->known = n && known && told(v) == before;
}

void anchor_tell(struct verify *v, const char *name) {
    verify_say(v, VERIFY_PROOF_UNANCHORED, "%s fits its own checkpoint, and nothing says whose that is: "
               "give --key, a --checkpoint of the same size, --dir or --tiles", name);
}
