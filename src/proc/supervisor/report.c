/* What the supervisor says of itself: to `safehouse status` as JSON, and on standard output when
 * everything runs. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "proc/supervisor/checks.h"
#include "proc/supervisor/supervisor_int.h"

#define WORKERS_SHOWN 256

static const char *state_word(const struct supervisor *s, const struct program *p) {
    static const char *const words[] = {"unused", "starting", "running", "restarting", "stopped"};
    if (p->id == PROGRAM_GATEWAY && p->state == STATE_RUNNING &&
        gateway_workers(s, false, NULL, 0) < s->master.workers)
        return "starting"; /* the master replaces a worker */
    return words[p->state];
}

static json_t *program(const struct supervisor *s, const struct program *p) {
    return json_pack("{s:s, s:i, s:s, s:I, s:i, s:b}", "name", program_name(p->id), "pid",
                     (int)p->pid, "state", state_word(s, p), "restarts", (json_int_t)p->restarts,
                     "landlock", (int)p->landlock, "seccomp", (int)p->seccomp);
}

/* A number from /proc/PID/status; -1 when it is not there. */
static int status_field(pid_t pid, const char *name) {
    char path[64], line[256];
    int value = -1;
    size_t n = strlen(name);
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, name, n) == 0 && line[n] == ':' &&
            sscanf(line + n + 1, "%d", &value) == 1)
            break;
    if (f)
        fclose(f);
    return value;
}

/* As the kernel says it, not as the workers do. */
static json_t *workers(const struct supervisor *s) {
    pid_t pids[WORKERS_SHOWN];
    json_t *list = json_array();
    unsigned n = gateway_workers(s, false, pids, WORKERS_SHOWN);
    for (unsigned i = 0; i < n && i < WORKERS_SHOWN; i++)
        json_array_append_new(list, json_pack("{s:i, s:i, s:i}", "pid", (int)pids[i], "seccomp",
                                              status_field(pids[i], "Seccomp"), "no_new_privs",
                                              status_field(pids[i], "NoNewPrivs")));
    return list;
}

static json_t *ring(const struct supervisor *s) {
    const struct usage *u = &s->usage;
    uint64_t now = clock_mono_ns();
    if (!s->usage_ns)
        return json_null();
    uint64_t lag_ms =
        u->oldest_ready_ns && now > u->oldest_ready_ns ? (now - u->oldest_ready_ns) / MS : 0;
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "slots", (json_int_t)u->slots,
                     "slots_used", (json_int_t)u->slots_used, "bytes", (json_int_t)u->bytes,
                     "bytes_used", (json_int_t)u->bytes_used, "admitted", (json_int_t)u->admitted,
                     "refused", (json_int_t)u->refused, "cut", (json_int_t)u->cut, "lag_ms",
                     (json_int_t)lag_ms, "age_ms", (json_int_t)((now - s->usage_ns) / MS));
}

static json_t *spool(const struct supervisor *s) {
    if (!s->usage_ns)
        return json_null();
    return json_pack("{s:I, s:s?}", "batches", (json_int_t)s->usage.batches, "trouble",
                     s->usage.disk ? err_text(s->usage.disk) : NULL);
}

static json_t *gateway(const struct supervisor *s) {
    char listen[ADDRESS_TEXT];
    address_format(s->spec->listen, listen);
    return json_pack("{s:s?, s:s, s:b, s:o, s:i}", "listen", own_nginx(s) ? NULL : listen, "nginx",
                     own_nginx(s) ? "own" : "started", "tls", s->tls.certificate_fd >= 0,
                     "workers", workers(s), "leaving_workers",
                     (int)gateway_workers(s, true, NULL, 0));
}

/* The one provider that was chosen; null when the configuration has providers. */
static json_t *upstream(const struct supervisor *s) {
    const struct upstream *u = &s->settings->upstream;
    if (!u->chosen)
        return json_null();
    return json_pack("{s:s, s:s, s:b, s:s}", "name", u->name, "url", u->url, "demo", (int)u->demo,
                     "chosen", u->chosen);
}

