/*
 * The configuration read again while everything runs (supervisor_int.h): on SIGHUP and for
 * `safehouse reload`. All or nothing:
 *
 *   IDLE --read, checked, keys fetched--> STARTING --all new workers serve--> PUBLISHING --> IDLE
 *                                    \--- nginx needs nothing new -----------/     \       /
 *                              the earlier workers take no new connections: LEAVING --/
 *
 * Up to the publication nothing that is in force was touched, so each failure ends in IDLE with
 * what was there before. A new generation of nginx has a snapshot of its own from its start, so that
 * each generation routes to the providers that its nginx knows, as long as both serve. The old one's
 * snapshot gets no later version: it is told to go at once.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "proc/supervisor/checks.h"
#include "proc/supervisor/supervisor_int.h"

#define READY_NS (10000 * MS) /* for new workers to serve */
#define LEAVE_NS (1000 * MS)  /* for the earlier ones to close the listening socket */
#define LOOK_NS (10 * MS)     /* how often that is looked at */

void reload_init(struct supervisor *s) {
    settings_init(&s->reload.settings);
    s->reload.by = UINT32_MAX;
    s->reload.tls = (struct tls_files){-1, -1};
    s->reload.policy_fd = s->reload.snapshot_fd = s->reload.snapshot_reader_fd = -1;
}

void reload_done(struct supervisor *s) {
    gateway_drop_next(s);
    settings_done(&s->reload.settings);
    shared_close_tls(&s->reload.tls);
    int *const fds[] = {&s->reload.policy_fd, &s->reload.snapshot_fd, &s->reload.snapshot_reader_fd};
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        if (*fds[i] >= 0)
            close(*fds[i]);
        *fds[i] = -1;
    }
    s->reload.step = RELOAD_IDLE;
}

/* ---- the end ---- */

static void finish(struct supervisor *s, int rc) {
    struct reload *r = &s->reload;
    reload_done(s);
    r->rc = rc;
    r->ended_us = clock_wall_us();
    log_event("reloaded", LOG_WORD("result", rc ? err_name(rc) : "ok"), LOG_END);
    fprintf(stderr, "safehouse: %s\n", r->text);
    control_configured(s, rc, r->text);
}

static void refuse(struct supervisor *s, int rc) {
    settings_give_up(&s->reload.settings, s->settings);
    snprintf(s->reload.text, sizeof s->reload.text, "%.2000s\nnothing was changed", s->why->text);
    finish(s, rc);
}

static void succeed(struct supervisor *s) {
    struct reload *r = &s->reload;
    bool nginx = r->step == RELOAD_LEAVING;
    size_t n = (size_t)snprintf(r->text, sizeof r->text, "the configuration is in force: %s%s%s",
                                r->changed[0] ? "changed: " : "nothing in it changed", r->changed,
                                nginx       ? "; the gateway has new workers"
                                : r->attach ? "; attach your nginx anew now: until then it inspects "
                                              "requests by what it was started with"
                                : r->parts  ? "; reload your nginx now, it includes what changed"
                                            : "");
    if (r->kept[0])
        snprintf(r->text + n, sizeof r->text - n, "\nwaits for the next start of safehouse up: %s",
                 r->kept);
    finish(s, 0);
    vault_configuration(s, r->by);
    r->by = UINT32_MAX;
}

/* ---- the steps ---- */

/* A pipe had it only once, and reading one could wait. */
static int check_file(struct supervisor *s) {
    const char *file = s->spec->source->file;
    struct stat st;
    if (!file || (stat(file, &st) == 0 && S_ISREG(st.st_mode)))
        return 0;
    return why_say(s->why, ERR_USAGE, "%.1000s is not there, or no plain file", file);
}

static int read_settings(struct supervisor *s) {
    const struct supervisor_spec *spec = s->spec;
    struct reload *r = &s->reload;
    int rc = check_file(s);
    if (!rc)
        rc = settings_load(spec->source, &r->settings, s->why);
    if (rc)
        return rc;
    settings_keep(spec->source, s->settings, &r->settings, r->kept);
    rc = checks_run(r->settings.config, spec->listen, spec->console, s->why);
    if (!rc)
        rc = settings_complete(spec->source, s->settings, &r->settings, s->why);
    if (!rc && (rc = settings_compare(s->settings, &r->settings, r->changed)) != 0)
        why_say(s->why, rc, "comparing the configurations: %s", err_text(rc));
    if (!rc)
        rc = policy_make(r->settings.config, &r->policy_fd, s->why);
    return rc ? rc : shared_read_tls(s, r->settings.config, PROGRAM_GATEWAY, &r->tls);
}

/* Workers have what they look for from their start, too, if there is anything that they look for. */
static bool inspection_differs(const struct supervisor *s) {
    const struct reload *r = &s->reload;
    return (config_inspects(s->settings->config, NULL) ||
            config_inspects(r->settings.config, NULL)) &&
           !policy_same(s->policy_fd, r->policy_fd);
}

