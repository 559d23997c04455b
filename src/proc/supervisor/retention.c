/*
 * Retention: months of content and of metadata that are over go, once a day and when somebody asks
 * (doc/retention.md). The order is the vault's and the store's; this only carries it between them.
 *
 *   IDLE --due or asked--> HOLDS (vault: who is held) --> MONTHS (store: what there is)
 *     --> for each month that is over: NOTING (vault: in the ledger) --> DROPPING (store) --> IDLE
 *
 * A failure, or an answer that does not come, ends the run; the next one finds what is left. A run
 * that was interrupted between note and drop is noted again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "proc/supervisor/supervisor_int.h"
#include "record/rows.h"

#define FIRST_NS (60000 * MS) /* after the start */
#define EVERY_NS (86400000 * MS)
#define RETRY_NS (600000 * MS)
#define ANSWER_NS (300000 * MS)
#define ROW_BYTES 21

enum step { IDLE, HOLDS, MONTHS, NOTING, DROPPING };

struct retention {
    enum step step;
    bool asked, dry;
    uint64_t due_ns, until_ns;
    struct buf held, months; /* ids; rows as MSG_MONTHS_ARE has them */
    size_t at;               /* of months */
    unsigned dropped;
};

int retention_new(struct retention **ret) {
    struct retention *r = calloc(1, sizeof *r);
    if (!r)
        return ERR_NOMEM;
    buf_init(&r->held, LIMIT_FRAME);
    buf_init(&r->months, LIMIT_FRAME);
    r->due_ns = clock_mono_ns() + FIRST_NS;
    *ret = r;
    return 0;
}

void retention_free(struct retention *r) {
    if (!r)
        return;
    buf_wipe(&r->held);
    buf_wipe(&r->months);
    free(r);
}

void retention_ask(struct supervisor *s, bool dry) {
    struct retention *r = s->retention;
    r->dry = r->step == IDLE ? dry : r->dry && dry;
    r->asked = true;
}

static void end(struct supervisor *s, int rc, const char *text) {
    struct retention *r = s->retention;
    if (rc)
        log_event("retention-failed", LOG_ERR(rc), LOG_END);
    r->step = IDLE;
    r->due_ns = clock_mono_ns() + (rc ? RETRY_NS : EVERY_NS);
    buf_clear(&r->held);
    buf_clear(&r->months);
    control_retention(s, rc, rc ? text : "");
}

/* Asks a program; it not being there ends the run. */
static void ask(struct supervisor *s, enum program_id id, enum step step, enum ipc_msg msg,
                const void *p, size_t len) {
    struct retention *r = s->retention;
    if (s->programs[id].state != STATE_RUNNING) {
        end(s, ERR_PEER, id == PROGRAM_VAULT ? "the vault is not there" : "the store is not there");
        return;
    }
    r->step = step;
    r->until_ns = clock_mono_ns() + ANSWER_NS;
    program_send(&s->programs[id], msg, p, len, -1);
}

/* ---- what is over ---- */

static uint64_t days_of(const struct supervisor *s, uint8_t table) {
    const struct config *c = s->settings->config;
    return (table & ~ROWS_COPIES) == ROWS_TURNS ? c->retention.content_days : c->retention.metadata_days;
}

/* Its last day is so many days ago. */
static bool over(uint32_t month, uint64_t days) {
    struct tm next = {.tm_year = (int)(month / 100) - 1900, .tm_mon = (int)(month % 100), .tm_mday = 1};
    const time_t end = timegm(&next); /* the month after: tm_mon counts from 0 */
    return days && month / 100 >= 1970 && month % 100 >= 1 && month % 100 <= 12 &&
           (uint64_t)(clock_wall_us() / 1000000u) >= (uint64_t)end + days * 86400u;
}

static json_t *describe(const uint8_t *row, uint64_t days, bool dry) {
    char table[32];
    snprintf(table, sizeof table, "%s%s", row[0] & ROWS_COPIES ? "held_" : "",
             rows_table_name((enum rows_table)(row[0] & ~ROWS_COPIES)));
    return json_pack("{s:s, s:i, s:I, s:I, s:I, s:b}", "table", table, "month",
                     (int)get_u32(row + 1), "rows", (json_int_t)get_u64(row + 5), "held",
                     (json_int_t)get_u64(row + 13), "days", (json_int_t)days, "dropped", !dry);
}

