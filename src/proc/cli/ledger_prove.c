/* `safehouse ledger prove N`: a tlog-proof of one entry, collected in one pass over the log. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"
#include "proc/cli/cli.h"
#include "proc/cli/ledger_cli.h"

struct proving {
    uint64_t index, time_us;
    uint8_t kind;
    struct merkle_proof proof;
    struct buf extra; /* u16 l | l leaf */
};

static int take(void *arg, const struct ledger_entry *e) {
    struct proving *p = arg;
    uint8_t n[2];
    merkle_proof_add(&p->proof, e->leaf_hash);
    if (e->index != p->index)
        return 0;
    p->kind = e->kind;
    p->time_us = e->time_us;
    put_u16(n, (uint16_t)e->leaf_len);
    int rc = buf_append(&p->extra, n, sizeof n);
    return rc ? rc : buf_append(&p->extra, e->leaf, e->leaf_len);
}

static int say(const struct proving *p, const struct buf *text, const char *file, bool json) {
    if (json)
        return cli_print_json(json_pack("{s:I, s:s, s:I, s:s%}", "index", (json_int_t)p->index,
                                        "kind", ledger_kind_name(p->kind), "time_us",
                                        (json_int_t)p->time_us, "proof", text->p, text->len))
                   ? 0
                   : ERR_IO;
    FILE *f = file ? fopen(file, "we") : stdout;
    if (!f)
        return ERR_IO;
    int rc = fwrite(text->p, 1, text->len, f) == text->len ? 0 : ERR_IO;
    if (file && fclose(f))
        rc = ERR_IO;
    return rc;
}

static int collect(struct proving *p, const struct ledger_source *s, uint64_t index,
                   struct buf *text) {
    const struct ledger_walk walk = {.limit = s->bytes, .entry = take, .arg = p};
    struct ledger_end end;
    p->index = index;
    buf_init(&p->extra, 2 + LEDGER_LEAF_MAX);
    int rc = merkle_prove_inclusion(&p->proof, index, s->checkpoint.size);
    if (!rc)
        rc = ledger_walk(s->fd, &walk, &end);
    if (!rc)
        rc = tlog_proof_format(text, p->extra.p, p->extra.len, index, p->proof.hashes,
                               p->proof.count, (const char *)s->note.p, s->note.len);
    buf_wipe(&p->extra);
    return rc;
}

int ledger_proof(const struct ledger_source *s, uint64_t index, struct buf *out) {
    struct proving *p = calloc(1, sizeof *p);
    int rc = p ? collect(p, s, index, out) : ERR_NOMEM;
    free(p);
    return rc;
}

int ledger_prove(const struct ledger_source *s, uint64_t index, const char *file, bool json) {
    static struct proving p;
    struct buf text;
    buf_init(&text, TLOG_PROOF_MAX);
    int rc = collect(&p, s, index, &text);
    const bool beyond = rc == ERR_USAGE;
    if (!rc)
        rc = say(&p, &text, file, json);
    buf_wipe(&text);
    if (beyond)
        return cli_fail(CLI_USAGE, NULL, "the checkpoint has the entries 0 to %lld, not %llu",
                        (long long)s->checkpoint.size - 1, (unsigned long long)index);
    if (rc == ERR_CORRUPT)
        return cli_fail(CLI_FOUND, "keep it as it is, and compare it with a copy",
                        "the ledger is damaged");
    return rc ? cli_fail_err(rc, NULL, "proving") : CLI_DONE;
}
