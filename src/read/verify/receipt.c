/*
 * Receipts (verify.h, doc/receipts.md): signed with the ledger's key, about the entry that they name, in
 * the ledger that is known, and about the name or the file that is shown.
 */
#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"
#include "read/verify/verify_int.h"

#define TENANT "default" /* the one that there is */
#define NAME_MAX_BYTES 4096

static const char *const names[] = {NULL, "erasure", "export", "report"};

struct receipt {
    struct verify *v;
    const char *name; /* the file's */
    const struct paper *paper;
    struct proof *proof;
    struct anchor anchor;
    uint64_t size;
};

/* ---- its entry ---- */

static void wrong_proof(struct receipt *c, const char *why) {
    verify_say(c->v, VERIFY_RECEIPT_PROOF, "%s: its proof %s", c->name, why);
}

/* Is the entry the one that the note speaks of? */
static const char *other_entry(const struct paper *r, const struct journal_leaf *l) {
    const bool erased = r->kind == VERIFY_ERASURE;
    const size_t at = erased ? 2 : 0; /* u8 replicas | u8 of them pending */
    if (l->kind != (erased ? JOURNAL_ERASED : JOURNAL_EXPORTED))
        return "is of an entry of another kind";
    if (l->index != r->leaf)
        return "is of another entry than its note";
    if (l->len < at + PAPER_ID_BYTES || memcmp(l->fields + at, r->id, PAPER_ID_BYTES) != 0)
        return erased ? "is of the entry of another erasure" : "is of the entry of another export";
    return NULL;
}

static const struct verify_note *check_proof(struct receipt *c) {
    struct journal_leaf leaf;
    unsigned shown;
    c->proof = calloc(1, sizeof *c->proof);
    int rc = c->proof ? proof_read(c->proof, (const uint8_t *)c->paper->proof, strlen(c->paper->proof))
                      : ERR_NOMEM;
    const char *wrong = rc ? "is none" : proof_wrong(c->proof, &leaf, &shown);
    if (!wrong)
        wrong = other_entry(c->paper, &leaf);
    if (wrong)
        wrong_proof(c, wrong);
    return rc ? NULL : &c->proof->note;
}

/* A report has no entry of its own: the newest checkpoint stands in its place. */
static const struct verify_note *check_checkpoint(struct receipt *c, struct verify_note *n) {
    const struct paper *r = c->paper;
    if (verify_note_parse(n, (const uint8_t *)r->checkpoint, strlen(r->checkpoint))) {
        verify_say(c->v, VERIFY_RECEIPT_PROOF, "%s: its checkpoint is none", c->name);
        return NULL;
    }
    if (n->size != r->count || memcmp(n->root, r->root, SHA_BYTES) != 0)
        verify_say(c->v, VERIFY_RECEIPT_PROOF, "%s: its checkpoint is another one than its note names",
                   c->name);
    return n;
}

/* The checkpoint that it carries, after what leads to it; NULL: none. */
static const struct verify_note *check_carried(struct receipt *c, struct verify_note *room) {
    const struct paper *r = c->paper;
    const struct verify_note *n = NULL;
    if (r->kind == VERIFY_REPORT ? !r->checkpoint : !r->proof)
        verify_say(c->v, VERIFY_RECEIPT_UNPROVEN, r->kind == VERIFY_REPORT
                   ? "%s carries no checkpoint of the ledger"
                   : "%s carries no proof that its entry is in the ledger: safehouse ledger prove makes it",
                   c->name);
    else
        n = r->kind == VERIFY_REPORT ? check_checkpoint(c, room) : check_proof(c);
    if (n && strcmp(n->origin, r->origin) != 0)
        verify_say(c->v, VERIFY_RECEIPT_PROOF, "%s: its checkpoint is of another ledger (%s) than its note "
                   "(%s)", c->name, n->origin, r->origin);
    c->size = n ? n->size : 0;
    return n;
}

/* ---- its signature ---- */

static void check_signature(struct receipt *c) {
    const struct anchor *a = &c->anchor;
    const struct paper *r = c->paper;
    if (!a->has_key) {
        verify_say(c->v, VERIFY_PROOF_UNANCHORED, "%s is signed, and nothing says by whom: give --key, "
                   "--dir or --tiles", c->name);
        return;
    }
    const int rc = verify_signed_verify(&r->note, &a->key);
    if (strcmp(r->origin, a->key.name) != 0)
        verify_say(c->v, VERIFY_RECEIPT_KEY, "%s is of another installation (%s) than the key (%s)",
                   c->name, r->origin, a->key.name);
    else if (rc == ERR_CORRUPT)
        verify_say(c->v, VERIFY_RECEIPT_SIGNATURE, "%s: the signature is wrong, so its note is not what was "
                   "signed", c->name);
    else if (rc)
        verify_say(c->v, VERIFY_RECEIPT_KEY, "%s is not signed with the key of that ledger", c->name);
}

