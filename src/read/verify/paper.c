/*
 * A receipt's parts (verify_int.h, doc/receipts.md): one JSON object with the signed note and what proves
 * it, or the note alone. Outside bytes; whatever is not exactly of the form is refused, so that nothing
 * stands in a receipt that holds and was not looked at.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/utf8.h"
#include "read/verify/lines.h"
#include "read/verify/verify_int.h"

#define PAPER_MAX (4u << 20)
#define FIRST "safehouse.invalid/receipt/"

static const struct {
    const char *name;
    enum verify_paper_kind kind;
} kinds[] = {{"erasure", VERIFY_ERASURE}, {"export", VERIFY_EXPORT}, {"report", VERIFY_REPORT}};

/* ---- the note's text ---- */

static bool take_number(struct lines *l, const char *word, uint64_t *ret) {
    const char *p;
    size_t n;
    return lines_after(l, word, &p, &n) && lines_number(p, n, ret);
}

static bool take_hex(struct lines *l, const char *word, uint8_t *out, size_t size) {
    const char *p;
    size_t n;
    return lines_after(l, word, &p, &n) && lines_hex(p, n, out, size);
}

/* "<word>: <what> ", of two words; the second means that it is still to be done. */
static bool take_state(struct paper *r, const char **p, size_t *n, const char *done) {
    if (lines_strip(p, n, done))
        return true;
    r->waiting++;
    return lines_strip(p, n, "pending");
}

static const char *read_erasure(struct paper *r, struct lines *l) {
    const char *p;
    size_t n;
    if (!take_hex(l, "erasure ", r->id, sizeof r->id))
        return "its note has no line `erasure`";
    if (!take_number(l, "leaf ", &r->leaf) || !take_number(l, "time ", &r->time_us) ||
        !take_number(l, "subjects ", &r->count))
        return "its note has not the lines `leaf`, `time` and `subjects`";
    if (!lines_after(l, "name ", &p, &n) || n != 2 * (sizeof r->salt + sizeof r->name_hash) + 1 ||
        p[2 * sizeof r->salt] != ' ' || !lines_hex(p, 2 * sizeof r->salt, r->salt, sizeof r->salt) ||
        !lines_hex(p + 2 * sizeof r->salt + 1, 2 * sizeof r->name_hash, r->name_hash,
                   sizeof r->name_hash))
        return "its note has no line `name`";
    if (!lines_after(l, "sealer ", &p, &n) || !take_state(r, &p, &n, "forgotten") || n)
        return "its note has no line `sealer`";
    while (lines_after(l, "replica ", &p, &n))
        if (!take_state(r, &p, &n, "erased") || !lines_strip(&p, &n, " ") || !n)
            return "its note has a line `replica` that says nothing";
    return NULL;
}

static const char *read_export(struct paper *r, struct lines *l) {
    if (!take_hex(l, "request ", r->id, sizeof r->id) || !take_hex(l, "sha256 ", r->sha256, SHA_BYTES))
        return "its note has not the lines `request` and `sha256`";
    if (!take_number(l, "interactions ", &r->count) || !take_number(l, "leaf ", &r->leaf) ||
        !take_number(l, "time ", &r->time_us))
        return "its note has not the lines `interactions`, `leaf` and `time`";
    return NULL;
}

static const char *read_report(struct paper *r, struct lines *l) {
    static const char *const names[] = {"records", "breach", "subject"};
    const char *p;
    size_t n;
    if (!lines_after(l, "report ", &p, &n))
        return "its note has no line `report`";
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (n == strlen(names[i]) && memcmp(p, names[i], n) == 0)
            strcpy(r->what, names[i]);
    if (!*r->what)
        return "its note is of a report that there is not";
    if (!take_hex(l, "sha256 ", r->sha256, SHA_BYTES) || !take_number(l, "entries ", &r->count))
        return "its note has not the lines `sha256` and `entries`";
    if (!lines_after(l, "root ", &p, &n) || !verify_note_base64(r->root, SHA_BYTES, p, n))
        return "its note has no line `root`";
    return take_number(l, "time ", &r->time_us) ? NULL : "its note has no line `time`";
}

