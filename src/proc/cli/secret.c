/*
 * `safehouse secret find`: where and when a value was seen, through which key and about whom. The
 * value comes from standard input or the terminal, never from argv; it goes to the vault, which
 * makes its fingerprints, and these are what the store is asked for. It is not stored and not
 * printed.
 */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/err.h"
#include "proc/cli/cli.h"
#include "proc/cli/read.h"
#include "proc/cli/session.h"
#include "record/fingerprint.h"

#define ASKED_MAX 2000 /* classes and keys in one question, the newest ones */
#define SHOWN_MAX 1000

struct find {
    const char *dir;
    bool json;
    struct cli_session session;
    uint8_t *value; /* guarded, LIMIT_SECRET + 1 */
    size_t len;
    struct remote *remote;
};

/* ---- the value ---- */

static int read_all(struct find *f) {
    ssize_t n = 1;
    while (n > 0 && f->len <= LIMIT_SECRET) {
        n = read(STDIN_FILENO, f->value + f->len, LIMIT_SECRET + 1 - f->len);
        f->len += n > 0 ? (size_t)n : 0;
    }
    if (n < 0)
        return cli_fail(CLI_USAGE, NULL, "standard input cannot be read");
    if (f->len > LIMIT_SECRET)
        return cli_fail(CLI_USAGE, NULL, "the value is longer than %d bytes", LIMIT_SECRET);
    return CLI_GO;
}

static int read_value(struct find *f) {
    _Static_assert(LIMIT_SECRET >= CLI_PASSPHRASE_MAX, "a line fits");
    int code =
        isatty(STDIN_FILENO) ? cli_hidden("Value: ", (char *)f->value, &f->len) : read_all(f);
    while (code == CLI_GO && f->len &&
           (f->value[f->len - 1] == '\n' || f->value[f->len - 1] == '\r'))
        f->len--;
    return code == CLI_GO && !f->len ? cli_fail(CLI_USAGE, NULL, "the value is empty") : code;
}

/* ---- fingerprints ---- */

/* Lines "number tab class" to u32 number | u8 n | n class. */
static int encode_wanted(const struct buf *lines, struct buf *out) {
    const char *p = (const char *)lines->p, *end = p + lines->len;
    int rc = 0;
    while (!rc && p < end) {
        const char *eol = memchr(p, '\n', (size_t)(end - p));
        const char *tab = eol ? memchr(p, '\t', (size_t)(eol - p)) : NULL;
        if (!tab || eol - tab - 1 >= LIMIT_NAME)
            return ERR_CORRUPT;
        uint8_t head[5];
        put_u32(head, (uint32_t)strtoul(p, NULL, 10));
        head[4] = (uint8_t)(eol - tab - 1);
        rc = buf_append(out, head, sizeof head);
        if (!rc)
            rc = buf_append(out, tab + 1, head[4]);
        p = eol + 1;
    }
    return rc;
}

