/*
 * Output and failures of the reading subcommands (read.h). Runs in the command line's own process,
 * which for the length of one command holds the text that it prints.
 */
#include "proc/cli/read.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/err.h"
#include "proc/cli/cli.h"

#define HELD_BYTES (64u << 10) /* written together */

void read_harden(void) {
    const struct rlimit none = {0, 0};
    prctl(PR_SET_DUMPABLE, 0);
    setrlimit(RLIMIT_CORE, &none);
}

/* ---- standard output ---- */

void out_init(struct out *o) {
    *o = (struct out){.terminal = isatty(STDOUT_FILENO) == 1, .fd = STDOUT_FILENO};
    buf_init(&o->held, HELD_BYTES + 8);
}

void out_to(struct out *o, int fd) {
    *o = (struct out){.fd = fd};
    buf_init(&o->held, HELD_BYTES + 8);
}

static int write_all(int fd, const uint8_t *p, size_t len) {
    while (len > 0) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno == EAGAIN) { /* a pipe that its other end made non-blocking */
            struct pollfd f = {.fd = fd, .events = POLLOUT};
            poll(&f, 1, -1);
        } else if (n < 0 && errno != EINTR) {
            return ERR_IO;
        }
        if (n > 0) {
            p += n;
            len -= (size_t)n;
        }
    }
    return 0;
}

int out_flush(struct out *o) {
    int rc = write_all(o->fd, o->held.p, o->held.len);
    buf_clear(&o->held);
    return rc;
}

static int hold(struct out *o, const uint8_t *p, size_t len) {
    int rc = 0;
    while (!rc && len > 0) {
        size_t room = HELD_BYTES - o->held.len, n = len < room ? len : room;
        rc = buf_append(&o->held, p, n);
        if (!rc && o->held.len == HELD_BYTES)
            rc = out_flush(o);
        p += n;
        len -= n;
    }
    return rc;
}

static int show_byte(struct out *o, uint8_t b) {
    char text[5];
    bool c1 = o->lead && b >= 0x80 && b < 0xa0;
    int rc = 0;
    if (o->lead && !c1)
        rc = hold(o, (const uint8_t *)"\xc2", 1);
    o->lead = b == 0xc2;
    if (rc || o->lead)
        return rc;
    if (!c1 && b != 0x7f && (b >= 0x20 || b == '\n' || b == '\t'))
        return hold(o, &b, 1);
    snprintf(text, sizeof text, "\\x%02x", b);
    return hold(o, (const uint8_t *)text, 4);
}

int out_write(void *out, const void *p, size_t len) {
    struct out *o = out;
    const uint8_t *at = p;
    int rc = 0;
    if (!o->terminal)
        return hold(o, at, len);
    for (size_t i = 0; !rc && i < len; i++)
        rc = show_byte(o, at[i]);
    return rc;
}

int out_finish(struct out *o) {
    int rc = out_flush(o);
    buf_wipe(&o->held);
    return rc;
}

void read_time(char out[READ_TIME], const char *text) {
    snprintf(out, READ_TIME, "%.10sT%.15sZ", text, strlen(text) > 11 ? text + 11 : "");
}

/* ---- failures ---- */

int read_check_reason(const char *reason) {
    if (!reason || !*reason)
        return cli_fail(CLI_USAGE, "say why: --reason TEXT", "content is opened for a reason only");
    if (strlen(reason) > LIMIT_REASON)
        return cli_fail(CLI_USAGE, NULL, "the reason is longer than %d bytes", LIMIT_REASON);
    return CLI_GO;
}

static enum cli_exit exit_of(int rc) {
    switch (rc) {
    case ERR_SYNTAX:
    case ERR_DENIED:
    case ERR_USAGE:
    case ERR_UNAUTHENTICATED:
    case ERR_PROJECT:
        return CLI_USAGE;
    case ERR_LIMIT:
    case ERR_APPROVAL:
    case ERR_ERASED:
        return CLI_INCOMPLETE;
    default:
        return err_retryable(rc) ? CLI_INCOMPLETE : CLI_INTERNAL;
    }
}

int read_fail(const struct remote *r, const char *dir, int rc) {
    char fix[CLI_PATH + 64];
    const char *why = remote_why(r);
    if (rc == ERR_LOCKED) {
        snprintf(fix, sizeof fix, "open it with: safehouse unlock --dir %s", dir);
        return cli_fail_as(rc, CLI_INCOMPLETE, fix, "the vault is locked");
    }
    if (rc == ERR_PEER) {
        snprintf(fix, sizeof fix, "safehouse status --dir %s tells more, safehouse up starts it", dir);
        return cli_fail_as(rc, CLI_INCOMPLETE, fix, "%s", *why ? why : err_text(rc));
    }
    return cli_fail_as(rc, exit_of(rc), NULL, "%s", *why ? why : err_text(rc));
}