static const char *read_text(struct paper *r) {
    struct lines l = {r->note.text, r->note.text_len};
    const char *p;
    size_t n;
    if (!lines_after(&l, FIRST, &p, &n))
        return "its note is no receipt's";
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (n == strlen(kinds[i].name) && memcmp(p, kinds[i].name, n) == 0)
            r->kind = kinds[i].kind;
    if (!r->kind)
        return "its note is a receipt of a kind that this version does not know";
    if (!lines_next(&l, &p, &n) || n == 0 || n >= sizeof r->origin)
        return "its note has no origin";
    for (size_t i = 0; i < n; i++)
        if ((uint8_t)p[i] <= ' ' || (uint8_t)p[i] >= 0x7f)
            return "its note has no origin";
    memcpy(r->origin, p, n);
    const char *wrong = r->kind == VERIFY_ERASURE  ? read_erasure(r, &l)
                        : r->kind == VERIFY_EXPORT ? read_export(r, &l)
                                                   : read_report(r, &l);
    return wrong ? wrong : l.left ? "its note has lines that no such receipt has" : NULL;
}

static const char *read_note(struct paper *r, const char *p, size_t len) {
    return verify_signed_parse(&r->note, (const uint8_t *)p, len) ? "it holds no signed note" : read_text(r);
}

/* ---- the object ---- */

/* A string member. False: it is something else. */
static bool is_text(const json_t *o, const char *key, bool or_null, const char **ret) {
    const json_t *m = json_object_get(o, key);
    *ret = json_string_value(m);
    return *ret || (or_null && (!m || json_is_null(m)));
}

static const char *read_members(struct paper *r, json_t *o) {
    static const char *const known[] = {"type", "receipt", "name", "project", "pending", "note", "proof",
                                        "checkpoint"};
    const char *key, *kind, *note, *type;
    json_t *value;
    json_object_foreach(o, key, value) {
        bool is_known = false;
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
            is_known = is_known || strcmp(key, known[i]) == 0;
        if (!is_known)
            return "it has a member that no receipt has";
    }
    const json_t *pending = json_object_get(o, "pending");
    r->has_pending = pending != NULL;
    r->pending = json_is_true(pending);
    if (!is_text(o, "type", true, &type) || !is_text(o, "receipt", false, &kind) || !is_text(o, "note", false, &note) ||
        !is_text(o, "name", true, &r->name) || !is_text(o, "project", true, &r->project) ||
        !is_text(o, "proof", true, &r->proof) || !is_text(o, "checkpoint", true, &r->checkpoint) ||
        (pending && !json_is_boolean(pending)))
        return "a member of it is missing or of another type";
    const char *wrong = read_note(r, note, strlen(note));
    if (wrong)
        return wrong;
    if (strcmp(kind, kinds[r->kind - 1].name) != 0)
        return "it says that it is another receipt than its note";
    if ((r->kind == VERIFY_ERASURE) != r->has_pending || (r->kind != VERIFY_ERASURE && (r->name || r->project)))
        return "it has not the members of its kind";
    if (type && (r->kind != VERIFY_EXPORT || strcmp(type, "receipt") != 0)) /* an export's last line */
        return "it has not the members of its kind";
    if (r->kind == VERIFY_REPORT ? r->proof != NULL : r->checkpoint != NULL)
        return "it has not the members of its kind";
    if (r->has_pending && r->pending != (r->waiting > 0))
        return "`pending` is not what its note says";
    return NULL;
}

static const char *read_object(struct paper *r, const uint8_t *p, size_t len) {
    json_error_t e;
    json_t *o = json_loadb((const char *)p, len, JSON_REJECT_DUPLICATES, &e);
    r->json = o;
    return json_is_object(o) ? read_members(r, o) : "it is no JSON object";
}

const char *paper_read(struct paper *r, const uint8_t *p, size_t len) {
    memset(r, 0, sizeof *r);
    if (len > PAPER_MAX)
        return "it is too large";
    if (len && *p == '{')
        return read_object(r, p, len);
    if (len >= strlen("c2sp.org/") && memcmp(p, "c2sp.org/", strlen("c2sp.org/")) == 0)
        return "it is the proof of an event: give it to --proof";
    r->copy = malloc(len + 1);
    if (!r->copy)
        return err_text(ERR_NOMEM);
    memcpy(r->copy, p, len);
    return read_note(r, r->copy, len);
}

void paper_done(struct paper *r) {
    json_decref(r->json);
    free(r->copy);
    r->json = NULL;
    r->copy = NULL;
}
