/*
 * `safehouse approve`: what waits for a second person, and that person's yes or no. A digest names
 * exactly one request: who, why and which cells, or which grant to whom.
 */
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"
#include "proc/cli/session.h"

#define DIGEST_BYTES 32
#define PREFIX_MIN 8

static const char *text_of(const json_t *o, const char *name) {
    const char *s = json_string_value(json_object_get(o, name));
    return s ? s : "";
}

static void print_one(const json_t *o) {
    const json_t *g = json_object_get(o, "grant"), *p;
    size_t i;
    printf("%s\n", text_of(o, "digest"));
    if (!g) {
        printf("  %s asks to open %lld cells, because: %s\n", text_of(o, "by"),
               (long long)json_integer_value(json_object_get(o, "cells")), text_of(o, "reason"));
        if (*text_of(o, "query"))
            printf("  by its own account from: %s\n", text_of(o, "query"));
        return;
    }
    printf("  %s wants %s to be %s in", text_of(o, "by"), text_of(o, "person"), text_of(g, "role"));
    json_array_foreach(json_object_get(g, "projects"), i, p)
        printf("%s %s", i ? "," : "", json_string_value(p));
    if (json_object_get(g, "cells_per_hour"))
        printf(", %lld cells an hour",
               (long long)json_integer_value(json_object_get(g, "cells_per_hour")));
    printf("\n");
    if (strcmp(text_of(o, "password"), "own") != 0)
        printf("  this person's password was %s\n", text_of(o, "password"));
}

struct find {
    const char *prefix; /* NULL: all are printed */
    bool json;
    unsigned found;
    char digest[2 * DIGEST_BYTES + 1];
};

static int look(void *arg, json_t *o) {
    struct find *f = arg;
    const char *digest = text_of(o, "digest");
    if (!f->prefix) {
        f->found++;
        if (f->json)
            return cli_print_json(json_incref(o)) ? CLI_GO : CLI_INTERNAL;
        print_one(o);
    } else if (strncmp(digest, f->prefix, strlen(f->prefix)) == 0) {
        f->found++;
        snprintf(f->digest, sizeof f->digest, "%s", digest);
    }
    return CLI_GO;
}

/* The digest from its beginning. CLI_GO, or the exit code. */
static int find(const char *dir, const struct cli_session *s, const char *word, uint8_t out[DIGEST_BYTES]) {
    struct find f = {.prefix = word};
    if (hex_decode(out, DIGEST_BYTES, word, strlen(word)))
        return CLI_GO;
    if (strlen(word) < PREFIX_MIN || strspn(word, "0123456789abcdef") != strlen(word))
        return cli_fail(CLI_USAGE, "safehouse approve lists what waits", "%.70s is no digest", word);
    int code = session_objects(dir, s, MSG_PENDING, look, &f);
    if (code != CLI_GO)
        return code;
    if (f.found != 1 || !hex_decode(out, DIGEST_BYTES, f.digest, strlen(f.digest)))
        return cli_fail(CLI_USAGE, "safehouse approve lists what waits",
                        f.found ? "more than one digest begins with %s" : "nothing waits under %s", word);
    return CLI_GO;
}

static int list(const char *dir, const struct cli_session *s, bool json) {
    struct find f = {.json = json};
    int code = session_objects(dir, s, MSG_PENDING, look, &f);
    if (code != CLI_GO)
        return code;
    if (!f.found && !json)
        printf("nothing waits for a second person\n");
    return CLI_DONE;
}

int cli_approve(int argc, char **argv) {
    static const struct cli_usage usage = {
        "safehouse approve [DIGEST] [--refuse] [--dir D] [--token-file F] [--json]",
        "Approves what another person asked for: opening many cells (a reader or an admin may), or a role "
        "that\n"
        "an admin wants to give (another admin may). DIGEST, or its beginning, is what he was told. An "
        "approved\n"
        "opening passes once, within an hour. Without DIGEST: lists what waits."};
    const char *dir = CLI_DIR_DEFAULT;
    struct cli_session s = {0};
    bool refuse = false, json = false;
    uint8_t payload[1 + DIGEST_BYTES];
    int words;
    const struct cli_option options[] = {
        {"--dir", "D", .text = &dir, .help = CLI_DIR_HELP},
        {"--refuse", NULL, .flag = &refuse, .help = "it ends unapproved"},
        CLI_SESSION_OPTION(s),
        {"--json", NULL, .flag = &json, .help = "one object a line"},
        {0}};
    int code = cli_parse(&usage, options, argc, argv, 0, 1, &words);
    if (code == CLI_GO && refuse && !words)
        code = cli_fail(CLI_USAGE, "safehouse approve lists what waits", "--refuse needs a digest");
    if (code == CLI_GO)
        code = session_load(dir, &s);
    if (code != CLI_GO)
        return code;
    if (!words) {
        code = list(dir, &s, json);
    } else {
        payload[0] = !refuse;
        code = find(dir, &s, argv[1], payload + 1);
        if (code == CLI_GO)
            code = session_ask(dir, &s, MSG_APPROVE, payload, sizeof payload, NULL, NULL, NULL);
        if (code == CLI_GO && !json)
            printf(refuse ? "refused\n" : "approved\n");
        if (code == CLI_GO)
            code = json ? cli_print_json(json_pack("{s:b}", "approved", !refuse)) ? CLI_DONE : CLI_INTERNAL
                        : CLI_DONE;
    }
    session_wipe(&s);
    return code;
}
