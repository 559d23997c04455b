/*
 * `safehouse verify`: is the log what was written, and the ledger what it was? Findings go to standard
 * output, a line each, progress to a terminal's standard error; read/verify does the work.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/bytes.h"
#include "ipc/dial/dial.h"
#include "proc/cli/cli.h"
#include "proc/cli/session.h"
#include "proc/cli/verify_cli.h"
#include "proc/cli/verify_store.h"

#define FILE_MAX (4u << 20)
#define PROGRESS_NS 200000000ull

/* ---- output ---- */

static void clear_progress(struct verify_output *o) {
    if (o->shown)
        fputs("\r\x1b[K", stderr);
    o->shown = false;
}

static void progress(void *arg, const char *what, uint64_t done, uint64_t all) {
    struct verify_output *o = arg;
    const uint64_t now = clock_mono_ns();
    if (!o->terminal || now < o->next_ns)
        return;
    o->next_ns = now + PROGRESS_NS;
    fprintf(stderr, "\r\x1b[Kchecking %s: %" PRIu64, what, done);
    if (all)
        fprintf(stderr, " of %" PRIu64, all > done ? all : done);
    o->shown = true;
}

static const char *level_name(enum verify_kind k) {
    const enum verify_level l = verify_kind_level(k);
    return l == VERIFY_FOUND ? "found" : l == VERIFY_PENDING ? "pending" : "incomplete";
}

static void print_json(const struct verify_finding *f, const char *paper) {
    char number[24], id[UUID_TEXT + 1];
    json_t *o = json_pack("{s:s, s:s, s:s}", "finding", verify_kind_name(f->kind), "level",
                          level_name(f->kind), "text", f->text);
    if (paper)
        json_object_set_new(o, "paper", json_string(paper));
    if (f->table)
        json_object_set_new(o, "table", json_string(f->table));
    if (f->column)
        json_object_set_new(o, "column", json_string(f->column));
    if (f->placed) {
        snprintf(number, sizeof number, "%" PRIu64, f->sealer); /* JSON's numbers are too short */
        json_object_set_new(o, "sealer", json_string(number));
        snprintf(number, sizeof number, "%" PRIu64, f->batch);
        json_object_set_new(o, "batch", json_string(number));
    }
    if (f->index != VERIFY_NO_INDEX)
        json_object_set_new(o, "index", json_integer(f->index));
    if (!uuid_is_zero(f->id)) {
        uuid_format(id, f->id);
        json_object_set_new(o, "id", json_string(id));
    }
    cli_print_json(o);
}

static void report(void *arg, const struct verify_finding *f) {
    struct verify_output *o = arg;
    char id[UUID_TEXT + 1];
    clear_progress(o);
    if (o->json) {
        print_json(f, o->paper);
        return;
    }
    printf("%s: ", verify_kind_name(f->kind));
    if (f->table)
        printf("%s, ", f->table);
    if (f->index != VERIFY_NO_INDEX)
        printf("row %" PRIu32 " of ", f->index);
    if (f->placed)
        printf("batch %" PRIu64 " of sealer %" PRIu64, f->batch, f->sealer);
    if (!uuid_is_zero(f->id)) {
        uuid_format(id, f->id);
        printf(", id %s", id);
    }
    if (f->column)
        printf(", column %s", f->column);
    printf("%s%s\n", f->placed || f->table ? ": " : "", f->text);
}

/* ---- input ---- */

int verify_read(const char *path, uint8_t **ret, size_t *ret_len) {
    uint8_t *p = malloc(FILE_MAX + 1);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t len = 0;
    ssize_t n = -1;
    while (p && fd >= 0 && (n = read(fd, p + len, FILE_MAX + 1 - len)) > 0)
        len += (size_t)n;
    const int error = errno;
    if (fd >= 0)
        close(fd);
    if (p && n == 0 && len <= FILE_MAX) {
        *ret = p;
        *ret_len = len;
        return CLI_GO;
    }
    free(p);
    return cli_fail(CLI_USAGE, NULL, "%s cannot be read: %s", path,
                    len > FILE_MAX ? "it is too large" : strerror(error));
}

static int add_checkpoint(const char *path, struct verify_note *notes, const char **names, size_t *count) {
    uint8_t *p;
    size_t len;
    int code = verify_read(path, &p, &len);
    if (code != CLI_GO)
        return code;
    int rc = verify_note_parse(&notes[*count], p, len);
    free(p);
    if (rc)
        return cli_fail(CLI_USAGE, "it is what `safehouse ledger checkpoint` prints", "%s is no checkpoint",
                        path);
    names[(*count)++] = path;
    return CLI_GO;
}

