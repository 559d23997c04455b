/*
 * tlog-proofs (c2sp.org/tlog-proof, doc/ledger.md): one event, without the log. Outside bytes, strict.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"
#include "read/verify/lines.h"
#include "read/verify/verify_int.h"

#define EXTRA_MAX (2u << 20)
#define PROOF_MAX (4u << 20)

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

int proof_read(struct proof *f, const uint8_t *p, size_t len) {
    memset(f, 0, sizeof *f);
    struct lines l = {(const char *)p, len};
    const char *line;
    size_t n;
    if (len > PROOF_MAX)
        return ERR_LIMIT;
    if (!lines_next(&l, &line, &n) || n != 22 || memcmp(line, "c2sp.org/tlog-proof@v1", 22) != 0 ||
        !lines_next(&l, &line, &n) || !lines_strip(&line, &n, "extra "))
        return ERR_SYNTAX;
    int rc = read_extra(f, line, n);
    if (rc)
        return rc;
    if (!lines_next(&l, &line, &n) || !lines_strip(&line, &n, "index ") || !lines_number(line, n, &f->index))
        return ERR_SYNTAX;
    while (lines_next(&l, &line, &n) && n) {
        if (f->path_len == PROOF_PATH_MAX ||
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

const char *proof_wrong(const struct proof *f, struct journal_leaf *ret, unsigned *ret_shown) {
    static const uint8_t prefix = 0x00;
    uint8_t hash[SHA_BYTES];
    *ret_shown = 0;
    if (journal_leaf_read(ret, f->leaf, f->leaf_len))
        return "holds no entry of a ledger";
    if (ret->index != f->index)
        return "holds the entry of another place";
    sha_two(hash, &prefix, 1, f->leaf, f->leaf_len);
    if (!tree_includes(hash, f->index, f->note.size, (const uint8_t (*)[SHA_BYTES])f->path,
                       f->path_len, f->note.root))
        return "does not lead from its entry to its checkpoint";
    return shown_fit(f, ret, ret_shown) ? NULL : "shows what is not in its entry";
}

void proof_done(struct proof *f) {
    free(f->extra);
    f->extra = NULL;
}

bool verify_proof(const struct verify_spec *spec, const char *name, const uint8_t *p, size_t len,
                  struct verify_totals *totals, struct verify_event *ret) {
    struct verify v = {.spec = spec, .totals = totals};
    struct anchor a = {0};
    struct proof *f = calloc(1, sizeof *f);
    struct journal_leaf leaf;
    const char *wrong = NULL;
    memset(ret, 0, sizeof *ret);
    int rc = f ? proof_read(f, p, len) : ERR_NOMEM;
    if (rc)
        verify_say(&v, VERIFY_PROOF_WRONG, "%s is no proof: %s", name, err_text(rc));
    else if ((wrong = proof_wrong(f, &leaf, &ret->shown)) != NULL)
        verify_say(&v, VERIFY_PROOF_WRONG, "%s %s", name, wrong);
    if (!rc && !wrong) {
        const uint64_t before = totals->found + totals->part;
        anchor_find(&v, &f->note, name, &a);
        if (!a.known && totals->found + totals->part == before)
            anchor_tell(&v, name);
    }
    if (a.known) {
        ret->index = leaf.index;
        ret->time_us = leaf.time_us;
        ret->size = f->note.size;
        ret->kind = leaf.kind;
        ret->kind_name = journal_kind_name(leaf.kind);
    }
    if (f)
        proof_done(f);
    free(f);
    return a.known;
}
