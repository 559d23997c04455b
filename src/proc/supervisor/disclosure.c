/*
 * Reports from outside, the supervisor's part (doc/disclosure.md): what security.txt says, the
 * socket through which reports come from the gateway's workers to the sealer, and reminders of
 * those that nobody has answered: a line in the log once a day, the metrics, and a sentence in
 * `status`.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/security_txt.h"
#include "proc/supervisor/supervisor_int.h"

#define SOCKET_BYTES (1 << 20) /* of reports that wait; what the kernel grants of it */
#define DAY_US 86400000000ull
#define AGAIN_NS (86400000 * MS)
#define LINE_MAX_BYTES 2000 /* nginx takes no longer words */

int disclosure_make(struct supervisor *s) {
    const int bytes = SOCKET_BYTES;
    if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, s->report_fds))
        return why_say(s->why, err_from_errno(errno), "no more sockets: %s", strerror(errno));
    setsockopt(s->report_fds[0], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    return 0;
}

/* ---- security.txt ---- */

static int put_field(struct buf *out, const char *name, const char *value) {
    return *value ? buf_printf(out, "%s: %s\n", name, value) : 0;
}

static int compose(const struct config *c, bool tls, struct buf *out) {
    int rc = 0;
    for (size_t i = 0; !rc && i < c->reports.contact.count; i++)
        rc = put_field(out, "Contact", c->reports.contact.at[i].text);
    if (!rc) /* the form is a contact, too, and the only one that is always right */
        rc = put_field(out, "Contact", tls || c->behind_tls_proxy ? "@https" : "@http");
    if (!rc)
        rc = put_field(out, "Expires", c->reports.expires[0] ? c->reports.expires : "@");
    if (!rc)
        rc = put_field(out, "Preferred-Languages", c->reports.languages);
    if (!rc)
        rc = put_field(out, "Policy", c->reports.policy);
    if (!rc)
        rc = put_field(out, "Acknowledgments", c->reports.acknowledgments);
    if (!rc)
        rc = put_field(out, "Encryption", c->reports.encryption);
    return rc ? rc : put_field(out, "Canonical", c->reports.canonical);
}

static int read_file(const char *path, struct buf *out, struct why *why) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    int rc = fd < 0 ? err_from_errno(errno) : buf_reserve(out, SECURITY_TXT_MAX);
    ssize_t n = rc ? -1 : read(fd, out->p, SECURITY_TXT_MAX);
    if (!rc && n < 0)
        rc = err_from_errno(errno);
    if (fd >= 0)
        close(fd);
    if (rc)
        return why_say(why, rc, "reports.file: %.1000s cannot be read: %s", path, err_text(rc));
    out->len = (size_t)n;
    return n < SECURITY_TXT_MAX
               ? 0
               : why_say(why, ERR_LIMIT, "reports.file: %.1000s is larger than %u bytes", path,
                         SECURITY_TXT_MAX);
}

/* Served as it is, signature and all; only its line ends become ours. */
static int check_file(const char *path, struct buf *text, struct why *why) {
    struct security_txt t;
    enum security_txt_flaw flaw =
        security_txt_read(&t, (const char *)text->p, text->len, time(NULL));
    if (flaw)
        return why_say(why, ERR_USAGE,
                       "reports.file: %.1000s is no security.txt to rely on: %s; mend it, sign it "
                       "anew if it was signed, and start again (RFC 9116)",
                       path, security_txt_flaw(flaw));
    size_t n = 0, line = 0;
    for (size_t i = 0; i < text->len; i++) {
        const uint8_t b = text->p[i];
        line = b == '\n' ? 0 : line + 1;
        if ((b < ' ' && b != '\n' && b != '\r' && b != '\t') || line > LINE_MAX_BYTES)
            return why_say(why, ERR_USAGE,
                           "reports.file: %.1000s has control characters, or a very long line",
                           path);
        if (b != '\r')
            text->p[n++] = b;
    }
    text->len = n;
    return 0;
}

int disclosure_text(const struct config *c, bool tls, struct buf *out, struct why *why) {
    if (!c->reports.enabled)
        return 0;
    if (!c->reports.file[0]) {
        int rc = compose(c, tls, out);
        return rc ? why_say(why, rc, "security.txt: %s", err_text(rc)) : 0;
    }
    int rc = read_file(c->reports.file, out, why);
    return rc ? rc : check_file(c->reports.file, out, why);
}

/* ---- what waits ---- */

int disclosure_frame(struct supervisor *s, const struct frame *f) {
    if (f->len != 12)
        return ERR_SYNTAX;
    s->reports = get_u32(f->p);
    s->report_us = get_u64(f->p + 4);
    s->remind_ns = 0;
    metrics_set_reports(s->metrics, s->reports, s->report_us);
    return 0;
}

void disclosure_tick(struct supervisor *s, uint64_t now, uint64_t *due) {
    const uint64_t after = s->settings->config->reports.remind_days * DAY_US;
    const uint64_t wall = clock_wall_us();
    if (!s->reports || !after)
        return;
    if (wall < s->report_us + after) {
        supervisor_due(due, now + (s->report_us + after - wall) * 1000u);
        return;
    }
    if (now >= s->remind_ns) {
        log_event("reports-wait", LOG_U64("count", s->reports),
                  LOG_U64("oldest_days", (wall - s->report_us) / DAY_US), LOG_END);
        s->remind_ns = now + AGAIN_NS;
    }
    supervisor_due(due, s->remind_ns);
}