/* Those from outside that nobody has answered. */
static json_t *reports(const struct supervisor *s) {
    const uint64_t now = clock_wall_us();
    return json_pack("{s:b, s:i, s:I, s:i}", "enabled", (int)s->settings->config->reports.enabled,
                     "waiting", (int)s->reports, "oldest_s",
                     (json_int_t)(s->report_us && now > s->report_us ? (now - s->report_us) / 1000000u
                                                                     : 0),
                     "remind_days", (int)s->settings->config->reports.remind_days);
}

json_t *report(const struct supervisor *s) {
    const struct supervisor_spec *spec = s->spec;
    json_t *programs = json_array();
    for (int i = 0; i < PROGRAMS; i++)
        if (s->programs[i].state != STATE_UNUSED)
            json_array_append_new(programs, program(s, &s->programs[i]));
    return json_pack(
        "{s:o, s:s, s:s, s:i, s:b, s:o, s:o, s:o, s:o, s:I, s:o, s:o, s:o, s:o, s:o}", "programs", programs,
        "users", spec->install->separate ? "separate" : "one", "sandbox",
        s->settings->config->sandbox == CONFIG_LENIENT ? "best-effort" : "required", "landlock",
        (int)checks_landlock(), "memory_locked", (int)checks_may_lock(), "upstream", upstream(s),
        "gateway", gateway(s), "ring", ring(s), "spool", spool(s), "keys", (json_int_t)s->keys,
        "providers", accounts_providers(s), "limits_file", accounts_limits_file(s), "configuration",
        accounts_configuration(s), "reports", reports(s), "alarms", alarms_report(s));
}

static const char *vault_words(const struct supervisor *s) {
    switch (s->lock) {
    case VAULT_UNLOCKED:
        return "unlocked";
    case VAULT_WRONG_PASSPHRASE:
        return "locked: the passphrase is wrong";
    default:
        return "locked";
    }
}

static void print_providers(const struct config *c) {
    for (size_t i = 0; i < c->providers.count; i++) {
        struct upstream u;
        struct why why;
        const struct config_provider *p = &c->providers.at[i];
        printf("provider  %s, %s\n", p->name, p->url);
        if (upstream_parse(p->url, &u, &why) == 0 && !u.tls && !u.loopback)
            printf("          without TLS: prompts and its key go over the network in clear\n");
    }
    printf("routes    %zu\n", c->routes.count);
}

void report_ready(const struct supervisor *s) {
    const struct supervisor_spec *spec = s->spec;
    const struct upstream *u = &s->settings->upstream;
    const char *dir = spec->install->dir;
    char listen[ADDRESS_TEXT];
    address_format(spec->listen, listen);
    if (own_nginx(s))
        printf("gateway   waits for your nginx: safehouse attach --dir %s -- nginx ...\n", dir);
    else
        printf("gateway   %s://%s, %u workers\n", s->tls.certificate_fd >= 0 ? "https" : "http",
               listen, s->master.workers);
    if (spec->console) {
        address_format(spec->console, listen);
        printf("console   %s://%s\n", s->tls.certificate_fd >= 0 ? "https" : "http", listen);
    }
    if (u->chosen)
        printf("upstream  %s, %s (%s)\n", u->name, u->url, u->chosen);
    if (u->chosen && !u->demo && !u->tls && !u->loopback)
        printf(
            "          without TLS: prompts and the provider's key go over the network in clear\n");
    if (!u->chosen)
        print_providers(s->settings->config);
    printf("vault     %s\n", vault_words(s));
    if (s->lock != VAULT_UNLOCKED)
        printf("          logging goes on, nobody can read; unlock it with: safehouse unlock --dir "
               "%s\n",
               dir);
    if (checks_landlock())
        printf("sandbox   Landlock %u, seccomp\n", checks_landlock());
    else
        printf("sandbox   seccomp only: this kernel has no Landlock (sandbox: best-effort)\n");
    if (!checks_may_lock())
        printf("memory    not locked: this user may not (memlock limit); %s\n",
               s->settings->config->unencrypted_swap == CONFIG_LENIENT
                   ? "plaintext could reach unencrypted swap"
                   : "there is no unencrypted swap that it could reach");
    printf("users     %s\n",
           spec->install->separate
               ? "one for each program"
               : "one for all programs, which is weaker; run init as root to separate them");
    if (!s->keys)
        printf("keys      none yet; make one with: safehouse key create --dir %s\n", dir);
    fflush(stdout);
}
