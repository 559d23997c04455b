/*
 * `safehouse ledger`: what others need to hold the ledger to its word. The newest checkpoint, a
 * proof for one entry, the log as tiles, a witness's cosignature.
 */
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"
#include "proc/cli/cli.h"
#include "proc/cli/ledger_cli.h"

struct options {
    const char *dir, *out, *witness_key;
    bool key, witnessed, json;
};

static int print_checkpoint(const struct ledger_source *s, const struct options *o) {
    struct buf key;
    char root[2 * MERKLE_HASH_BYTES + 1];
    buf_init(&key, 1024);
    int rc = note_key_format(&key, &s->key);
    if (!rc && o->json) {
        hex_encode(root, s->checkpoint.root, MERKLE_HASH_BYTES);
        bool said =
            cli_print_json(json_pack("{s:s, s:I, s:s, s:s%, s:s%}", "origin", s->checkpoint.origin,
                                     "size", (json_int_t)s->checkpoint.size, "root", root, "key",
                                     key.p, key.len, "checkpoint", s->note.p, s->note.len));
        rc = said ? 0 : ERR_IO;
    } else if (!rc && o->key) {
        printf("%.*s\n", (int)key.len, (const char *)key.p);
    } else if (!rc) {
        fwrite(s->note.p, 1, s->note.len, stdout);
    }
    buf_wipe(&key);
    return rc ? cli_fail_err(rc, NULL, "saying the checkpoint") : CLI_DONE;
}

static int run(struct ledger_source *s, const struct options *o, int words, char **argv) {
    const char *what = argv[1];
    uint64_t index;
    if (o->witnessed) {
        int code = ledger_source_witnessed(s, o->dir);
        if (code != CLI_GO)
            return code;
    }
    if (!strcmp(what, "checkpoint"))
        return print_checkpoint(s, o);
    if (words < 2)
        return cli_fail(CLI_USAGE, "safehouse ledger --help tells which",
                        "ledger %s needs one more word", what);
    if (!strcmp(what, "export"))
        return ledger_export(s, argv[2], o->json);
    if (!strcmp(what, "witness"))
        return ledger_witness(s, o->dir, argv[2], o->witness_key, o->json);
    if (!tlog_take_number(argv[2], strlen(argv[2]), &index))
        return cli_fail(CLI_USAGE, "entries are numbered from 0", "%.60s is no entry", argv[2]);
    return ledger_prove(s, index, o->out, o->json);
}

int cli_ledger(int argc, char **argv) {
    static const struct cli_usage usage = {
        "safehouse ledger checkpoint [--dir D] [--witnessed] [--key] [--json]\n"
        "safehouse ledger prove N [--dir D] [--witnessed] [--out F] [--json]\n"
        "safehouse ledger export FOLDER [--dir D] [--json]\n"
        "safehouse ledger witness URL --witness-key KEY [--dir D] [--json]",
        "Prints the ledger's newest checkpoint, a signed note, which shows any later change to\n"
        "whoever keeps it; a proof that entry N is in the ledger; writes the ledger as tiles; has "
        "a\n"
        "witness cosign the newest checkpoint. Exit code 1: the ledger is not what it was."};
    static const char *const names[] = {"checkpoint", "prove", "export", "witness", NULL};
    struct options o = {.dir = CLI_DIR_DEFAULT};
    struct cli_session session = {0};
    const struct cli_option options[] = {
        {"--dir", "D", .text = &o.dir, .help = CLI_DIR_HELP},
        {"--witnessed", NULL, .flag = &o.witnessed,
         .help = "take the newest checkpoint that a witness cosigned"},
        {"--key", NULL, .flag = &o.key, .help = "print the key that checks checkpoints, instead"},
        {"--out", "F", .text = &o.out, .help = "where the proof goes (default: standard output)"},
        {"--witness-key", "KEY", .text = &o.witness_key,
         .help = "the witness's verifier key, name+id+key"},
        CLI_SESSION_OPTION(session),
        {"--json", NULL, .flag = &o.json, .help = "one object"},
        {0}};
    struct ledger_source s;
    int words = 0, known = 0;
    int code = cli_parse(&usage, options, argc, argv, 1, 2, &words);
    if (code == CLI_GO)
        code = cli_choose(argv[1], names, "command ledger",
                          "safehouse ledger --help tells which there are", &known);
    if (code == CLI_GO)
        code = session_load(o.dir, &session);
    if (code != CLI_GO)
        return code;
    code = ledger_source_open(&s, o.dir, &session);
    session_wipe(&session);
    if (code == CLI_GO)
        code = run(&s, &o, words, argv);
    ledger_source_close(&s);
    return code;
}
