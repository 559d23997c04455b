/*
 * `safehouse ledger witness URL`: has a witness cosign the newest checkpoint
 * (c2sp.org/tlog-witness, add-checkpoint). The witness says which size it knows; it gets the proof
 * that what there was then is still there. Of its answer only a cosignature with its own key is
 * kept, in D/control/witnessed.
 */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "proc/cli/cli.h"
#include "proc/cli/ledger_cli.h"
#include "proc/cli/post.h"

#define SECONDS 30
#define BODY_MAX (NOTE_MAX + 8192)

struct asking {
    const struct ledger_source *source;
    struct note_key witness;
    char url[2048];
    uint64_t old; /* the size that the witness is believed to know */
    struct post post;
    struct buf body, note; /* note: the checkpoint and its cosignatures */
    uint64_t time_s;
};

static int take_leaf(void *arg, const struct ledger_entry *e) {
    merkle_proof_add(arg, e->leaf_hash);
    return 0;
}

/* old N, proof, empty line, checkpoint */
static int make_body(struct asking *a) {
    const struct ledger_source *s = a->source;
    struct merkle_proof proof;
    const struct ledger_walk walk = {.limit = s->bytes, .entry = take_leaf, .arg = &proof};
    struct ledger_end end;
    int rc = merkle_prove_consistency(&proof, a->old, s->checkpoint.size);
    if (!rc && proof.count)
        rc = ledger_walk(s->fd, &walk, &end);
    buf_clear(&a->body);
    if (!rc)
        rc = buf_printf(&a->body, "old %llu\n", (unsigned long long)a->old);
    for (size_t i = 0; !rc && i < proof.count; i++)
        rc = tlog_put_hash(&a->body, proof.hashes[i]);
    if (!rc)
        rc = buf_append_u8(&a->body, '\n');
    return rc ? rc : buf_append(&a->body, s->note.p, s->note.len);
}

static int send(struct asking *a) {
    int rc = make_body(a);
    if (rc)
        return cli_fail_err(rc, NULL, "making the proof for the witness");
    buf_clear(&a->post.answer);
    a->post.url = a->url;
    a->post.type = "text/plain; charset=utf-8";
    a->post.body = a->body.p;
    a->post.len = a->body.len;
    a->post.seconds = SECONDS;
    rc = post_send(&a->post);
    if (rc == ERR_USAGE)
        return cli_fail(CLI_USAGE, "it begins with https://", "%.200s is no witness's address",
                        a->url);
    if (rc)
        return cli_fail(CLI_INCOMPLETE, "try again later", "the witness did not answer: %s",
                        a->post.why[0] ? a->post.why : err_text(rc));
    return CLI_GO;
}

/* What the stored note has of other witnesses over this very checkpoint stays with it. */
static int keep_others(struct asking *a, const char *dir) {
    const struct ledger_source *s = a->source;
    struct buf stored;
    struct checkpoint c;
    struct note n;
    buf_init(&stored, NOTE_MAX);
    int rc = ledger_witnessed_read(dir, &stored);
    if (!rc && !checkpoint_open(&c, &s->key, (char *)stored.p, stored.len) &&
        c.size == s->checkpoint.size && !memcmp(c.root, s->checkpoint.root, sizeof c.root) &&
        !note_parse(&n, (char *)stored.p, stored.len))
        for (size_t i = 0; !rc && i < n.count; i++) {
            const struct note_signature *g = &n.signatures[i];
            bool ours = !memcmp(g->id, s->key.id, 4) || !memcmp(g->id, a->witness.id, 4);
            if (!ours)
                rc = buf_append(&a->note, g->line, g->line_len);
        }
    buf_wipe(&stored);
    return rc == ERR_NOTFOUND ? 0 : rc;
}

/* The size of the stored checkpoint, if this witness cosigned it: where it was last. */
static uint64_t last_size(const struct asking *a, const char *dir) {
    struct buf stored;
    struct checkpoint c;
    struct note n;
    uint64_t size = 0;
    buf_init(&stored, NOTE_MAX);
    if (!ledger_witnessed_read(dir, &stored) &&
        !checkpoint_open(&c, &a->source->key, (char *)stored.p, stored.len) &&
        !note_parse(&n, (char *)stored.p, stored.len) && !note_check(&n, &a->witness, NULL) &&
        c.size <= a->source->checkpoint.size)
        size = c.size;
    buf_wipe(&stored);
    return size;
}

