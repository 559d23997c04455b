/*
 * `safehouse status`: asks the supervisor and the vault, and prints what they say, for people with
 * a sentence for each thing that is not as it should be. Exit code 3 when something does not run.
 * With --limits: what each key and project used, beside what it may.
 */
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/err.h"
#include "control/limits.h"
#include "control/money.h"
#include "ipc/dial/dial.h"
#include "proc/cli/cli.h"

#define ANSWER_MS 5000  /* of the supervisor */
#define VAULT_MS 500    /* of the vault: while it tries a passphrase it does nothing else */
#define LAG_MS 5000     /* of the sealer: more is worth a sentence */
#define BATCHES 30      /* in the spool: the same */
#define FULL_PERCENT 80 /* of the ring */

/* MSG_STATUS to a program: its object, or NULL. `ret` gets ERR_* of the transport or of its END. */
static json_t *ask(struct peer *p, int timeout_ms, int *ret) {
    struct frame f;
    char text[512];
    json_t *o = NULL;
    *ret = peer_send(p, MSG_STATUS, NULL, 0, -1);
    if (!*ret)
        *ret = peer_flush_wait(p, timeout_ms);
    if (!*ret)
        *ret = peer_recv_wait(p, &f, timeout_ms);
    if (*ret)
        return NULL;
    if (f.msg == MSG_END && f.len >= 4) {
        int code = (int32_t)get_u32(f.p);
        *ret = code ? code : ERR_PEER;
        return NULL;
    }
    if (f.msg == MSG_STATUS_IS)
        o = json_loadb((const char *)f.p, f.len, 0, NULL);
    *ret = json_is_object(o) ? cli_wait_end(p, timeout_ms, text, sizeof text) : ERR_PEER;
    if (*ret) {
        json_decref(o);
        o = NULL;
    }
    return o;
}

static int ask_supervisor(const char *dir, json_t **ret) {
    struct peer *p;
    int rc, code = cli_connect(dir, "control", IPC_SUPERVISOR, &p);
    if (code != CLI_GO)
        return code;
    *ret = ask(p, ANSWER_MS, &rc);
    peer_free(p);
    return *ret ? CLI_GO : cli_fail_err(rc, NULL, "asking the supervisor");
}

/* ---- reading the objects: a field that is missing is empty or zero ---- */

static const char *text_of(const json_t *o, const char *name) {
    const char *s = json_string_value(json_object_get(o, name));
    return s ? s : "";
}
static long long number_of(const json_t *o, const char *name) {
    return (long long)json_integer_value(json_object_get(o, name));
}
static bool flag_of(const json_t *o, const char *name) {
    return json_is_true(json_object_get(o, name));
}

/* Does this program run, or (name NULL) do all? */
static bool is_running(const json_t *status, const char *name) {
    const json_t *programs = json_object_get(status, "programs"), *p;
    size_t i;
    bool running = json_array_size(programs) > 0;
    json_array_foreach(programs, i, p) {
        if (!name || strcmp(text_of(p, "name"), name) == 0)
            running = running && strcmp(text_of(p, "state"), "running") == 0;
    }
    return running;
}

/* Its object, or null: when it does not run there is nobody to ask. */
static json_t *ask_vault(const char *dir, const json_t *status) {
    struct peer *p;
    int rc;
    if (!is_running(status, "vault") || dial(dir, "vault", IPC_VAULT, &p))
        return json_null();
    json_t *o = ask(p, VAULT_MS, &rc);
    peer_free(p);
    return o ? o : json_null();
}

int status_ask(const char *dir, json_t **ret) {
    int code = ask_supervisor(dir, ret);
    if (code == CLI_GO)
        json_object_set_new(*ret, "vault", ask_vault(dir, *ret));
    return code;
}

/* ---- for people ---- */

static void print_programs(const json_t *status) {
    const json_t *p;
    size_t i;
    printf("%-10s  %-10s  %8s  %8s  %s\n", "PROGRAM", "STATE", "PID", "RESTARTS", "SANDBOX");
    json_array_foreach(json_object_get(status, "programs"), i, p) {
        char landlock[32] = "no Landlock";
        if (number_of(p, "landlock"))
            snprintf(landlock, sizeof landlock, "Landlock %lld", number_of(p, "landlock"));
        printf("%-10s  %-10s  %8lld  %8lld  %s, %s\n", text_of(p, "name"), text_of(p, "state"),
               number_of(p, "pid"), number_of(p, "restarts"), landlock,
               flag_of(p, "seccomp") ? "seccomp" : "no seccomp");
    }
}