/* The key itself, or a file with it. */
static int read_key(const char *text, struct verify_note_key *ret) {
    uint8_t *p = NULL;
    size_t len = strlen(text);
    int rc = verify_note_key_parse(ret, text, len);
    if (rc == ERR_SYNTAX && access(text, R_OK) == 0) {
        int code = verify_read(text, &p, &len);
        if (code != CLI_GO)
            return code;
        rc = verify_note_key_parse(ret, (const char *)p, len);
        free(p);
    }
    return rc ? cli_fail(CLI_USAGE, "it is what `safehouse ledger checkpoint --key` prints",
                         "%.200s is no verifier key", text)
              : CLI_GO;
}

/* ---- the end ---- */

static void print_totals(const struct verify_output *o, const struct verify_totals *t) {
    const char *result = t->found ? "found" : t->pending ? "pending" : t->part ? "incomplete" : "clean";
    char root[2 * SHA_BYTES + 1] = "";
    if (t->has_newest)
        hex_encode(root, t->newest.root, SHA_BYTES);
    if (o->json) {
        json_t *j = json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "result", result, "rows",
                              (json_int_t)t->rows, "batches", (json_int_t)t->batches, "entries",
                              (json_int_t)t->entries, "gone", (json_int_t)t->gone, "exchanges",
                              (json_int_t)t->exchanges, "found", (json_int_t)t->found, "pending",
                              (json_int_t)t->pending, "incomplete", (json_int_t)t->part);
        struct buf note;
        buf_init(&note, VERIFY_NOTE_MAX);
        if (t->has_newest && verify_note_print(&t->newest, &note) == 0)
            json_object_set_new(j, "checkpoint", json_stringn((const char *)note.p, note.len));
        buf_wipe(&note);
        cli_print_json(j);
        return;
    }
    printf("%s: %" PRIu64 " rows of %" PRIu64 " batches, %" PRIu64 " entries of the ledger", result,
           t->rows, t->batches, t->entries);
    if (t->gone)
        printf(", %" PRIu64 " rows gone by retention", t->gone);
    if (t->exchanges)
        printf(", %" PRIu64 " exchanges counted", t->exchanges);
    printf("\n");
    if (t->found)
        printf("%" PRIu64 " findings; what each means and what to do: doc/verify.md\n", t->found);
    if (t->has_newest)
        printf("newest checkpoint: %" PRIu64 " entries, root %s\n", t->newest.size, root);
}

/* The newest checkpoint, for the next time; only if nothing was found. */
static int keep(const char *path, const struct verify_totals *t) {
    char temporary[CLI_PATH];
    struct buf note;
    if (!path || t->found || !t->has_newest)
        return CLI_GO;
    if (snprintf(temporary, sizeof temporary, "%s.new", path) >= (int)sizeof temporary)
        return cli_fail(CLI_USAGE, NULL, "%.100s... is too long a name", path);
    buf_init(&note, VERIFY_NOTE_MAX);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    bool ok = fd >= 0 && verify_note_print(&t->newest, &note) == 0 &&
              write(fd, note.p, note.len) == (ssize_t)note.len && fsync(fd) == 0;
    if (fd >= 0)
        ok = close(fd) == 0 && ok;
    ok = ok && rename(temporary, path) == 0;
    buf_wipe(&note);
    return ok ? CLI_GO
              : cli_fail(CLI_INCOMPLETE, NULL, "%s cannot be written: %s", path, strerror(errno));
}

int verify_exit(const struct verify_totals *t) {
    return t->found ? CLI_FOUND : t->pending || t->part ? CLI_INCOMPLETE : CLI_DONE;
}

/* It reads files, of a locked or stopped installation too: then nobody is there who knows the person. */
static int may_verify(const char *dir, struct cli_session *s) {
    static const char *const roles[] = {"auditor", "admin", NULL};
    struct peer *p;
    int code = session_load(dir, s);
    if (code != CLI_GO || !s->there || dial(dir, "vault", IPC_VAULT, &p))
        return code;
    peer_free(p);
    return session_needs(dir, s, roles);
}

