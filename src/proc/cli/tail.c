/*
 * `safehouse tail`: interactions as they are stored, one line each, from clear columns only.
 *
 * An interaction's time is that of its beginning, and it is stored when it has ended, perhaps
 * minutes after one that began later: no position in time says what was shown. But the rows of a
 * batch (those of one month) become visible at once, and a sealer numbers its batches without gaps.
 * So what was shown is a set of batches: of each sealer all up to `low`, and some above it where one
 * came before its forerunner. Each poll asks for the rows of other batches, by time and id; nothing
 * is shown twice or left out.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "control/control_db.h"
#include "proc/cli/cli.h"
#include "proc/cli/read.h"
#include "proc/cli/session.h"

#define POLL_MS 1000
#define ABOVE_MAX 256 /* batches of one sealer that came before one that never may */
#define REACH "86400" /* seconds: an interaction that began longer ago is not waited for */
#define ANSWER_BYTES (256u << 20)
#define COUNT_MAX 100000

enum tail_field {
    TAIL_SEALER,
    TAIL_BATCH,
    TAIL_TIME,
    TAIL_ID,
    TAIL_PROJECT,
    TAIL_MODEL,
    TAIL_STATUS,
    TAIL_OUTCOME,
    TAIL_ERROR,
    TAIL_INPUT,
    TAIL_OUTPUT,
    TAIL_TTFT,
    TAIL_DURATION,
    TAIL_FIELDS,
};
#define TAIL_COLUMNS                                                                               \
    "sealer, batch, time, id, project, model, status, outcome, error, tokens_input, "              \
    "tokens_output,"                                                                               \
    " ttft_us, duration_us"

struct sealer_seen {
    uint64_t sealer, low; /* all up to low, and: */
    uint64_t above[ABOVE_MAX];
    size_t n;
};

struct tail {
    const char *dir, *project;
    bool json;
    unsigned long count; /* of those that are there already */
    struct cli_session session;
    struct buf projects; /* of the session, as a list of SQL strings; empty: all */
    struct remote *remote;
    struct sealer_seen *seen;
    size_t seen_n;
};

/* ---- what was shown ---- */

static struct sealer_seen *find_sealer(const struct tail *t, uint64_t sealer) {
    for (size_t i = 0; i < t->seen_n; i++)
        if (t->seen[i].sealer == sealer)
            return &t->seen[i];
    return NULL;
}

static bool is_seen(const struct tail *t, uint64_t sealer, uint64_t batch) {
    const struct sealer_seen *s = find_sealer(t, sealer);
    if (!s || batch <= s->low)
        return s != NULL;
    for (size_t i = 0; i < s->n; i++)
        if (s->above[i] == batch)
            return true;
    return false;
}

static void drop(struct sealer_seen *s, size_t i) {
    s->above[i] = s->above[--s->n];
}

/* low moves up to the batch that no longer has a gap before it. */
static void close_gap(struct sealer_seen *s) {
    for (size_t i = 0; i < s->n;) {
        if (s->above[i] > s->low + 1) {
            i++;
            continue;
        }
        if (s->above[i] == s->low + 1)
            s->low++;
        drop(s, i);
        i = 0;
    }
}

/* A gap that is ABOVE_MAX batches old is given up: its rows began before REACH, or never come. */
static void give_up_gap(struct sealer_seen *s) {
    uint64_t least = s->above[0];
    for (size_t i = 1; i < s->n; i++)
        if (s->above[i] < least)
            least = s->above[i];
    s->low = least;
    close_gap(s);
}

static int mark(struct tail *t, uint64_t sealer, uint64_t batch) {
    struct sealer_seen *s = find_sealer(t, sealer);
    if (is_seen(t, sealer, batch))
        return 0;
    if (!s) {
        struct sealer_seen *more = realloc(t->seen, (t->seen_n + 1) * sizeof *more);
        if (!more)
            return ERR_NOMEM;
        t->seen = more;
        s = &t->seen[t->seen_n++];
        *s = (struct sealer_seen){.sealer = sealer, .low = 0};
    }
    if (s->n == ABOVE_MAX)
        give_up_gap(s);
    s->above[s->n++] = batch;
    close_gap(s);
    return 0;
}

/* " AND NOT (...)" for each sealer. */
static int put_condition(const struct tail *t, struct buf *sql) {
    int rc = 0;
    for (size_t i = 0; !rc && i < t->seen_n; i++) {
        const struct sealer_seen *s = &t->seen[i];
        rc = buf_printf(sql, " AND NOT (sealer = %" PRIu64 " AND (batch <= %" PRIu64, s->sealer,
                        s->low);
        for (size_t k = 0; !rc && k < s->n; k++)
            rc = buf_printf(sql, "%s%" PRIu64, k ? ", " : " OR batch IN (", s->above[k]);
        if (!rc)
            rc = buf_append_str(sql, s->n ? ")))" : "))");
    }
    return rc;
}