/* ---- providers and limits ---- */

static void print_key(const json_t *key) {
    printf("  key       %s: %s", text_of(key, "from"), text_of(key, "state"));
    if (number_of(key, "status"))
        printf(", it was answered %lld", number_of(key, "status"));
    if (number_of(key, "for_ms"))
        printf(", rests for %lld s", number_of(key, "for_ms") / 1000 + 1);
    printf("\n");
}

static void print_providers(const json_t *status) {
    const json_t *p, *key;
    size_t i, k;
    json_array_foreach(json_object_get(status, "providers"), i, p) {
        printf("provider  %s, %s: %s, %lld in flight", text_of(p, "name"), text_of(p, "url"),
               text_of(p, "state"), number_of(p, "in_flight"));
        if (number_of(p, "max_concurrency"))
            printf(" of %lld", number_of(p, "max_concurrency"));
        if (number_of(p, "ejected_for_ms"))
            printf(", passed over for %lld s", number_of(p, "ejected_for_ms") / 1000 + 1);
        printf("\n");
        json_array_foreach(json_object_get(p, "keys"), k, key) print_key(key);
    }
}

static void print_configuration(const json_t *status) {
    const json_t *c = json_object_get(status, "configuration");
    char when[CLOCK_UTC];
    clock_utc(when, (uint64_t)number_of(c, "read_us"));
    printf("config    %s, read %s, %lld routes, version %lld in force\n",
           *text_of(c, "file") ? text_of(c, "file") : "no file", when, number_of(c, "routes"),
           number_of(c, "version"));
}

/* "12", "12 of 600"; money as a decimal. */
static void print_used(const json_t *o, const struct limits_field *f) {
    long long used = number_of(json_object_get(o, "used"), f->name),
              limit = number_of(json_object_get(o, "limits"), f->name);
    char of_used[MONEY_TEXT], of_limit[MONEY_TEXT];
    if (!used && !limit)
        return;
    snprintf(of_used, sizeof of_used, "%lld", used);
    snprintf(of_limit, sizeof of_limit, "%lld", limit);
    if (f->money) {
        money_format(of_used, (uint64_t)used);
        money_format(of_limit, (uint64_t)limit);
    }
    printf("  %-20s %s%s%s\n", f->name, of_used, limit ? " of " : "", limit ? of_limit : "");
}

static void print_usage(const json_t *o) {
    bool key = strcmp(text_of(o, "kind"), "key") == 0;
    printf("%s %s%s%s\n", text_of(o, "kind"), text_of(o, "name"), key ? ", project " : "",
           key ? text_of(o, "project") : "");
    for (size_t i = 0; i < LIMITS_FIELDS; i++)
        print_used(o, &limits_fields[i]);
}

/* One object a frame, then END. */
static int show_usage(const char *dir, bool json) {
    struct peer *p;
    struct frame f;
    int code = cli_connect(dir, "control", IPC_SUPERVISOR, &p);
    if (code != CLI_GO)
        return code;
    int rc = peer_send(p, MSG_LIMITS, NULL, 0, -1);
    if (!rc)
        rc = peer_flush_wait(p, ANSWER_MS);
    while (!rc && (rc = peer_recv_wait(p, &f, ANSWER_MS)) == 0 && f.msg == MSG_STATUS_IS) {
        json_t *o = json_loadb((const char *)f.p, f.len, 0, NULL);
        if (!o)
            rc = ERR_PEER;
        else if (json && !cli_print_json(json_incref(o)))
            rc = ERR_IO;
        else if (!json)
            print_usage(o);
        json_decref(o);
    }
    if (!rc)
        rc = f.msg == MSG_END && f.len >= 4 ? (int32_t)get_u32(f.p) : ERR_PEER;
    peer_free(p);
    return rc ? cli_fail_err(rc, NULL, "asking the supervisor") : CLI_DONE;
}

/* ---- all of it ---- */

