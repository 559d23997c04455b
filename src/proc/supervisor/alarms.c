/*
 * Alarms of canaries (doc/canary.md): the vault says that somebody opens one, after its ledger has
 * it. Here they are counted, shown in `status` and the metrics, and posted to a webhook by a
 * process of its own. Of those that wait for a webhook that does not answer the newest is told,
 * with how many there are; it is tried again until it takes them, ever less often, up to every 5
 * minutes.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "control/webhook.h"
#include "proc/supervisor/supervisor_int.h"

#define FIRST_NS (1000 * MS) /* between two tries; doubled each time */
#define LONGEST_NS (300000 * MS)
#define PROCESS_NS (30000 * MS) /* then it is killed */

int alarms_frame(struct supervisor *s, const struct frame *f) {
    struct alarms *a = &s->alarms;
    if (f->len < 25 || f->p[24] != f->len - 25 || f->p[24] >= sizeof a->person)
        return ERR_SYNTAX;
    a->entry = get_u64(f->p);
    a->time_us = get_u64(f->p + 8);
    a->uid = get_u32(f->p + 16);
    a->cells = get_u32(f->p + 20);
    memcpy(a->person, f->p + 25, f->p[24]);
    a->person[f->p[24]] = 0;
    a->total++;
    a->waiting++;
    if (!a->pid && !a->failures)
        a->next_ns = 0;
    metrics_set_alarms(s->metrics, a->total);
    return 0;
}

/* ---- the webhook ---- */

static char *body(const struct alarms *a) {
    char when[CLOCK_UTC];
    clock_utc(when, a->time_us);
    json_t *o = json_pack("{s:s, s:s, s:I, s:I, s:s?, s:I, s:I}", "type", "canary-alarm", "time",
                          when, "entry", (json_int_t)a->entry, "cells", (json_int_t)a->cells,
                          "person", a->person[0] ? a->person : NULL, "uid", (json_int_t)a->uid,
                          "alarms", (json_int_t)a->waiting);
    char *text = o ? json_dumps(o, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
    json_decref(o);
    return text;
}

/* URL and body, as the process reads them. */
static int write_input(const struct alarms *a, const char *url) {
    char *text = body(a);
    int fd = text ? memfd_create("safehouse-alarm", MFD_CLOEXEC) : -1;
    const bool ok = fd >= 0 && dprintf(fd, "%s\n%s", url, text) > 0 && lseek(fd, 0, SEEK_SET) == 0;
    free(text);
    if (ok)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

/* As the demo's user, which has no file of this installation's. */
static int start(struct supervisor *s, int input) {
    const struct install *in = s->spec->install;
    char file[INSTALL_PATH + 64], dir[INSTALL_PATH];
    const struct spawn_fd fds[] = {{input, STDIN_FILENO}};
    const char *const argv[] = {"safehouse", "post-alarm", NULL}, *const env[] = {NULL};
    snprintf(file, sizeof file, "%s/safehouse", in->bin);
    if (!install_path(in, install_folder(PROGRAM_DEMO), dir))
        return ERR_LIMIT;
    const struct spawn_spec spec = {.file = file,
                                    .argv = argv,
                                    .env = env,
                                    .dir = dir,
                                    .uid = in->uid[PROGRAM_DEMO],
                                    .fds = fds,
                                    .fd_count = 1,
                                    .death_signal = SIGKILL};
    return spawn(&spec, &s->alarms.pid, s->why);
}

static void failed(struct alarms *a, uint64_t now) {
    uint64_t pause = FIRST_NS << (a->failures < 9 ? a->failures : 9);
    a->failures++;
    a->next_ns = now + (pause < LONGEST_NS ? pause : LONGEST_NS);
    log_event("alarm-not-posted", LOG_U64("alarms", a->waiting), LOG_U64("tries", a->failures),
              LOG_END);
}

static void post(struct supervisor *s, uint64_t now) {
    struct alarms *a = &s->alarms;
    char url[WEBHOOK_URL_MAX];
    const int input =
        webhook_read_url(s->settings->config->alarms.webhook_file, url) ? write_input(a, url) : -1;
    explicit_bzero(url, sizeof url);
    a->posted = a->waiting;
    a->end_ns = now + PROCESS_NS;
    if (input < 0 || start(s, input))
        failed(a, now);
    if (input >= 0)
        close(input);
}

bool alarms_ended(struct supervisor *s, pid_t pid, int status) {
    struct alarms *a = &s->alarms;
    if (!a->pid || pid != a->pid)
        return false;
    a->pid = 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        a->waiting -= a->posted;
        a->failures = 0;
        a->next_ns = 0;
    } else {
        failed(a, clock_mono_ns());
    }
    return true;
}

void alarms_tick(struct supervisor *s, uint64_t now, uint64_t *due) {
    struct alarms *a = &s->alarms;
    if (!a->waiting || !s->settings->config->alarms.webhook_file[0] || s->stopping)
        return;
    if (!a->pid && now >= a->next_ns)
        post(s, now);
    if (a->pid && now >= a->end_ns)
        kill(a->pid, SIGKILL);
    supervisor_due(due, a->pid ? (now >= a->end_ns ? now + FIRST_NS : a->end_ns) : a->next_ns);
}

json_t *alarms_report(const struct supervisor *s) {
    const struct alarms *a = &s->alarms;
    const bool webhook = s->settings->config->alarms.webhook_file[0] != 0;
    return json_pack("{s:I, s:I, s:I, s:s}", "canaries_opened", (json_int_t)a->total, "last_us",
                     (json_int_t)a->time_us, "waiting", (json_int_t)(webhook ? a->waiting : 0),
                     "webhook",
                     !webhook      ? "none"
                     : a->failures ? "failing"
                                   : "ok");
}