/* ---- lines ---- */

static void print_line(char *const field[TAIL_FIELDS]) {
    printf("%.23s  %s  %s  %s  %s %s%s%s  %s+%s  %.0f ms\n", field[TAIL_TIME], field[TAIL_ID],
           field[TAIL_PROJECT], *field[TAIL_MODEL] ? field[TAIL_MODEL] : "-", field[TAIL_STATUS],
           field[TAIL_OUTCOME], *field[TAIL_ERROR] ? " " : "", field[TAIL_ERROR], field[TAIL_INPUT],
           field[TAIL_OUTPUT], strtod(field[TAIL_DURATION], NULL) / 1000);
}

static json_int_t whole(const char *text) {
    return (json_int_t)strtoull(text, NULL, 10);
}

static int print_json(char *const field[TAIL_FIELDS]) {
    char when[READ_TIME];
    read_time(when, field[TAIL_TIME]);
    json_t *o = json_pack(
        "{s:s, s:s, s:s, s:s, s:I, s:s, s:s, s:I, s:I, s:I, s:I}", "time", when, "id",
        field[TAIL_ID], "project", field[TAIL_PROJECT], "model", field[TAIL_MODEL], "status",
        whole(field[TAIL_STATUS]), "outcome", field[TAIL_OUTCOME], "error", field[TAIL_ERROR],
        "tokens_input", whole(field[TAIL_INPUT]), "tokens_output", whole(field[TAIL_OUTPUT]),
        "ttft_us", whole(field[TAIL_TTFT]), "duration_us", whole(field[TAIL_DURATION]));
    return cli_print_json(o) ? 0 : ERR_IO;
}

/* One row's fields out of *at, which moves behind it. False at the end. */
static bool next_row(char **at, char *end, char *field[TAIL_FIELDS]) {
    char *eol = *at < end ? memchr(*at, '\n', (size_t)(end - *at)) : NULL;
    if (!eol)
        return false;
    *eol = 0;
    char *p = *at;
    *at = eol + 1;
    for (size_t i = 0; i < TAIL_FIELDS; i++) {
        field[i] = p ? strsep(&p, "\t") : (char *)"";
    }
    return true;
}

static uint64_t u64(const char *text) {
    return strtoull(text, NULL, 10);
}

/* Prints the rows of batches that were seen (`seen`) or not, and marks these as seen at the end: a
 * batch has several rows. */
static int print_rows(struct tail *t, struct buf *rows, bool seen) {
    char *field[TAIL_FIELDS], *at = (char *)rows->p, *end = at + rows->len;
    int rc = 0;
    struct buf pairs;
    buf_init(&pairs, ANSWER_BYTES);
    while (!rc && next_row(&at, end, field)) {
        const uint64_t pair[2] = {u64(field[TAIL_SEALER]), u64(field[TAIL_BATCH])};
        if (is_seen(t, pair[0], pair[1]) != seen)
            continue;
        if (t->json)
            rc = print_json(field);
        else
            print_line(field);
        if (!rc)
            rc = buf_append(&pairs, pair, sizeof pair);
    }
    for (size_t i = 0; !rc && i < pairs.len; i += 2 * sizeof(uint64_t)) {
        uint64_t pair[2];
        memcpy(pair, pairs.p + i, sizeof pair);
        rc = mark(t, pair[0], pair[1]);
    }
    buf_wipe(&pairs);
    return rc ? rc : fflush(stdout) ? ERR_IO : 0;
}

/* ---- asking ---- */

static int put_filter(const struct tail *t, struct buf *sql) {
    int rc = buf_append_str(sql, " FROM interactions WHERE time >= now() - " REACH);
    if (!rc && t->projects.len)
        rc = buf_printf(sql, " AND project IN (%s)", (const char *)t->projects.p);
    return rc || !t->project ? rc : buf_printf(sql, " AND project = '%s'", t->project);
}

/* A statement that was put together goes to the store; the answer replaces what is in rows. */
static int ask(struct tail *t, int rc, struct buf *sql, struct buf *rows) {
    buf_clear(rows);
    if (!rc)
        rc = buf_append_u8(sql, 0);
    if (!rc)
        rc = remote_query_whole(t->remote, "TabSeparated", (const char *)sql->p, rows);
    buf_clear(sql);
    remote_rest(t->remote);
    return rc;
}