/* 200: signature lines. Only the witness's own, and only if it is right. */
static int take_cosignature(struct asking *a, const char *dir) {
    const struct buf *mine = &a->source->note;
    struct buf all;
    struct note n;
    buf_init(&all, NOTE_MAX);
    int rc = buf_append(&all, mine->p, mine->len);
    if (!rc)
        rc = buf_append(&all, a->post.answer.p, a->post.answer.len);
    if (!rc)
        rc = note_parse(&n, (char *)all.p, all.len);
    if (!rc)
        rc = note_check(&n, &a->witness, &a->time_s);
    if (!rc)
        rc = buf_append(&a->note, mine->p, mine->len);
    for (size_t i = 0; !rc && i < n.count; i++)
        if (!memcmp(n.signatures[i].id, a->witness.id, 4) &&
            n.signatures[i].name_len == strlen(a->witness.name) &&
            !memcmp(n.signatures[i].name, a->witness.name, n.signatures[i].name_len))
            rc = buf_append(&a->note, n.signatures[i].line, n.signatures[i].line_len);
    buf_wipe(&all);
    if (rc)
        return cli_fail(CLI_INCOMPLETE, "is --witness-key the key of this witness?",
                        "the witness's answer is no cosignature of its own");
    rc = keep_others(a, dir);
    if (!rc)
        rc = ledger_witnessed_write(dir, &a->note);
    return rc ? cli_fail_err(rc, NULL, "keeping the cosignature") : CLI_GO;
}

/* 409: the size that the witness knows. CLI_GO: ask again with it. */
static int take_size(struct asking *a) {
    const char *p = (const char *)a->post.answer.p, *line;
    size_t len = a->post.answer.len, n;
    uint64_t size;
    if (!tlog_take_line(&p, &len, &line, &n) || len || !tlog_take_number(line, n, &size))
        return cli_fail(CLI_FOUND, "keep the ledger as it is, and compare it with a copy",
                        "the witness knows another ledger of %llu entries",
                        (unsigned long long)a->old);
    if (size > a->source->checkpoint.size)
        return cli_fail(CLI_FOUND, "it was cut back: keep everything as it is",
                        "the witness cosigned %llu entries, the ledger has %llu",
                        (unsigned long long)size, (unsigned long long)a->source->checkpoint.size);
    if (size == a->old)
        return cli_fail(CLI_FOUND, "keep the ledger as it is, and compare it with a copy",
                        "the witness knows another ledger of %llu entries",
                        (unsigned long long)size);
    a->old = size;
    return CLI_GO;
}

static int ask(struct asking *a, const char *dir) {
    for (int tries = 0; tries < 3; tries++) {
        int code = send(a);
        if (code == CLI_GO && a->post.status == 200)
            return take_cosignature(a, dir);
        if (code == CLI_GO && a->post.status == 409)
            code = take_size(a);
        else if (code == CLI_GO && a->post.status == 422)
            code = cli_fail(CLI_FOUND, "keep the ledger as it is, and compare it with a copy",
                            "the ledger does not continue what the witness has seen");
        else if (code == CLI_GO && (a->post.status == 404 || a->post.status == 403))
            code = cli_fail(CLI_INCOMPLETE, "give its operator: safehouse ledger checkpoint --key",
                            "the witness does not know this ledger");
        else if (code == CLI_GO)
            code = cli_fail(CLI_INCOMPLETE, NULL, "the witness answered %ld", a->post.status);
        if (code != CLI_GO)
            return code;
    }
    return cli_fail(CLI_INCOMPLETE, "somebody else is asking it, too: try again",
                    "the witness knows another size each time");
}

int ledger_witness(const struct ledger_source *s, const char *dir, const char *url, const char *key,
                   bool json) {
    struct asking a = {.source = s};
    if (!key || note_key_parse(&a.witness, key, strlen(key)) || a.witness.type != NOTE_COSIGNATURE)
        return cli_fail(CLI_USAGE, "--witness-key NAME+ID+KEY, of type 4 (Ed25519 cosignature)",
                        "the witness's verifier key is needed");
    int n = snprintf(a.url, sizeof a.url, "%s%sadd-checkpoint", url,
                     url[0] && url[strlen(url) - 1] == '/' ? "" : "/");
    if (n < 0 || (size_t)n >= sizeof a.url)
        return cli_fail(CLI_USAGE, NULL, "the witness's address is too long");
    buf_init(&a.body, BODY_MAX);
    buf_init(&a.note, NOTE_MAX);
    buf_init(&a.post.answer, POST_ANSWER_MAX);
    a.old = last_size(&a, dir);
    int code = ask(&a, dir);
    if (code == CLI_GO && json)
        code = cli_print_json(json_pack("{s:s, s:I, s:I, s:s%}", "witness", a.witness.name, "size",
                                        (json_int_t)s->checkpoint.size, "time_s",
                                        (json_int_t)a.time_s, "checkpoint", a.note.p, a.note.len))
                   ? CLI_DONE
                   : CLI_INCOMPLETE;
    else if (code == CLI_GO) {
        printf("%s cosigned %llu entries\n", a.witness.name,
               (unsigned long long)s->checkpoint.size);
        code = CLI_DONE;
    }
    buf_wipe(&a.body);
    buf_wipe(&a.note);
    buf_wipe(&a.post.answer);
    return code;
}
