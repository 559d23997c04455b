/*
 * `safehouse subject`: one person of the log, by name: who it is, all of it in a file, erased, held.
 * The vault does it, and notes it in the ledger before; the store is asked for counts alone.
 */
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/err.h"
#include "proc/cli/cli.h"
#include "proc/cli/subject.h"

static int fail(const struct subject_ask *s, int rc) {
    if (rc == ERR_NOTFOUND && !*remote_why(s->remote))
        return cli_fail_as(rc, CLI_INCOMPLETE, s->project ? "leave out --project to look in all of them" : NULL,
                        "nobody has this name");
    if (rc == ERR_NOTFOUND)
        return cli_fail_as(rc, CLI_INCOMPLETE, NULL, "%s", remote_why(s->remote));
    return read_fail(s->remote, s->dir, rc);
}

/* ---- find ---- */

static int put_times(struct buf *sql, const struct subject_person *p, const char *table) {
    int rc = buf_printf(sql, "SELECT id, time FROM %s WHERE subject IN (", table);
    if (!rc)
        rc = subject_id_list(p, sql);
    return rc ? rc : buf_append_str(sql, ")");
}

/* interactions, first and last time, of the ids; with what a hold kept from retention. */
static int count_rows(struct subject_ask *s, const struct subject_person *p, struct buf *out) {
    struct buf sql;
    buf_init(&sql, LIMIT_SQL);
    int rc = buf_append_str(&sql, "SELECT count(), if(count() = 0, '', toString(min(time))),"
                                  " if(count() = 0, '', toString(max(time))) FROM (");
    if (!rc)
        rc = put_times(&sql, p, "interactions");
    if (!rc)
        rc = buf_append_str(&sql, " UNION DISTINCT ");
    if (!rc)
        rc = put_times(&sql, p, "held_interactions");
    if (!rc)
        rc = buf_append(&sql, ")", 2);
    if (!rc)
        rc = remote_query_whole(s->remote, "TabSeparatedRaw", (const char *)sql.p, out);
    if (!rc)
        rc = out->len && out->p[out->len - 1] == '\n' ? 0 : ERR_CORRUPT;
    if (!rc)
        out->p[out->len - 1] = 0;
    buf_wipe(&sql);
    return rc;
}

static json_t *describe(const struct subject_person *p, char *row) {
    char since[READ_TIME], first[READ_TIME], last[READ_TIME];
    const char *count = strsep(&row, "\t"), *from = row ? strsep(&row, "\t") : "";
    const char *to = row ? row : "";
    subject_time(since, p->held_since_us);
    read_time(first, from);
    read_time(last, to);
    json_t *hold = p->held_since_us ? json_pack("{s:s, s:s}", "since", since, "reason", p->reason)
                                    : json_null();
    return json_pack("{s:s, s:s, s:s, s:o, s:I, s:s?, s:s?, s:o}", "name", p->name.name, "project",
                     p->name.project, "kind", p->name.kind == SUBJECT_KEY ? "key" : "person", "ids",
                     subject_ids(p, "id", "created"), "interactions", (json_int_t)strtoull(count, NULL, 10), "first",
                     *from ? first : NULL, "last", *to ? last : NULL, "hold", hold);
}

static void print_person(const json_t *o) {
    size_t i;
    json_t *id, *hold = json_object_get(o, "hold");
    printf("%s, project %s (%s)\n", json_string_value(json_object_get(o, "name")),
           json_string_value(json_object_get(o, "project")),
           json_string_value(json_object_get(o, "kind")));
    json_array_foreach(json_object_get(o, "ids"), i, id) {
        const char *made = json_string_value(json_object_get(id, "created"));
        printf("  subject %s, since %s\n", json_string_value(json_object_get(id, "id")),
               made ? made : "before this was noted");
    }
    printf("  %lld interactions", json_integer_value(json_object_get(o, "interactions")));
    if (json_is_string(json_object_get(o, "first")))
        printf(", %s to %s", json_string_value(json_object_get(o, "first")),
               json_string_value(json_object_get(o, "last")));
    printf("\n");
    if (!json_is_null(hold))
        printf("  held since %s: %s\n", json_string_value(json_object_get(hold, "since")),
               json_string_value(json_object_get(hold, "reason")));
}

