/*
 * `safehouse report`: what a regulator or a person asks for, from what Safehouse itself knows. The
 * three reports are in files of their own; here is what is the same of them: the command, where it
 * goes, its receipt.
 */
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/version.h"
#include "proc/cli/key_terms.h"
#include "proc/cli/dossier.h"
#include "proc/cli/receipt.h"

#define TEXT_MAX (256u << 20)
#define DAY_US 86400000000ull

enum which { RECORDS = 1, BREACH, SUBJECT }; /* numbers of MSG_REPORTED */
static const char *const names[] = {"records", "breach", "subject", NULL};

struct options {
    const char *since, *until, *output;
    bool json, key, quick;
    uint64_t since_us, until_us;
};

/* ---- what stands at the beginning ---- */

static int read_config(struct dossier *r) {
    static char why[CONFIG_WHY];
    const json_t *c = json_object_get(r->status, "configuration");
    const char *file = json_string_value(json_object_get(c, "file"));
    struct stat st;
    r->config = config_new();
    if (!r->config)
        return cli_fail_err(ERR_NOMEM, NULL, "starting");
    file = r->config_file ? r->config_file : file;
    if (!file)
        return CLI_GO;
    if (config_load(r->config, file, why))
        return cli_fail(CLI_USAGE, "name it with: --config F", "%s", why);
    const json_int_t read_us = json_integer_value(json_object_get(c, "read_us"));
    if (stat(file, &st) == 0 && (json_int_t)st.st_mtim.tv_sec * 1000000 > read_us)
        dossier_gap(
            r, r->o,
            "%s was changed since it was read: what is said of the configuration may not be in "
            "force",
            file);
    return CLI_GO;
}

static void put_mode(struct dossier *r) {
    const json_t *mode = json_object_get(json_object_get(r->status, "vault"), "one_person_mode");
    json_object_set_new(r->o, "one_person_mode",
                        json_string(json_is_true(mode)
                                        ? "yes: the owner alone may do everything, and nobody "
                                          "else has to agree"
                                    : json_is_false(mode) ? "no"
                                                          : "not known: the vault is locked"));
}

static int begin(struct dossier *r, const char *title) {
    char now[READ_TIME];
    int code = status_ask(r->dir, &r->status);
    if (code != CLI_GO)
        return code;
    int rc = remote_new(&r->remote, r->dir, NULL);
    if (rc)
        return cli_fail_err(rc, NULL, "starting");
    if (r->session.there)
        remote_session(r->remote, r->session.token);
    subject_time(now, clock_wall_us());
    r->o = json_pack("{s:s, s:s, s:s}", "title", title, "made", now, "made_by",
                     "safehouse " SAFEHOUSE_VERSION);
    put_mode(r);
    return read_config(r);
}

/* ---- where it goes ---- */

/* A new file of the owner's. */
static int write_file(const char *path, const void *p, size_t len) {
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return cli_fail(CLI_USAGE, "name a file that does not exist yet", "cannot make %s: %s",
                        path, strerror(errno));
    bool ok = write(fd, p, len) == (ssize_t)len && fsync(fd) == 0;
    ok = close(fd) == 0 && ok;
    if (!ok)
        unlink(path);
    return ok ? CLI_GO : cli_fail(CLI_INCOMPLETE, NULL, "%s could not be written", path);
}

/* The report's digest, signed by the vault, and the ledger's newest checkpoint. */
static int sign(struct dossier *r, enum which which, const struct buf *text, const char *path) {
    uint8_t ask[33] = {(uint8_t)which};
    struct receipt receipt;
    receipt_init(&receipt);
    crypto_hash_sha256(ask + 1, text->p, text->len);
    int rc = remote_vault(r->remote, MSG_REPORTED, ask, sizeof ask, receipt_take, &receipt);
    int code = rc ? read_fail(r->remote, r->dir, rc) : CLI_GO;
    if (code == CLI_GO && (rc = receipt_write(path, "report", &receipt)) != 0)
        code = cli_fail_err(rc, "name a file beside which there is no .receipt yet", "writing the receipt");
    receipt_done(&receipt);
    return code;
}

static int deliver(struct dossier *r, enum which which, const struct options *o) {
    struct buf text;
    struct out out;
    buf_init(&text, TEXT_MAX);
    char *json = o->json ? json_dumps(r->o, JSON_COMPACT) : NULL;
    int rc = o->json ? (json ? buf_printf(&text, "%s\n", json) : ERR_NOMEM)
                     : dossier_markdown(r->o, &text);
    free(json);
    int code = rc ? cli_fail_err(rc, NULL, "writing the report") : CLI_GO;
    if (code == CLI_GO && o->output) {
        code = write_file(o->output, text.p, text.len);
        if (code == CLI_GO)
            code = sign(r, which, &text, o->output);
    } else if (code == CLI_GO) {
        out_init(&out);
        rc = out_write(&out, text.p, text.len);
        const int ended = out_finish(&out);
        code = rc || ended ? CLI_INCOMPLETE : CLI_GO;
    }
    buf_wipe(&text);
    return code;
}

/* ---- the command ---- */

