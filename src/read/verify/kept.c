/*
 * Checkpoints that were kept elsewhere, against a ledger that is read, as a log or as tiles
 * (verify_int.h). Its tree is computed leaf by leaf, and at each of their sizes its root must be theirs.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "read/verify/verify_int.h"

enum { MATCHES = 1, DIFFERS };

int kept_init(const struct verify *v, struct kept *k) {
    k->matches = calloc(v->spec->checkpoint_count + 1, 1);
    return k->matches ? 0 : ERR_NOMEM;
}

void kept_done(struct kept *k) {
    free(k->matches);
    k->matches = NULL;
}

void kept_size(const struct verify *v, struct kept *k, const struct tree *t) {
    const struct verify_spec *spec = v->spec;
    uint8_t root[SHA_BYTES];
    bool have = false;
    for (size_t i = 0; i < spec->checkpoint_count; i++) {
        if (spec->checkpoints[i].size != t->count)
            continue;
        if (!have)
            tree_root(t, root);
        have = true;
        k->matches[i] = memcmp(root, spec->checkpoints[i].root, SHA_BYTES) == 0 ? MATCHES : DIFFERS;
    }
}

static void judge(struct verify *v, const struct kept *k, const struct journal_end *end, size_t i) {
    const struct verify_spec *spec = v->spec;
    const struct verify_note *n = &spec->checkpoints[i];
    struct verify_note_key own;
    verify_note_key_make(&own, end->origin, end->public);
    int rc = verify_note_verify(n, spec->key ? spec->key : &own);
    if (rc == ERR_CORRUPT)
        verify_say(v, VERIFY_CHECKPOINT_WRONG, "%s: its signature is wrong, so it proves nothing; "
                   "take another copy of it", spec->names[i]);
    else if (strcmp(n->origin, end->origin) != 0)
        verify_say(v, VERIFY_LEDGER_FORKED, "%s is of another ledger (%s) than this one (%s)",
                   spec->names[i], n->origin, end->origin);
    else if (rc)
        verify_say(v, VERIFY_LEDGER_KEY, "%s was signed with another key than this ledger: it was "
                   "written and signed anew", spec->names[i]);
    if (rc == ERR_CORRUPT || strcmp(n->origin, end->origin) != 0)
        return;
    if (n->size > end->entries)
        verify_say(v, VERIFY_LEDGER_SHORTENED, "%s counts %" PRIu64 " entries, the ledger has %" PRIu64,
                   spec->names[i], n->size, end->entries);
    else if (k->matches[i] != MATCHES)
        verify_say(v, VERIFY_LEDGER_FORKED, "its first %" PRIu64 " entries are not those of which "
                   "%s was made", n->size, spec->names[i]);
}

void kept_judge(struct verify *v, const struct kept *k, const struct journal_end *end) {
    const struct verify_note_key *key = v->spec->key;
    if (key && (strcmp(key->name, end->origin) != 0 ||
                memcmp(key->public, end->public, sizeof end->public) != 0))
        verify_say(v, VERIFY_LEDGER_KEY, "the ledger is signed with another key than the one that "
                   "was given");
    for (size_t i = 0; i < v->spec->checkpoint_count; i++)
        judge(v, k, end, i);
}