static void print_facts(const json_t *status) {
    const json_t *upstream = json_object_get(status, "upstream"),
                 *ring = json_object_get(status, "ring");
    const json_t *gateway = json_object_get(status, "gateway"),
                 *vault = json_object_get(status, "vault");
    const json_t *spool = json_object_get(status, "spool");
    bool own = strcmp(text_of(gateway, "nginx"), "own") == 0;
    printf("\ngateway   %s%s, %zu workers", own ? "your nginx" : text_of(gateway, "listen"),
           flag_of(gateway, "tls") ? " with TLS" : "",
           json_array_size(json_object_get(gateway, "workers")));
    if (number_of(gateway, "leaving_workers"))
        printf(", and %lld earlier ones that end with their streams",
               number_of(gateway, "leaving_workers"));
    printf("\n");
    if (json_is_object(upstream))
        printf("upstream  %s, %s (%s)\n", text_of(upstream, "name"), text_of(upstream, "url"),
               text_of(upstream, "chosen"));
    print_providers(status);
    print_configuration(status);
    printf("keys      %lld\n", number_of(status, "keys"));
    if (json_is_object(ring))
        printf(
            "ring      %lld of %lld MiB, %lld exchanges in it, %lld admitted, %lld refused, %lld "
            "cut, oldest %lld ms\n",
            number_of(ring, "bytes_used") >> 20, number_of(ring, "bytes") >> 20,
            number_of(ring, "slots_used"), number_of(ring, "admitted"), number_of(ring, "refused"),
            number_of(ring, "cut"), number_of(ring, "lag_ms"));
    if (json_is_object(spool))
        printf("spool     %lld batches waiting\n", number_of(spool, "batches"));
    if (json_is_object(vault))
        printf("vault     %s\n", flag_of(vault, "locked") ? "locked" : "unlocked");
    else if (is_running(status, "vault"))
        printf("vault     busy: it tries a passphrase\n");
    if (flag_of(vault, "one_person_mode"))
        printf("people    one-person mode: the owner alone may do everything\n");
    printf("users     %s\n", strcmp(text_of(status, "users"), "separate") == 0
                                 ? "one for each program"
                                 : "one for all programs");
}

static void print_vault_problems(const json_t *vault, const char *dir) {
    const json_t *replica;
    const char *ledger = text_of(vault, "ledger");
    size_t i;
    if (flag_of(vault, "locked"))
        printf(
            "! the vault is locked: logging goes on, nobody can read; safehouse unlock --dir %s\n",
            dir);
    if (*ledger && strcmp(ledger, "ok") != 0)
        printf("! the vault's ledger is %s: nothing can be opened, batches wait in the spool\n",
               ledger);
    if (json_is_object(vault) && !flag_of(vault, "locked")) {
        if (json_is_null(json_object_get(vault, "one_person_mode")))
            printf("! the vault cannot read its people, so nobody may do anything: see its log\n");
        if (json_is_false(json_object_get(vault, "passwords")))
            printf("! nobody can sign in with a password until the vault is restarted\n");
    }
    json_array_foreach(json_object_get(vault, "replicas"), i, replica) {
        const char *state = json_string_value(replica);
        if (state && strcmp(state, "current") != 0)
            printf("! replica %zu of the vault's keys is %s\n", i + 1, state);
    }
}

static void print_provider_problems(const json_t *status) {
    const json_t *p, *key;
    size_t i, k;
    json_array_foreach(json_object_get(status, "providers"), i, p) {
        if (number_of(p, "ejected_for_ms"))
            printf("! provider %s failed %lld times in a row and is passed over; it is tried again "
                   "by itself\n",
                   text_of(p, "name"), number_of(p, "failures"));
        json_array_foreach(json_object_get(p, "keys"), k, key) {
            if (strcmp(text_of(key, "state"), "out") == 0)
                printf("! the key of %s from %s is not used any more: the provider answered %lld "
                       "(%s); then: safehouse reload\n",
                       text_of(p, "name"), text_of(key, "from"), number_of(key, "status"),
                       number_of(key, "status") == 402 ? "no balance: top the account up"
                                                       : "not valid: put another key there");
        }
    }
}

static void print_control_problems(const json_t *status) {
    const json_t *file = json_object_get(status, "limits_file");
    const json_t *last = json_object_get(json_object_get(status, "configuration"), "last_reload");
    if (flag_of(file, "set_aside"))
        printf("! what keys had used was damaged and counts anew; the old file is "
               "control/usage.bin.damaged (%lld times so far)\n",
               number_of(file, "set_aside_ever"));
    if (number_of(file, "dropped"))
        printf("! %lld damaged entries of keys or projects count anew\n",
               number_of(file, "dropped"));
    if (*text_of(file, "trouble"))
        printf("! what keys use is not written to disk: %s; free some room\n",
               text_of(file, "trouble"));
    if (json_is_object(last) && !flag_of(last, "ok"))
        printf("! the last reload changed nothing: %s\n", text_of(last, "text"));
}