static int say(struct subject_ask *s, const struct subject_person *p) {
    struct buf row;
    buf_init(&row, 4096);
    int rc = count_rows(s, p, &row);
    json_t *o = rc ? NULL : describe(p, (char *)row.p);
    buf_wipe(&row);
    if (rc)
        return fail(s, rc);
    if (s->json)
        return cli_print_json(o) ? CLI_DONE : CLI_INCOMPLETE;
    print_person(o);
    json_decref(o);
    return CLI_DONE;
}

static int find(struct subject_ask *s, struct subject_answer *a) {
    int rc = subject_ask(s, INQUIRY_FIND, a), code = CLI_DONE;
    if (rc)
        return fail(s, rc);
    for (size_t i = 0; code == CLI_DONE && i < a->count; i++)
        code = say(s, &a->at[i]);
    return code;
}

static int hold(struct subject_ask *s, enum inquiry_verb verb, struct subject_answer *a) {
    int rc = subject_ask(s, verb, a);
    return rc ? fail(s, rc) : say(s, &a->at[0]);
}

/* ---- erase ---- */

/* The receipt is printed whole: whoever has it can check it. A word for people goes to standard
 * error. */
static int erase(struct subject_ask *s, struct subject_answer *a) {
    char project[LIMIT_NAME];
    int rc = subject_ask(s, INQUIRY_ERASE, a);
    if (rc)
        return fail(s, rc);
    const struct buf *note = &a->receipt.note;
    const bool pending = memmem(note->p, note->len, "\nreplica pending ", 17) ||
                         memmem(note->p, note->len, "\nsealer pending\n", 16);
    json_t *o = receipt_object("erasure", &a->receipt);
    const bool known = subject_erased_project(s, &a->receipt, project);
    const char *where = known ? project : s->project;
    json_object_set_new(o, "name", json_string(s->name));
    json_object_set_new(o, "project", where ? json_string(where) : json_null());
    json_object_set_new(o, "pending", json_boolean(pending));
    if (!o || !cli_print_json(o))
        return cli_fail(CLI_INCOMPLETE, NULL, "it is erased, but the receipt could not be written");
    if (!s->json)
        fprintf(stderr, "erased%s; keep the receipt\n",
                pending ? ", but not everywhere yet: the receipt says where it is pending" : "");
    return CLI_DONE;
}

/* ---- export ---- */

/* All of it to `out`; then the vault signs what that was. */
static int export_signed(struct subject_ask *s, const struct subject_person *p, struct out *out,
                         uint32_t *ret_count, struct receipt *receipt) {
    uint8_t end[INQUIRY_REQUEST_BYTES + 32 + 4];
    memcpy(end, p->request, INQUIRY_REQUEST_BYTES);
    int rc = subject_export(s, p, out, end + INQUIRY_REQUEST_BYTES, ret_count);
    const int flushed = out_flush(out);
    rc = rc ? rc : flushed;
    if (!rc && out->fd != STDOUT_FILENO && fsync(out->fd))
        rc = ERR_IO;
    put_u32(end + INQUIRY_REQUEST_BYTES + 32, *ret_count);
    return rc ? rc : remote_vault(s->remote, MSG_EXPORTED, end, sizeof end, receipt_take, receipt);
}

/* The export goes to a file that nobody had before, readable by its owner. */
static int export_to(struct subject_ask *s, const struct subject_person *p, const char *path) {
    struct out out;
    struct receipt receipt;
    uint32_t count = 0;
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return cli_fail(CLI_USAGE, "name a file that does not exist yet", "cannot make %s: %s", path,
                        strerror(errno));
    receipt_init(&receipt);
    out_to(&out, fd);
    int rc = export_signed(s, p, &out, &count, &receipt);
    out_finish(&out);
    close(fd);
    if (!rc)
        rc = receipt_write(path, "export", &receipt);
    receipt_done(&receipt);
    if (rc) {
        unlink(path);
        return fail(s, rc);
    }
    if (s->json)
        return cli_print_json(json_pack("{s:s, s:I}", "file", path, "interactions",
                                        (json_int_t)count))
                   ? CLI_DONE
                   : CLI_INCOMPLETE;
    printf("%u interactions in %s, signed in %s.receipt\n", count, path, path);
    return CLI_DONE;
}