/* The tags as a list of SQL strings. They came from the vault, and are looked at all the same. */
static int list_tags(const struct buf *tags, struct buf *sql, bool *ret_any) {
    int rc = 0;
    *ret_any = false;
    for (size_t at = 0; !rc && at + FINGERPRINT_TEXT <= tags->len; at += FINGERPRINT_TEXT) {
        char tag[FINGERPRINT_TEXT + 1] = {0};
        memcpy(tag, tags->p + at, FINGERPRINT_TEXT);
        if (strspn(tag, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") != FINGERPRINT_TEXT)
            continue; /* of a key that the vault does not know */
        rc = buf_printf(sql, "%s'%s'", *ret_any ? "," : "", tag);
        *ret_any = true;
    }
    return rc;
}

static int ask_vault(struct find *f, struct buf *tags) {
    struct buf lines, wanted;
    char sql[256];
    buf_init(&lines, 1u << 20);
    buf_init(&wanted, LIMIT_SECRET_TAG);
    snprintf(sql, sizeof sql,
             "SELECT fingerprint_key, class FROM findings WHERE fingerprint_key > 0"
             " GROUP BY fingerprint_key, class ORDER BY max(time) DESC LIMIT %d",
             ASKED_MAX);
    int rc = remote_query_whole(f->remote, "TabSeparatedRaw", sql, &lines);
    if (!rc)
        rc = encode_wanted(&lines, &wanted);
    if (!rc)
        rc = remote_secret_tags(f->remote, f->value, f->len, wanted.p, wanted.len, tags);
    buf_wipe(&lines);
    buf_wipe(&wanted);
    return rc;
}

/* ---- the answer ---- */

static int print_rows(struct find *f, const struct buf *tags, bool *ret_seen) {
    static const char head[] = "time\tinteraction\tproject\tkey\tsubject\tclass\tplace\tcount\n";
    struct buf sql, rows;
    bool any;
    buf_init(&sql, LIMIT_SQL);
    buf_init(&rows, 4u << 20);
    *ret_seen = false;
    int rc = buf_printf(&sql, "SELECT time, interaction, project, key, subject, class, place, count"
                              " FROM findings WHERE fingerprint IN (");
    if (!rc)
        rc = list_tags(tags, &sql, &any);
    if (!rc && any)
        rc = buf_printf(&sql, ") ORDER BY time, interaction LIMIT %d", SHOWN_MAX);
    if (!rc && any)
        rc = buf_append(&sql, "", 1);
    if (!rc && any)
        rc = remote_query_whole(f->remote, f->json ? "JSONEachRow" : "TabSeparated",
                                (const char *)sql.p, &rows);
    if (!rc && rows.len) {
        struct out out;
        *ret_seen = true;
        out_init(&out);
        if (!f->json)
            rc = out_write(&out, head, sizeof head - 1);
        if (!rc)
            rc = out_write(&out, rows.p, rows.len);
        int wrote = out_finish(&out);
        rc = rc ? rc : wrote;
    }
    buf_wipe(&sql);
    buf_wipe(&rows);
    return rc;
}

static int find(struct find *f) {
    struct buf tags;
    bool seen = false;
    int rc = remote_new(&f->remote, f->dir, NULL);
    if (rc)
        return cli_fail_err(rc, NULL, "starting");
    if (f->session.there)
        remote_session(f->remote, f->session.token);
    buf_init(&tags, LIMIT_SECRET_TAG);
    rc = ask_vault(f, &tags);
    if (!rc)
        rc = print_rows(f, &tags, &seen);
    int code = rc ? read_fail(f->remote, f->dir, rc) : seen ? CLI_FOUND : CLI_DONE;
    if (code == CLI_DONE && !f->json)
        printf("this value was not seen\n");
    buf_wipe(&tags);
    remote_free(f->remote);
    return code;
}

int cli_secret(int argc, char **argv) {
    static const struct cli_usage usage = {
        "safehouse secret find [--dir D] [--token-file F] [--json]",
        "Says when and where a secret was seen: in which interaction, through which API key, "
        "about\n"
        "which subject. The value is read from standard input, or asked for on the terminal; it "
        "is\n"
        "not stored. Found are values whose class has at least 80 random bits. The vault must be\n"
        "unlocked, and notes that somebody asked. Exit code 1: it was seen."};
    struct find f = {.dir = CLI_DIR_DEFAULT};
    const struct cli_option options[] = {
        {"--dir", "D", .text = &f.dir, .help = CLI_DIR_HELP},
        CLI_SESSION_OPTION(f.session),
        {"--json", NULL, .flag = &f.json, .help = "one object a line"},
        {0}};
    int code = cli_parse(&usage, options, argc, argv, 1, 1, NULL);
    if (code == CLI_GO && strcmp(argv[1], "find") != 0)
        code =
            cli_fail(CLI_USAGE, "did you mean find?", "there is no command secret %.60s", argv[1]);
    if (code == CLI_GO)
        code = cli_need_installation(f.dir);
    if (code != CLI_GO)
        return code;
    code = session_load(f.dir, &f.session);
    if (code != CLI_GO)
        return code;
    read_harden();
    f.value = sodium_malloc(LIMIT_SECRET + 1);
    if (!f.value)
        return cli_fail_err(ERR_NOMEM, NULL, "starting");
    code = read_value(&f);
    if (code == CLI_GO)
        code = find(&f);
    sodium_free(f.value);
    session_wipe(&f.session);
    return code;
}