/* ---- what it is about ---- */

/* string tenant | string project | u8 kind | u16 n | n name, as doc/keys.md has it. */
static bool is_named(const struct paper *r, uint8_t kind) {
    uint8_t p[NAME_MAX_BYTES], hash[sizeof r->name_hash];
    const size_t project = strlen(r->project), name = strlen(r->name), tenant = strlen(TENANT);
    if (project > UINT8_MAX || name > UINT16_MAX || 1 + tenant + 1 + project + 3 + name > sizeof p)
        return false;
    size_t at = 0;
    p[at++] = (uint8_t)tenant;
    memcpy(p + at, TENANT, tenant);
    at += tenant;
    p[at++] = (uint8_t)project;
    memcpy(p + at, r->project, project);
    at += project;
    p[at++] = kind;
    put_u16(p + at, (uint16_t)name);
    memcpy(p + at + 2, r->name, name);
    at += 2 + name;
    crypto_generichash(hash, sizeof hash, p, at, r->salt, sizeof r->salt);
    sodium_memzero(p, sizeof p);
    return sodium_memcmp(hash, r->name_hash, sizeof hash) == 0;
}

static void check_name(struct receipt *c, struct verify_paper *ret) {
    const struct paper *r = c->paper;
    if (!r->name || !r->project) {
        verify_say(c->v, VERIFY_RECEIPT_UNPROVEN, "%s does not say whose erasure it is: name and project are "
                   "needed to compare them with its note", c->name);
        return;
    }
    ret->named = is_named(r, 1) || is_named(r, 2);
    if (!ret->named)
        verify_say(c->v, VERIFY_RECEIPT_NAME, "%s is the erasure of somebody else: its name and project are "
                   "not those of its note", c->name);
}

static void check_file(struct receipt *c, const uint8_t *sha256) {
    if (!sha256)
        verify_say(c->v, VERIFY_RECEIPT_UNPROVEN, "%s is about a file that was not shown: give --file",
                   c->name);
    else if (memcmp(sha256, c->paper->sha256, SHA_BYTES) != 0)
        verify_say(c->v, VERIFY_RECEIPT_FILE, "the file is not the one that %s is about", c->name);
}

static void check_pending(struct receipt *c) {
    if (c->paper->waiting)
        verify_say(c->v, VERIFY_RECEIPT_PENDING, "%s: in %u places the keys were not destroyed yet when it "
                   "was given", c->name, c->paper->waiting);
}

/* ---- all of it ---- */

static void check(struct receipt *c, const uint8_t *sha256, struct verify_paper *ret) {
    static struct verify_note room;
    const struct paper *r = c->paper;
    const struct verify_note *n = check_carried(c, &room);
    anchor_find(c->v, n, c->name, &c->anchor);
    check_signature(c);
    if (r->kind == VERIFY_ERASURE) {
        check_name(c, ret);
        check_pending(c);
    } else {
        check_file(c, sha256);
    }
    ret->kind = r->kind;
    ret->kind_name = names[r->kind];
    ret->time_us = r->time_us;
    ret->count = r->count;
    ret->index = r->leaf;
    ret->size = c->size;
    ret->pending = r->waiting > 0;
}

bool verify_receipt(const struct verify_spec *spec, const char *name, const uint8_t *p, size_t len,
                    const uint8_t *file_sha256, struct verify_totals *totals, struct verify_paper *ret) {
    struct verify v = {.spec = spec, .totals = totals};
    const uint64_t before = totals->found + totals->part;
    struct paper *r = calloc(1, sizeof *r);
    struct receipt c = {.v = &v, .name = name, .paper = r};
    memset(ret, 0, sizeof *ret);
    const char *wrong = r ? paper_read(r, p, len) : err_text(ERR_NOMEM);
    if (wrong)
        verify_say(&v, VERIFY_RECEIPT_WRONG, "%s is no receipt: %s", name, wrong);
    else
        check(&c, file_sha256, ret);
    if (c.proof)
        proof_done(c.proof);
    free(c.proof);
    if (r)
        paper_done(r);
    free(r);
    return totals->found + totals->part == before;
}