static void next_month(struct supervisor *s) {
    struct retention *r = s->retention;
    for (; r->at + ROW_BYTES <= r->months.len; r->at += ROW_BYTES) {
        const uint8_t *row = r->months.p + r->at;
        const uint64_t days = days_of(s, row[0]);
        uint8_t note[25];
        if (!over(get_u32(row + 1), days))
            continue;
        if (r->dry) {
            control_retained(s, describe(row, days, true));
            continue;
        }
        memcpy(note, row, ROW_BYTES);
        put_u32(note + ROW_BYTES, (uint32_t)days);
        ask(s, PROGRAM_VAULT, NOTING, MSG_RETENTION, note, sizeof note);
        return;
    }
    if (r->dropped)
        log_event("retention", LOG_U64("months", r->dropped), LOG_END);
    end(s, 0, "");
}

static void drop_month(struct supervisor *s) {
    struct retention *r = s->retention;
    struct buf b;
    buf_init(&b, LIMIT_FRAME);
    int rc = buf_append(&b, r->months.p + r->at, 5);
    if (!rc)
        rc = buf_append(&b, r->held.p, r->held.len);
    if (rc)
        end(s, rc, err_text(rc));
    else
        ask(s, PROGRAM_STORE, DROPPING, MSG_DROP, b.p, b.len);
    buf_wipe(&b);
}

/* ---- answers ---- */

static const char *why_not(enum step step, int rc) {
    return step == HOLDS && rc == ERR_AGAIN
               ? "who is held is known when the vault was unlocked once more: persons of the time "
                 "when it was locked are not joined yet"
           : step == NOTING && rc == ERR_AGAIN ? "who is held has changed meanwhile: try again"
           : step == NOTING ? "the ledger cannot be written, so nothing is dropped"
                            : err_text(rc);
}

int retention_frame(struct supervisor *s, const struct frame *f) {
    static const struct {
        enum step step;
        enum ipc_msg msg;
    } wanted[] = {{HOLDS, MSG_HOLDS_ARE}, {MONTHS, MSG_MONTHS_ARE}, {NOTING, MSG_RETENTION_IS},
                  {DROPPING, MSG_DROPPED}};
    struct retention *r = s->retention;
    if (r->step == IDLE || wanted[r->step - 1].msg != f->msg)
        return ERR_DENIED;
    int rc = f->len < 4 ? ERR_SYNTAX : (int)(int32_t)get_u32(f->p);
    if (rc) {
        end(s, rc, why_not(r->step, rc));
        return rc == ERR_SYNTAX ? rc : 0;
    }
    switch (r->step) {
    case HOLDS:
        rc = buf_append(&r->held, f->p + 4, f->len - 4);
        if (!rc)
            ask(s, PROGRAM_STORE, MONTHS, MSG_MONTHS, r->held.p, r->held.len);
        break;
    case MONTHS:
        rc = buf_append(&r->months, f->p + 4, f->len - 4);
        r->at = 0;
        if (!rc)
            next_month(s);
        break;
    case NOTING:
        drop_month(s);
        break;
    default:
        r->dropped++;
        control_retained(s, describe(r->months.p + r->at, days_of(s, r->months.p[r->at]), false));
        r->at += ROW_BYTES;
        next_month(s);
    }
    if (rc)
        end(s, rc, err_text(rc));
    return 0;
}

void retention_tick(struct supervisor *s, uint64_t now, uint64_t *due) {
    struct retention *r = s->retention;
    const struct config *c = s->settings->config;
    if (r->step != IDLE && now > r->until_ns)
        end(s, ERR_AGAIN, "vault or store did not answer in time: try again");
    if (r->step != IDLE) {
        supervisor_due(due, r->until_ns);
        return;
    }
    if (now >= r->due_ns && (c->retention.content_days || c->retention.metadata_days)) {
        r->dry = r->dry && r->asked;
        r->asked = true;
    }
    if (r->asked && programs_running(s)) {
        r->asked = false;
        r->dropped = 0;
        ask(s, PROGRAM_VAULT, HOLDS, MSG_HOLDS, NULL, 0);
    } else if (now < r->due_ns) {
        supervisor_due(due, r->due_ns);
    }
}