/* What is stored counts as shown; the last of it is shown. */
static int begin(struct tail *t, struct buf *sql, struct buf *rows) {
    int rc = buf_append_str(sql, "SELECT sealer, batch");
    if (!rc)
        rc = put_filter(t, sql);
    if (!rc)
        rc = buf_append_str(sql, " GROUP BY sealer, batch ORDER BY sealer, batch");
    rc = ask(t, rc, sql, rows);
    char *at = (char *)rows->p, *end = at + rows->len, *field[TAIL_FIELDS];
    while (!rc && next_row(&at, end, field))
        rc = mark(t, u64(field[TAIL_SEALER]), u64(field[TAIL_BATCH]));
    if (rc || t->count == 0)
        return rc;
    rc = buf_append_str(sql, "SELECT * FROM (SELECT " TAIL_COLUMNS);
    if (!rc)
        rc = put_filter(t, sql);
    if (!rc)
        rc = buf_printf(sql, " ORDER BY time DESC, id DESC LIMIT %lu) ORDER BY time, id", t->count);
    rc = ask(t, rc, sql, rows);
    return rc ? rc : print_rows(t, rows, true);
}

static int poll_once(struct tail *t, struct buf *sql, struct buf *rows) {
    int rc = buf_append_str(sql, "SELECT " TAIL_COLUMNS);
    if (!rc)
        rc = put_filter(t, sql);
    if (!rc)
        rc = put_condition(t, sql);
    if (!rc)
        rc = buf_append_str(sql, " ORDER BY time, id");
    rc = ask(t, rc, sql, rows);
    return rc ? rc : print_rows(t, rows, false);
}

/* Until interrupted, or nobody reads; a store that restarts is waited for. */
static int follow(struct tail *t, struct buf *sql, struct buf *rows) {
    const struct timespec pause = {POLL_MS / 1000, POLL_MS % 1000 * 1000000};
    bool away = false;
    int rc;
    do {
        nanosleep(&pause, NULL);
        rc = poll_once(t, sql, rows);
        if (rc == ERR_PEER && !away)
            fprintf(stderr, "safehouse: %s; waiting for it\n", remote_why(t->remote));
        away = rc == ERR_PEER;
    } while (!rc || away);
    return rc;
}

static int run(struct tail *t, bool stay) {
    struct buf sql, rows;
    int rc = remote_new(&t->remote, t->dir, NULL);
    if (rc)
        return cli_fail_err(rc, NULL, "starting");
    buf_init(&sql, LIMIT_SQL);
    buf_init(&rows, ANSWER_BYTES);
    if (!t->json && isatty(STDOUT_FILENO))
        printf("%-23s  %-36s  PROJECT  MODEL  STATUS  TOKENS  DURATION\n", "TIME (UTC)", "ID");
    rc = begin(t, &sql, &rows);
    if (!rc && stay)
        rc = follow(t, &sql, &rows);
    int code = rc ? read_fail(t->remote, t->dir, rc) : CLI_DONE;
    buf_wipe(&sql);
    buf_wipe(&rows);
    free(t->seen);
    remote_free(t->remote);
    return code;
}

int cli_tail(int argc, char **argv) {
    static const struct cli_usage usage = {
        "safehouse tail [--dir D] [-n N] [--project P] [--token-file F] [--json]\n"
        "       [--no-follow]",
        "Lists the last interactions, then new ones as they are stored, until it is interrupted: "
        "time,\n"
        "id, project, model, status, outcome, tokens asked+answered, duration. No content is "
        "opened."};
    struct tail t = {.dir = CLI_DIR_DEFAULT};
    const char *count = "10";
    bool stay = false, leave = false;
    char *end;
    const struct cli_option options[] = {
        {"--dir", "D", .text = &t.dir, .help = CLI_DIR_HELP},
        {"-n", "N", .text = &count, .help = "how many of the last day to begin with (default 10)"},
        {"--project", "P", .text = &t.project, .help = "only those of this project"},
        {"--json", NULL, .flag = &t.json, .help = "one object a line"},
        CLI_SESSION_OPTION(t.session),
        {"--follow", NULL, .flag = &stay, .help = "go on with new ones (as it does anyway)"},
        {"--no-follow", NULL, .flag = &leave, .help = "end after the last ones"},
        {0}};
    int code = cli_parse(&usage, options, argc, argv, 0, 0, NULL);
    if (code != CLI_GO)
        return code;
    t.count = strtoul(count, &end, 10);
    if (*count < '0' || *count > '9' || *end || t.count > COUNT_MAX)
        return cli_fail(CLI_USAGE, NULL, "-n takes a number up to %d", COUNT_MAX);
    if (stay && leave)
        return cli_fail(CLI_USAGE, "leave one out",
                        "--follow and --no-follow contradict each other");
    if (t.project && !control_name_valid(t.project))
        return cli_fail(CLI_USAGE, NULL, "%.60s is no name of a project", t.project);
    code = cli_need_installation(t.dir);
    buf_init(&t.projects, LIMIT_SQL / 2);
    if (code == CLI_GO)
        code = session_load(t.dir, &t.session);
    if (code == CLI_GO && t.session.there)
        code = session_reads(t.dir, &t.session, &t.projects);
    session_wipe(&t.session);
    if (code == CLI_GO)
        code = run(&t, !leave);
    buf_wipe(&t.projects);
    return code;
}