/* Sooner than the reminders: whoever looks here is a person who may answer. */
static void print_reports(const json_t *status, const char *dir) {
    const json_t *r = json_object_get(status, "reports");
    if (number_of(r, "waiting"))
        printf("! %lld reports from outside wait for an answer, the oldest for %lld h; safehouse "
               "inbox list --dir %s\n",
               number_of(r, "waiting"), number_of(r, "oldest_s") / 3600, dir);
}

static void print_alarms(const json_t *a, const char *dir) {
    char when[CLOCK_UTC];
    clock_utc(when, (uint64_t)number_of(a, "last_us"));
    if (number_of(a, "canaries_opened"))
        printf("! planted conversations were opened, %lld times since the start, last at %s; who it was: safehouse "
               "report breach --since 24h --dir %s\n",
               number_of(a, "canaries_opened"), when, dir);
    if (strcmp(text_of(a, "webhook"), "failing") == 0)
        printf("! the webhook does not take the alarms, %lld wait: look at alarms.webhook_file\n",
               number_of(a, "waiting"));
}

static void print_problems(const json_t *status, const char *dir) {
    const json_t *ring = json_object_get(status, "ring"), *spool = json_object_get(status, "spool"),
                 *gateway = json_object_get(status, "gateway"), *p;
    size_t i;
    json_array_foreach(json_object_get(status, "programs"), i, p) {
        if (strcmp(text_of(p, "state"), "running") != 0)
            printf("! the %s is %s\n", text_of(p, "name"), text_of(p, "state"));
    }
    if (strcmp(text_of(gateway, "nginx"), "own") == 0 &&
        !json_array_size(json_object_get(gateway, "workers")))
        printf("! no nginx is attached: safehouse attach --dir %s -- nginx ...\n", dir);
    if (json_is_object(ring) &&
        number_of(ring, "bytes_used") > number_of(ring, "bytes") / 100 * FULL_PERCENT)
        printf("! the ring is nearly full: soon clients get 503; the sealer does not keep up\n");
    if (number_of(ring, "lag_ms") > LAG_MS)
        printf("! the oldest exchange waits for %lld ms to be sealed\n", number_of(ring, "lag_ms"));
    if (number_of(spool, "batches") > BATCHES)
        printf("! %lld batches wait in the spool: store or vault do not take them\n",
               number_of(spool, "batches"));
    if (*text_of(spool, "trouble"))
        printf("! the spool cannot be written: %s; free some room\n", text_of(spool, "trouble"));
    print_vault_problems(json_object_get(status, "vault"), dir);
    print_provider_problems(status);
    print_control_problems(status);
    print_reports(status, dir);
    print_alarms(json_object_get(status, "alarms"), dir);
    if (flag_of(json_object_get(status, "upstream"), "demo"))
        printf("! the upstream is the demo, which is not a model; name one with --upstream\n");
    if (strcmp(text_of(status, "users"), "separate") != 0)
        printf("! all programs run as one user, the weaker mode; make the installation as root to "
               "separate them\n");
    if (!flag_of(status, "memory_locked"))
        printf("! memory is not locked, as the memlock limit of this user is too small\n");
    if (number_of(status, "landlock") == 0)
        printf("! this kernel has no Landlock: files are kept apart by their owners alone\n");
}

int cli_status(int argc, char **argv) {
    static const struct cli_usage usage = {"safehouse status [--dir D] [--limits] [--json]",
                                           "Says what runs, how full it is, and whether the vault "
                                           "is locked. Exit code 3 when something\n"
                                           "does not run."};
    const char *dir = CLI_DIR_DEFAULT;
    bool json = false, limits = false;
    const struct cli_option options[] = {
        {"--dir", "D", .text = &dir, .help = CLI_DIR_HELP},
        {"--limits", NULL, .flag = &limits,
         .help = "instead, what each key and project used of what it may"},
        {"--json", NULL, .flag = &json, .help = "one object; with --limits one a line"},
        {0}};
    json_t *status = NULL;
    int code = cli_parse(&usage, options, argc, argv, 0, 0, NULL);
    if (code == CLI_GO && limits)
        return show_usage(dir, json);
    if (code == CLI_GO)
        code = status_ask(dir, &status);
    if (code != CLI_GO)
        return code;
    code = is_running(status, NULL) ? CLI_DONE : CLI_INCOMPLETE;
    if (json)
        return cli_print_json(status) ? code : CLI_INTERNAL;
    print_programs(status);
    print_facts(status);
    print_problems(status, dir);
    json_decref(status);
    return code;
}
