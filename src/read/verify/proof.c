/*
 * tlog-proofs (c2sp.org/tlog-proof, doc/ledger.md): one event, without the log. Outside bytes, strict.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"
#include "read/verify/verify_int.h"

#define PATH_MAX_HASHES 64
#define EXTRA_MAX (2u << 20)
#define PROOF_MAX (4u << 20)

struct proof {
    uint8_t *extra; /* u16 l | l leaf | shown parts */
    size_t extra_len;
    const uint8_t *leaf, *shown;
    size_t leaf_len, shown_len;
    uint64_t index;
    uint8_t path[PATH_MAX_HASHES][SHA_BYTES];
    size_t path_len;
    struct verify_note note;
};

struct lines {
    const char *p;
    size_t left;
};

static bool next_line(struct lines *l, const char **ret, size_t *ret_len) {
    const char *end = memchr(l->p, '\n', l->left);
    if (!end)
        return false;
    *ret = l->p;
    *ret_len = (size_t)(end - l->p);
    l->left -= *ret_len + 1;
    l->p = end + 1;
    return true;
}

static bool strip(const char **p, size_t *len, const char *word) {
    const size_t n = strlen(word);
    if (*len < n || memcmp(*p, word, n) != 0)
        return false;
    *p += n;
    *len -= n;
    return true;
}

static bool read_number(const char *p, size_t len, uint64_t *ret) {
    *ret = 0;
    if (len == 0 || len > 19 || (len > 1 && *p == '0'))
        return false;
    for (size_t i = 0; i < len; i++) {
        if (p[i] < '0' || p[i] > '9')
            return false;
        *ret = 10 * *ret + (uint64_t)(p[i] - '0');
    }
    return true;
}

static int read_extra(struct proof *f, const char *p, size_t len) {
    if (len > EXTRA_MAX)
        return ERR_LIMIT;
    f->extra = malloc(len + 1);
    if (!f->extra)
        return ERR_NOMEM;
    if (!verify_note_decode(f->extra, len, p, len, &f->extra_len) || f->extra_len < 2)
        return ERR_SYNTAX;
    f->leaf_len = get_u16(f->extra);
    f->leaf = f->extra + 2;
    if (f->extra_len - 2 < f->leaf_len)
        return ERR_SYNTAX;
    f->shown = f->leaf + f->leaf_len;
    f->shown_len = f->extra_len - 2 - f->leaf_len;
    return 0;
}

static int parse(struct proof *f, const uint8_t *p, size_t len) {
    struct lines l = {(const char *)p, len};
    const char *line;
    size_t n;
    if (len > PROOF_MAX)
        return ERR_LIMIT;
    if (!next_line(&l, &line, &n) || n != 22 || memcmp(line, "c2sp.org/tlog-proof@v1", 22) != 0 ||
        !next_line(&l, &line, &n) || !strip(&line, &n, "extra "))
        return ERR_SYNTAX;
    int rc = read_extra(f, line, n);
    if (rc)
        return rc;
    if (!next_line(&l, &line, &n) || !strip(&line, &n, "index ") || !read_number(line, n, &f->index))
        return ERR_SYNTAX;
    while (next_line(&l, &line, &n) && n) {
        if (f->path_len == PATH_MAX_HASHES ||
            !verify_note_base64(f->path[f->path_len++], SHA_BYTES, line, n))
            return ERR_SYNTAX;
    }
    return verify_note_parse(&f->note, (const uint8_t *)l.p, l.left);
}

/* u8 which | u32 n | n bytes: salt, part. */
static bool shown_fit(const struct proof *f, const struct journal_leaf *leaf, unsigned *ret) {
    static const char label[] = "safehouse ledger part 2";
    const uint8_t *p = f->shown;
    size_t left = f->shown_len;
    uint8_t hash[SHA_BYTES];
    for (*ret = 0; left; (*ret)++) {
        if (left < 5)
            return false;
        const uint8_t which = p[0];
        const size_t n = get_u32(p + 1);
        if (which < 1 || which > 2 || n < 32 || left - 5 < n || !(leaf->parts & which))
            return false;
        sha_three(hash, label, sizeof label - 1, &which, 1, p + 5, n);
        if (memcmp(hash, leaf->commitment[which - 1], sizeof hash) != 0)
            return false;
        p += 5 + n;
        left -= 5 + n;
    }
    return true;
}

