/*
 * `safehouse canary`: planted conversations. A canary is a name under which an application of one's
 * own talks, as it does for anybody, and which is nobody's; the vault raises an alarm when somebody
 * opens what was said.
 */
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"
#include "control/control_db.h"
#include "proc/cli/subject.h"

struct canary_ask {
    const char *dir, *project;
    bool json;
    struct cli_session session;
    int rc;
};

static const char *const verbs[] = {"plant", "list", "remove", NULL};

static json_t *describe(const struct subject_name *n, uint64_t since_us, uint32_t ids) {
    char since[READ_TIME];
    subject_time(since, since_us);
    return json_pack("{s:s, s:s, s:s, s:b}", "name", n->name, "project", n->project, "since", since,
                     "spoke", ids > 0);
}

/* u64 since | u32 ids | the name */
static int show(void *arg, const struct frame *f) {
    const struct canary_ask *c = arg;
    struct subject_name n;
    if (f->msg != MSG_CANARY_IS || f->len < 12 || subject_decode_name(&n, f->p + 12, f->len - 12))
        return cli_fail(CLI_INTERNAL, NULL, "the vault's answer is not understood");
    json_t *o = describe(&n, get_u64(f->p), get_u32(f->p + 8));
    if (c->json)
        return cli_print_json(o) ? CLI_GO : CLI_INCOMPLETE;
    printf("%s, project %s, since %s%s\n", n.name, n.project,
           json_string_value(json_object_get(o, "since")),
           json_is_true(json_object_get(o, "spoke")) ? "" : "; it has not spoken yet");
    json_decref(o);
    return CLI_GO;
}

static int ask(struct canary_ask *c, unsigned verb, const char *name) {
    uint8_t p[1 + SUBJECT_NAME_MAX] = {(uint8_t)verb};
    size_t n = 0;
    if (name)
        n = subject_encode_name(p + 1, SUBJECT_NAME_MAX, CONTROL_TENANT, c->project, SUBJECT_NAMED,
                                name, strlen(name));
    if (name && !n)
        return cli_fail(CLI_USAGE, NULL, "the name is too long");
    int code = session_ask(c->dir, &c->session, MSG_CANARY, p, 1 + n, show, c, &c->rc);
    sodium_memzero(p, sizeof p);
    return code == CLI_GO ? CLI_DONE : code;
}

static int plant(struct canary_ask *c, const char *name) {
    int code = ask(c, 1, name);
    if (code == CLI_DONE && c->json)
        code = cli_print_json(json_pack("{s:s, s:s}", "name", name, "project", c->project))
                   ? CLI_DONE
                   : CLI_INCOMPLETE;
    else if (code == CLI_DONE)
        printf("%s in project %s is a canary now. Have an application talk under that name, with "
               "its ordinary key and\n"
               "model, some time from now: what it says looks like everybody's, and whoever opens "
               "it raises an alarm.\n",
               name, c->project);
    return code;
}

int cli_canary(int argc, char **argv) {
    static const struct cli_usage usage = {
        "safehouse canary plant NAME --project P [--dir D] [--json]\n"
        "       safehouse canary list [--dir D] [--json]\n"
        "       safehouse canary remove NAME --project P [--dir D]",
        "Makes a name that is nobody's a canary: opening any content of it raises an alarm within "
        "a second (log,\n"
        "metric, status, alarms.webhook_file), after the ledger has it. The name is what requests "
        "carry as their user."};
    struct canary_ask c = {.dir = CLI_DIR_DEFAULT};
    const struct cli_option options[] = {
        {"--project", "P", .text = &c.project, .help = "of the application that talks"},
        {"--dir", "D", .text = &c.dir, .help = CLI_DIR_HELP},
        CLI_SESSION_OPTION(c.session),
        {"--json", NULL, .flag = &c.json, .help = "one object a line"},
        {0}};
    int words = 0, verb = 0, code = cli_parse(&usage, options, argc, argv, 1, 2, &words);
    if (code == CLI_GO)
        code = cli_choose(argv[1], verbs, "command canary", "plant, list or remove", &verb);
    if (code != CLI_GO)
        return code;
    if ((words == 2) != (verb != 1) || (verb != 1 && !c.project))
        return cli_fail(CLI_USAGE, "safehouse canary --help tells more", "canary %s needs %s",
                        verbs[verb], verb == 1 ? "no name" : "a name and --project");
    code = session_load(c.dir, &c.session);
    if (code != CLI_GO)
        return code;
    code = verb == 0 ? plant(&c, argv[2]) : ask(&c, (unsigned)verb + 1, verb == 1 ? NULL : argv[2]);
    session_wipe(&c.session);
    return code;
}
