/*
 * `safehouse query`: one SELECT over the log. The store runs it; with --open, the sealed cells of
 * its result are opened by the vault, which notes the reason in its ledger first, and their text is
 * put into the result in their place.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "proc/cli/cli.h"
#include "proc/cli/read.h"
#include "proc/cli/session.h"
#include "read/query/format.h"
#include "read/query/plan.h"

struct request {
    const char *dir, *reason;
    bool open;
    const char *sql;
    size_t sql_len;
    const char *format;
    enum format_family family;
    struct cli_session session;
};

/* The statement from standard input. CLI_GO or the exit code. */
static int read_input(struct buf *out) {
    uint8_t piece[4096];
    ssize_t n;
    buf_init(out, LIMIT_SQL);
    while ((n = read(STDIN_FILENO, piece, sizeof piece)) > 0)
        if (buf_append(out, piece, (size_t)n))
            return cli_fail(CLI_USAGE, NULL, "the statement is longer than %u bytes", LIMIT_SQL);
    return n < 0 ? cli_fail(CLI_USAGE, NULL, "standard input cannot be read") : CLI_GO;
}

static int unknown_format(const char *name, size_t len) {
    static const char *const names[] = {
#define FORMAT_NAME_(n, family) n,
        FORMATS(FORMAT_NAME_)
#undef FORMAT_NAME_
            NULL,
    };
    char typed[64], fix[128] = "TabSeparated, JSONEachRow, CSV and Pretty are some that there are";
    snprintf(typed, sizeof typed, "%.*s", (int)(len < 60 ? len : 60), name);
    const char *near = cli_nearest(typed, names);
    if (near)
        snprintf(fix, sizeof fix, "did you mean %s?", near);
    return cli_fail(CLI_USAGE, fix, "there is no format %s", typed);
}

/* Of --format (NULL: not given) and a FORMAT clause, which leaves the statement. */
static int choose_format(struct request *q, const char *option) {
    size_t len = 0;
    const char *clause = format_split(q->sql, &q->sql_len, &len);
    const char *other = isatty(STDOUT_FILENO) != 1 ? "TabSeparated"
                        : q->open                  ? "Vertical" /* texts are longer than columns */
                                                   : "Pretty";
    const char *name = option ? option : other;
    q->format = format_find(name, strlen(name), &q->family);
    if (!q->format)
        return unknown_format(name, strlen(name));
    if (clause) {
        const char *asked = option ? q->format : NULL;
        q->format = format_find(clause, len, &q->family);
        if (!q->format)
            return unknown_format(clause, len);
        if (asked && strcmp(asked, q->format) != 0)
            return cli_fail(CLI_USAGE, "name one format",
                            "the statement says FORMAT %s, and --format says %s", q->format, asked);
    }
    if (q->open && q->family == FORMAT_BINARY)
        return cli_fail(CLI_USAGE, "use another format, TabSeparatedRaw for example",
                        "opened text has no place in %s", q->format);
    return CLI_GO;
}

/* Some cells stayed sealed. */
static int say_sealed(const struct cells *c, const struct remote *r, const char *dir) {
    char reasons[1024], fix[CLI_PATH + 64];
    tally_text(cells_tally(c), reasons, sizeof reasons);
    bool locked = tally_has(cells_tally(c), ERR_LOCKED), gone = tally_has(cells_tally(c), ERR_PEER);
    bool unnoted = tally_has(cells_tally(c), ERR_IO);
    const char *why = remote_why(r); /* the vault's own sentence about a whole request */
    snprintf(fix, sizeof fix,
             locked    ? "open it with: safehouse unlock --dir %s"
             : unnoted ? "the ledger cannot be written, and nothing opens that is not in it; is "
                         "there room for %s/vault?"
                       : "look at: safehouse status --dir %s",
             dir);
    return cli_fail(CLI_INCOMPLETE, locked || gone || unnoted ? fix : *why ? why : NULL,
                    "%zu of %zu cells stay sealed: %s", cells_tally(c)->failed,
                    cells_tally(c)->failed + cells_tally(c)->opened, reasons);
}

static int keep(void *file, const void *p, size_t len) {
    return fwrite(p, 1, len, file) == len ? 0 : ERR_IO;
}

/* The whole result comes first, sealed, into a file without a name: opening asks the store for data
 * keys, and few clients at a time can hold it in the middle of an answer. */
static int fetch(const struct request *q, struct remote *r, FILE *sealed) {
    int rc = remote_query(r, q->format, q->sql, q->sql_len, keep, sealed);
    return !rc && fseek(sealed, 0, SEEK_SET) ? ERR_IO : rc;
}

static int feed(struct cells *cells, FILE *sealed) {
    static uint8_t piece[1u << 16];
    size_t n;
    int rc = 0;
    while (!rc && (n = fread(piece, 1, sizeof piece, sealed)) > 0)
        rc = cells_feed(cells, piece, n);
    if (!rc && ferror(sealed))
        rc = ERR_IO;
    return rc ? rc : cells_finish(cells);
}