/* ---- whose checkpoint is it ---- */

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

/* In the ledger itself: is the proof's checkpoint one of its own? Findings say why not. */
static int in_ledger(struct verify *v, const struct verify_note *n, const char *name) {
    const struct verify_spec *spec = v->spec;
    const size_t count = spec->checkpoint_count + 1;
    struct verify_note *notes = calloc(count, sizeof *notes);
    const char **names = calloc(count, sizeof *names);
    struct verify_spec with = *spec;
    struct book b = {.fd = -1};
    int rc = notes && names ? 0 : ERR_NOMEM;
    if (!rc) {
        notes[0] = *n;
        names[0] = name;
        if (count > 1) {
            memcpy(notes + 1, spec->checkpoints, (count - 1) * sizeof *notes);
            memcpy(names + 1, spec->names, (count - 1) * sizeof *names);
        }
        with.checkpoints = notes;
        with.names = names;
        with.checkpoint_count = count;
        v->spec = &with;
        rc = book_read(v, &b, true);
        book_done(&b);
        v->spec = spec;
    }
    free(notes);
    free(names);
    return rc;
}

/* True: whoever made the checkpoint is known. */
static bool anchored(struct verify *v, const struct proof *f, const char *name) {
    const struct verify_spec *spec = v->spec;
    bool known = false;
    for (size_t i = 0; i < spec->checkpoint_count; i++)
        known = known || same(&spec->checkpoints[i], &f->note);
    if (spec->key) {
        int rc = verify_note_verify(&f->note, spec->key);
        if (rc)
            verify_say(v, VERIFY_PROOF_WRONG, "%s: its checkpoint %s", name,
                       rc == ERR_CORRUPT ? "has a wrong signature" : "is not signed with the key given");
        if (rc)
            return false;
        known = true;
    }
    if (spec->dir) {
        const uint64_t before = v->totals->found + v->totals->part;
        if (in_ledger(v, &f->note, name) || v->totals->found + v->totals->part != before)
            return false;
        known = true;
    }
    if (!known)
        verify_say(v, VERIFY_PROOF_UNANCHORED, "%s fits its own checkpoint, and nothing says whose that "
                   "is: give --key, a --checkpoint of the same size, or --dir", name);
    return known;
}

bool verify_proof(const struct verify_spec *spec, const char *name, const uint8_t *p, size_t len,
                  struct verify_totals *totals, struct verify_event *ret) {
    static const uint8_t prefix = 0x00;
    struct verify v = {.spec = spec, .totals = totals};
    struct proof *f = calloc(1, sizeof *f);
    struct journal_leaf leaf;
    uint8_t hash[SHA_BYTES];
    const char *wrong = NULL;
    memset(ret, 0, sizeof *ret);
    int rc = f ? parse(f, p, len) : ERR_NOMEM;
    if (rc) {
        verify_say(&v, VERIFY_PROOF_WRONG, "%s is no proof: %s", name, err_text(rc));
        wrong = name;
    } else if (journal_leaf_read(&leaf, f->leaf, f->leaf_len)) {
        wrong = "holds no entry of a ledger";
    } else if (leaf.index != f->index) {
        wrong = "holds the entry of another place";
    } else {
        sha_two(hash, &prefix, 1, f->leaf, f->leaf_len);
        if (!tree_includes(hash, f->index, f->note.size, (const uint8_t (*)[SHA_BYTES])f->path,
                           f->path_len, f->note.root))
            wrong = "does not lead from its entry to its checkpoint";
        else if (!shown_fit(f, &leaf, &ret->shown))
            wrong = "shows what is not in its entry";
    }
    if (wrong && !rc)
        verify_say(&v, VERIFY_PROOF_WRONG, "%s %s", name, wrong);
    bool ok = !wrong && anchored(&v, f, name);
    if (ok) {
        ret->index = leaf.index;
        ret->time_us = leaf.time_us;
        ret->size = f->note.size;
        ret->kind = leaf.kind;
        ret->kind_name = journal_kind_name(leaf.kind);
    }
    if (f)
        free(f->extra);
    free(f);
    return ok;
}