static int run_all(const char *dir, struct verify_spec *spec, struct verify_output *o, bool ledger_only,
                   const char *kept) {
    struct verify_store *store = NULL;
    struct verify_totals t;
    int code = cli_need_installation(dir);
    if (code == CLI_GO && !ledger_only)
        code = verify_store_open(dir, &store);
    if (code != CLI_GO)
        return code;
    spec->dir = dir;
    spec->query = ledger_only ? NULL : verify_store_query;
    spec->query_arg = store;
    int rc = verify_run(spec, &t);
    clear_progress(o);
    if (t.part && store && *verify_store_why(store))
        fprintf(stderr, "safehouse: the store said: %s\n", verify_store_why(store));
    verify_store_close(store);
    if (rc)
        return cli_fail_err(rc, NULL, "verifying");
    print_totals(o, &t);
    code = keep(kept, &t);
    return code == CLI_GO ? verify_exit(&t) : code;
}

int cli_verify(int argc, char **argv) {
    static const struct cli_usage usage = {
        "safehouse verify [--dir D] [--checkpoint F] [--key K] [--ledger] [--keep F] [--json]\n"
        "       safehouse verify --proof F [--checkpoint F] [--key K] [--dir D | --tiles DIR] [--json] [F ...]\n"
        "       safehouse verify --receipt F [--file F] [--checkpoint F] [--key K] [--dir D | --tiles DIR] [--json] [F ...]",
        "Checks every row of the log against the ledger, and the ledger against an earlier "
        "checkpoint;\n"
        "the installation may run or not. Names what was changed, swapped, replayed, added or is\n"
        "missing. With --proof: whether single events are in the ledger. With --receipt: whether receipts of\n"
        "erasures, exports and reports are the vault's, and say what the ledger has; both work on any "
        "machine.\n"
        "Exit code 0: clean, 1: something was found, 3: something is pending or could not be read."};
    const char *dir = NULL, *checkpoint = NULL, *key = NULL, *kept = NULL;
    struct verify_papers papers = {0};
    static struct verify_note notes[2];
    const char *names[2];
    size_t count = 0;
    struct verify_note_key k;
    struct verify_output o = {0};
    struct cli_session session = {0};
    bool ledger_only = false;
    int words = 0;
    const struct cli_option options[] = {
        {"--dir", "D", .text = &dir, .help = CLI_DIR_HELP},
        {"--checkpoint", "F", .text = &checkpoint,
         .help = "a checkpoint that was kept elsewhere: a file"},
        {"--key", "K", .text = &key, .help = "the ledger's verifier key, or a file with it"},
        {"--ledger", NULL, .flag = &ledger_only, .help = "the ledger alone, not the rows: in no time"},
        {"--keep", "F", .text = &kept,
         .help = "if nothing was found, write the newest checkpoint there; the ledger has to continue the one that is there"},
        {"--proof", "F", .text = &papers.proof, .help = "check this proof of one event; more may follow"},
        {"--receipt", "F", .text = &papers.receipt, .help = "check this receipt; more may follow"},
        {"--file", "F", .text = &papers.file,
         .help = "what the receipt is about (default: its name without .receipt)"},
        {"--tiles", "DIR", .text = &papers.tiles,
         .help = "of papers: an exported ledger, which has to continue theirs"},
        CLI_SESSION_OPTION(session),
        {"--json", NULL, .flag = &o.json, .help = "one object a finding, and one at the end"},
        {0}};
    int code = cli_parse(&usage, options, argc, argv, 0, 4096, &words);
    if (code == CLI_GO)
        code = verify_papers_check(&papers, words, words ? argv[1] : NULL);
    if (code == CLI_GO && checkpoint)
        code = add_checkpoint(checkpoint, notes, names, &count);
    if (code == CLI_GO && kept && access(kept, F_OK) == 0 && !(checkpoint && strcmp(kept, checkpoint) == 0))
        code = add_checkpoint(kept, notes, names, &count); /* what is replaced has to be continued */
    if (code == CLI_GO && key)
        code = read_key(key, &k);
    if (code != CLI_GO)
        return code;
    o.terminal = isatty(STDERR_FILENO) == 1;
    struct verify_spec spec = {.dir = dir,
                               .checkpoints = notes,
                               .names = names,
                               .checkpoint_count = count,
                               .key = key ? &k : NULL,
                               .report = report,
                               .progress = progress,
                               .arg = &o};
    if (papers.proof || papers.receipt) {
        spec.tiles = papers.tiles;
        return verify_papers_run(&papers, &spec, &o, argv, words);
    }
    code = may_verify(dir ? dir : CLI_DIR_DEFAULT, &session);
    session_wipe(&session);
    return code == CLI_GO ? run_all(dir ? dir : CLI_DIR_DEFAULT, &spec, &o, ledger_only, kept) : code;
}