/* To standard output: the receipt is the last line, which it does not speak of. */
static int export_out(struct subject_ask *s, const struct subject_person *p) {
    struct out out;
    struct receipt receipt;
    uint32_t count = 0;
    receipt_init(&receipt);
    out_init(&out);
    int rc = export_signed(s, p, &out, &count, &receipt);
    out_finish(&out);
    json_t *line = rc ? NULL : json_pack("{s:s}", "type", "receipt");
    json_t *o = rc ? NULL : receipt_object("export", &receipt);
    const bool printed = line && o && !json_object_update(line, o) && cli_print_json(json_incref(line));
    json_decref(line);
    json_decref(o);
    receipt_done(&receipt);
    return rc ? fail(s, rc) : printed ? CLI_DONE : cli_fail(CLI_INCOMPLETE, NULL, "it could not be written");
}

static int export(struct subject_ask *s, const char *path, struct subject_answer *a) {
    if (!path)
        return cli_fail(CLI_USAGE, "say where: --output FILE", "an export goes to a file");
    int rc = subject_ask(s, INQUIRY_EXPORT, a);
    return rc                    ? fail(s, rc)
           : !strcmp(path, "-") ? export_out(s, &a->at[0])
                                : export_to(s, &a->at[0], path);
}

/* ---- a new generation now ---- */

static int renew(struct subject_ask *s) {
    int rc = remote_vault(s->remote, MSG_RENEW, NULL, 0, NULL, NULL);
    return rc ? fail(s, rc) : CLI_DONE;
}

/* ---- the command ---- */

static const char *const verbs[] = {"find", "export", "erase", "hold", "release", NULL};

static int run(struct subject_ask *s, int verb, const char *path, bool now) {
    struct subject_answer *a = calloc(1, sizeof *a);
    int rc = a ? remote_new(&s->remote, s->dir, s->reason) : ERR_NOMEM;
    if (rc) {
        free(a);
        return cli_fail_err(rc, NULL, "starting");
    }
    read_harden();
    if (s->session.there)
        remote_session(s->remote, s->session.token);
    int code = verb == 0   ? find(s, a)
               : verb == 1 ? export(s, path, a)
               : verb == 2 ? erase(s, a)
               : verb == 3 ? hold(s, INQUIRY_HOLD, a)
                           : hold(s, INQUIRY_RELEASE, a);
    if (code == CLI_DONE && now)
        code = renew(s);
    subject_answer_free(a);
    remote_free(s->remote);
    return code;
}

int cli_subject(int argc, char **argv) {
    static const struct cli_usage usage = {
        "safehouse subject find|export|erase|hold|release NAME [--dir D] [--project P] [--json]",
        "One person of the log, by the name that requests carry, or an API key (--key ID as NAME).\n"
        "find says who it is; export writes everything to a file, with who read it, signed; erase\n"
        "destroys the keys, for good, and prints a receipt; hold keeps a person from being erased\n"
        "and from retention, until release. All but find need a reason, which goes into the ledger."};
    struct subject_ask s = {.dir = CLI_DIR_DEFAULT};
    const char *path = NULL;
    bool now = false;
    const struct cli_option options[] = {
        {"--dir", "D", .text = &s.dir, .help = CLI_DIR_HELP},
        {"--project", "P", .text = &s.project, .help = "only in this project"},
        {"--key", NULL, .flag = &s.key, .help = "NAME is an API key's id"},
        {"--reason", "TEXT", .text = &s.reason, .help = "why; it goes into the ledger"},
        {"--output", "FILE", .text = &path, .help = "of export: the file that is made; -: standard output"},
        CLI_SESSION_OPTION(s.session),
        {"--now", NULL, .flag = &now, .help = "of erase: make the new generation of keys at once"},
        {"--json", NULL, .flag = &s.json, .help = "one object a line"},
        {0}};
    int verb = 0, code = cli_parse(&usage, options, argc, argv, 2, 2, NULL);
    if (code == CLI_GO)
        code = cli_choose(argv[1], verbs, "command subject", "find, export, erase, hold or release",
                          &verb);
    if (code != CLI_GO)
        return code;
    s.name = argv[2];
    if (verb)
        code = read_check_reason(s.reason);
    if (code == CLI_GO)
        code = cli_need_installation(s.dir);
    if (code == CLI_GO)
        code = session_load(s.dir, &s.session);
    if (code == CLI_GO)
        code = run(&s, verb, path, now);
    session_wipe(&s.session);
    return code;
}
