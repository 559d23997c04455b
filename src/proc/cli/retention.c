/*
 * `safehouse retention run`: has the supervisor let go of the months that the configuration does not
 * keep any longer, or says which they are. It does so by itself once a day.
 */
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"
#include "proc/cli/cli.h"

#define ANSWER_MS 600000

struct run {
    const char *dir;
    bool dry, json;
    unsigned months;
};

static void print(struct run *r, const struct frame *f) {
    json_t *o = json_loadb((const char *)f->p, f->len, 0, NULL);
    if (!o)
        return;
    r->months++;
    if (r->json) {
        cli_print_json(o);
        return;
    }
    printf("%-12s %lld  %lld rows%s", json_string_value(json_object_get(o, "table")),
           json_integer_value(json_object_get(o, "month")),
           json_integer_value(json_object_get(o, "rows")),
           r->dry ? " would go" : " gone");
    if (json_integer_value(json_object_get(o, "held")))
        printf(", %lld of held persons kept", json_integer_value(json_object_get(o, "held")));
    printf("\n");
    json_decref(o);
}

static int wait_for_end(struct run *r, struct peer *p) {
    struct frame f;
    int rc;
    while ((rc = peer_recv_wait(p, &f, ANSWER_MS)) == 0 && f.msg == MSG_STATUS_IS)
        print(r, &f);
    if (rc || f.msg != MSG_END || f.len < 4)
        return cli_fail(CLI_INCOMPLETE, NULL, "safehouse up did not say how it went");
    rc = (int)(int32_t)get_u32(f.p);
    if (rc)
        return cli_fail(err_retryable(rc) ? CLI_INCOMPLETE : CLI_INTERNAL, NULL, "%.*s",
                        (int)(f.len - 4), (const char *)f.p + 4);
    if (!r->months && !r->json)
        printf("no month is over\n");
    return CLI_DONE;
}

int cli_retention(int argc, char **argv) {
    static const struct cli_usage usage = {
        "safehouse retention run [--dir D] [--dry-run] [--json]",
        "Drops the months of content and of metadata that are older than the configuration's\n"
        "retention says, as safehouse up does once a day. The ledger has it before; rows of persons\n"
        "who are held are kept."};
    struct run r = {.dir = CLI_DIR_DEFAULT};
    const struct cli_option options[] = {
        {"--dir", "D", .text = &r.dir, .help = CLI_DIR_HELP},
        {"--dry-run", NULL, .flag = &r.dry, .help = "only say which months would go"},
        {"--json", NULL, .flag = &r.json, .help = "one object a line"},
        {0}};
    struct peer *p = NULL;
    int code = cli_parse(&usage, options, argc, argv, 1, 1, NULL);
    if (code == CLI_GO && strcmp(argv[1], "run") != 0)
        code = cli_fail(CLI_USAGE, "did you mean run?", "there is no command retention %.60s", argv[1]);
    if (code == CLI_GO)
        code = cli_need_installation(r.dir);
    if (code == CLI_GO)
        code = cli_connect(r.dir, "control", IPC_SUPERVISOR, &p);
    if (code != CLI_GO)
        return code;
    const uint8_t dry = r.dry;
    int rc = peer_send(p, MSG_RETAIN, &dry, 1, -1);
    code = rc ? cli_fail_err(rc, NULL, "asking safehouse up") : wait_for_end(&r, p);
    peer_free(p);
    return code;
}