static int make(struct dossier *r, enum which which, const struct options *o,
                struct subject_ask *ask) {
    static const char *const titles[] = {
        NULL, "Records of processing activities (GDPR, Article 30)",
        "Personal data breach: what the ledger and the log say (GDPR, Article 33)",
        "What is kept of a person (GDPR, Article 15)"};
    int code = begin(r, titles[which]);
    if (code == CLI_GO)
        code = which == RECORDS  ? dossier_records(r)
               : which == BREACH ? dossier_breach(r, o->since_us, o->until_us, !o->quick)
                                 : dossier_subject(r, ask);
    if (code == CLI_GO)
        json_object_set(r->o, "checkpoint",
                        json_object_get(json_object_get(r->status, "vault"), "checkpoint"));
    if (code == CLI_GO)
        code = deliver(r, which, o);
    return code == CLI_GO ? (r->part ? CLI_INCOMPLETE : CLI_DONE) : code;
}

/* A date, or so long ago; NULL: `otherwise`. */
static int take_time(const char *name, const char *text, uint64_t otherwise, uint64_t *ret) {
    uint64_t ago;
    const uint64_t now = clock_wall_us();
    *ret = otherwise;
    if (!text || key_date_parse(text, ret))
        return CLI_GO;
    if (!key_span_parse(text, &ago) || ago > now)
        return cli_fail(CLI_USAGE, "say 72h, 30d, 2027-01-31 or 2027-01-31T12:00:00Z",
                        "%s %.40s is no time", name, text);
    *ret = now - ago;
    return CLI_GO;
}

static int check(enum which which, struct options *o, const struct dossier *r, int words) {
    static const char *const auditors[] = {"auditor", "admin", NULL};
    if (which == SUBJECT && words < 2)
        return cli_fail(CLI_USAGE, "safehouse report subject NAME", "whose report is it?");
    if (which != SUBJECT && words > 1)
        return cli_fail(CLI_USAGE, NULL, "report %s takes no name", names[which - 1]);
    if (which == BREACH && !o->since)
        return cli_fail(CLI_USAGE, "say since when: --since 72h or --since 2027-01-31",
                        "a breach has a time");
    int code = take_time("--since", o->since, 0, &o->since_us);
    if (code == CLI_GO)
        code = take_time("--until", o->until, clock_wall_us(), &o->until_us);
    if (code == CLI_GO && which == BREACH && o->since_us >= o->until_us)
        code = cli_fail(CLI_USAGE, NULL, "that time ends before it begins");
    return code == CLI_GO && which != SUBJECT ? session_needs(r->dir, &r->session, auditors) : code;
}

static void done(struct dossier *r) {
    json_decref(r->o);
    json_decref(r->status);
    config_free(r->config);
    remote_free(r->remote);
    session_wipe(&r->session);
}

int cli_report(int argc, char **argv) {
    static const struct cli_usage usage = {
        "safehouse report records [--output FILE] [--json] [--dir D]\n"
        "       safehouse report breach --since WHEN [--until WHEN] [--quick] [--output FILE] "
        "[--json] [--dir D]\n"
        "       safehouse report subject NAME [--project P] [--key] [--output FILE] [--json] "
        "[--dir D]",
        "Says which personal data is processed, why, for whom and how long (records); what was "
        "opened, by whom\n"
        "and why, and what else happened in some time (breach); what is kept of one person, and "
        "who read it\n"
        "(subject; the content itself is what subject export writes). Each has the ledger's newest "
        "checkpoint;\n"
        "with --output also a signed receipt. Exit code 3: something could not be found out, and "
        "it says what."};
    struct options o = {0};
    struct dossier r = {.dir = CLI_DIR_DEFAULT};
    struct subject_ask ask = {0};
    const struct cli_option options[] = {
        {"--since", "WHEN", .text = &o.since,
         .help = "of breach: 72h or 30d ago, 2027-01-31, 2027-01-31T12:00:00Z"},
        {"--until", "WHEN", .text = &o.until, .help = "of breach: the same; default now"},
        {"--quick", NULL, .flag = &o.quick, .help = "of breach: verify the ledger, not each row"},
        {"--project", "P", .text = &ask.project, .help = "of subject: only in this project"},
        {"--key", NULL, .flag = &ask.key, .help = "of subject: NAME is an API key's id"},
        {"--output", "FILE", .text = &o.output,
         .help = "write it there, with FILE.receipt; neither may exist"},
        {"--config", "F", .text = &r.config_file,
         .help = "the configuration (default: the one in force)"},
        {"--dir", "D", .text = &r.dir, .help = CLI_DIR_HELP},
        CLI_SESSION_OPTION(r.session),
        {"--json", NULL, .flag = &o.json, .help = "one object"},
        {0}};
    int words = 0, which = 0, code = cli_parse(&usage, options, argc, argv, 1, 2, &words);
    if (code == CLI_GO)
        code = cli_choose(argv[1], names, "report", "records, breach or subject", &which);
    if (code != CLI_GO)
        return code;
    which++;
    code = cli_need_installation(r.dir);
    if (code == CLI_GO)
        code = session_load(r.dir, &r.session);
    if (code == CLI_GO)
        code = check((enum which)which, &o, &r, words);
    ask.dir = r.dir;
    ask.name = words > 1 ? argv[2] : NULL;
    if (code == CLI_GO)
        code = make(&r, (enum which)which, &o, &ask);
    done(&r);
    return code;
}