/* ---- the plan: which cells there will be ---- */

/* The whole result is judged before anything of it is opened. */
static int plan(const struct request *q, struct remote *r, FILE *sealed) {
    struct cells *cells;
    struct buf hashes;
    buf_init(&hashes, PLAN_BYTES);
    int rc = cells_new(&cells, q->family, plan_gather, &hashes, plan_discard, NULL);
    if (rc)
        return rc;
    rc = feed(cells, sealed);
    cells_free(cells);
    if (!rc && hashes.len)
        rc = remote_plan(r, q->sql, q->sql_len, (const uint8_t(*)[32])hashes.p, hashes.len / 32);
    buf_wipe(&hashes);
    return !rc && fseek(sealed, 0, SEEK_SET) ? ERR_IO : rc;
}

static int run_open(const struct request *q, struct remote *r, struct out *out) {
    struct cells *cells;
    int code = CLI_DONE;
    FILE *sealed = tmpfile();
    if (!sealed)
        return cli_fail(CLI_INCOMPLETE, NULL, "no temporary file can be made");
    int rc = cells_new(&cells, q->family, remote_open, r, out_write, out);
    if (rc) {
        fclose(sealed);
        return read_fail(r, q->dir, rc);
    }
    rc = fetch(q, r, sealed);
    if (!rc)
        rc = plan(q, r, sealed);
    if (!rc)
        rc = feed(cells, sealed);
    fclose(sealed);
    int wrote = out_finish(out);
    if (rc || wrote)
        code = read_fail(r, q->dir, rc ? rc : wrote);
    else if (cells_tally(cells)->failed)
        code = say_sealed(cells, r, q->dir);
    cells_free(cells);
    return code;
}

static int run(const struct request *q) {
    struct remote *r;
    struct out out;
    int rc = remote_new(&r, q->dir, q->reason);
    if (rc)
        return cli_fail_err(rc, NULL, "starting");
    if (q->session.there)
        remote_session(r, q->session.token);
    out_init(&out);
    int code = CLI_DONE;
    if (q->open) {
        read_harden();
        code = run_open(q, r, &out);
    } else {
        rc = remote_query(r, q->format, q->sql, q->sql_len, out_write, &out);
        int wrote = out_finish(&out);
        if (rc || wrote)
            code = read_fail(r, q->dir, rc ? rc : wrote);
    }
    remote_free(r);
    return code;
}

int cli_query(int argc, char **argv) {
    static const struct cli_usage usage = {
        "safehouse query [--dir D] [--format FORMAT] [--open --reason TEXT] [--token-file F] SQL",
        "Runs one SELECT over the tables interactions, findings, turns and data_keys (SHOW TABLES "
        "and DESCRIBE\n"
        "tell what is in them). SQL \"-\" reads the statement from standard input. Content is "
        "sealed:\n"
        "the column turns.body shows cells, which --open has the vault open; it notes who read "
        "what\n"
        "and why before it does. Exit code 3: some cells could not be opened, they stay as they "
        "are."};
    struct request q = {.dir = CLI_DIR_DEFAULT};
    const char *format = NULL;
    struct buf input;
    const struct cli_option options[] = {
        {"--dir", "D", .text = &q.dir, .help = CLI_DIR_HELP},
        {"--format", "FORMAT", .text = &format,
         .help = "TabSeparated, CSV, JSON, JSONEachRow, Pretty, ..."},
        CLI_SESSION_OPTION(q.session),
        {"--open", NULL, .flag = &q.open, .help = "open the sealed cells of the result"},
        {"--reason", "TEXT", .text = &q.reason, .help = "why; it goes into the ledger"},
        {0}};
    int code = cli_parse(&usage, options, argc, argv, 1, 1, NULL);
    if (code != CLI_GO)
        return code;
    if (q.open)
        code = read_check_reason(q.reason);
    if (code == CLI_GO)
        code = cli_need_installation(q.dir);
    buf_init(&input, 0);
    if (code == CLI_GO && strcmp(argv[1], "-") == 0)
        code = read_input(&input);
    q.sql = strcmp(argv[1], "-") == 0 ? (const char *)input.p : argv[1];
    q.sql_len = strcmp(argv[1], "-") == 0 ? input.len : strlen(argv[1]);
    if (code == CLI_GO)
        code = choose_format(&q, format);
    if (code == CLI_GO)
        code = session_load(q.dir, &q.session);
    if (code == CLI_GO && q.session.there && !q.open)
        code = session_reads(q.dir, &q.session, NULL);
    if (code == CLI_GO)
        code = run(&q);
    session_wipe(&q.session);
    buf_wipe(&input);
    return code;
}