static int begin(struct supervisor *s) {
    struct reload *r = &s->reload;
    bool differs = false, fresh = r->fresh;
    r->fresh = false;
    r->changed[0] = r->kept[0] = 0;
    int rc = read_settings(s);
    if (!rc)
        rc = gateway_differs(s, &r->settings, &r->tls, &differs);
    if (rc)
        return rc;
    if (!shared_same_tls(&r->tls, &s->tls))
        settings_add_name(r->changed, "TLS files");
    const bool inspection = inspection_differs(s);
    r->parts = own_nginx(s) && (differs || fresh);
    r->attach = own_nginx(s) && inspection;
    differs = differs || inspection;
    if (own_nginx(s) || (!differs && !fresh)) {
        r->step = RELOAD_PUBLISHING;
        return 0;
    }
    r->step = RELOAD_STARTING;
    r->end_ns = clock_mono_ns() + READY_NS;
    rc = shared_make_snapshot(&r->snapshot_fd, &r->snapshot_reader_fd);
    if (!rc)
        rc = publish_first(s, r->snapshot_fd, &r->settings);
    return rc ? why_say(s->why, rc, "the new configuration cannot be published: %s", err_text(rc))
              : gateway_start_next(s);
}

void reload_gateway_ready(struct supervisor *s) {
    if (s->reload.step == RELOAD_STARTING)
        s->reload.step = RELOAD_PUBLISHING;
}

void reload_gateway_ended(struct supervisor *s) {
    const char *words = s->reload.master.words;
    refuse(s, why_say(s->why, ERR_USAGE, "nginx does not start with the new configuration: %s",
                      *words ? words : "it did not say why"));
}

/* A sealer has its rules from its start to its end. What it has not sealed, the next one does. */
static void change_policy(struct supervisor *s) {
    struct reload *r = &s->reload;
    const int before = s->policy_fd;
    const bool same = policy_same(before, r->policy_fd);
    s->policy_fd = r->policy_fd;
    r->policy_fd = before;
    if (!same)
        program_send(&s->programs[PROGRAM_SEALER], MSG_STOP, NULL, 0, -1);
}

/* Of a generation that starts, if there is one: keys may have changed since its first version. */
static void swap_snapshots(struct supervisor *s) {
    struct reload *r = &s->reload;
    const int fd = s->snapshot_fd, reader_fd = s->snapshot_reader_fd;
    if (r->snapshot_fd < 0)
        return;
    s->snapshot_fd = r->snapshot_fd;
    s->snapshot_reader_fd = r->snapshot_reader_fd;
    r->snapshot_fd = fd;
    r->snapshot_reader_fd = reader_fd;
}

static void commit(struct supervisor *s) {
    struct reload *r = &s->reload;
    bool nginx = r->master.pid != 0;
    swap_snapshots(s);
    int rc = publish_settings(s, &r->settings);
    if (rc) {
        swap_snapshots(s);
        why_say(s->why, rc, "the new configuration cannot be published: %s", err_text(rc));
        refuse(s, rc);
        return;
    }
    health_restore_keys(s->health);
    settings_done(s->settings);
    *s->settings = r->settings;
    settings_init(&r->settings);
    if (nginx)
        gateway_switch(s);
    struct tls_files tls = s->tls;
    s->tls = r->tls;
    r->tls = tls;
    change_policy(s);
    if (!shared_same_tls(&r->tls, &s->tls))
        front_renew(s);
    rc = tables_remap(s);
    if (!rc)
        rc = tables_place(s);
    if (!rc)
        rc = supervisor_write_ready(s);
    if (!rc && r->parts)
        rc = gateway_write_parts(s);
    if (rc)
        log_event("reload-incomplete", LOG_ERR(rc), LOG_END);
    if (!nginx)
        succeed(s);
    r->step = nginx ? RELOAD_LEAVING : RELOAD_IDLE;
    r->end_ns = clock_mono_ns() + LEAVE_NS;
}

void reload_tick(struct supervisor *s, uint64_t now, uint64_t *due) {
    struct reload *r = &s->reload;
    if (s->stopping || !s->announced)
        return;
    if (r->step == RELOAD_IDLE && r->asked) {
        r->asked = false;
        control_configuring(s);
        int rc = begin(s);
        if (rc)
            refuse(s, rc);
    }
    if (r->step == RELOAD_STARTING && now >= r->end_ns)
        refuse(s, why_say(s->why, ERR_PEER,
                          "the gateway's new workers do not serve within %llu seconds",
                          (unsigned long long)(READY_NS / 1000 / MS)));
    if (r->step == RELOAD_PUBLISHING && now >= publish_ready_ns(s))
        commit(s);
    if (r->step == RELOAD_LEAVING && (now >= r->end_ns || !gateway_accepting(s)))
        succeed(s);
    if (r->step == RELOAD_STARTING)
        supervisor_due(due, r->end_ns);
    else if (r->step == RELOAD_LEAVING)
        supervisor_due(due, now + LOOK_NS);
    else if (r->step == RELOAD_PUBLISHING)
        supervisor_due(due, publish_ready_ns(s));
    else if (r->asked)
        supervisor_due(due, now);
}
