/*
 * Reports from outside (doc/disclosure.md). The sealer hands them over sealed; they are kept and
 * noted in the ledger, locked or not, before the sealer lets go of them. People list, read and
 * answer them when the vault is unlocked: reading is an opening like any other, noted first. How
 * many wait, and since when, goes to the supervisor, which reminds of them.
 */
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "proc/vault/client.h"

#define REPORT_HEAD (KEYS_REPORT_NUMBER + 8 + 4 + 32)
#define BOX_MIN (48 + 10) /* a sealed box of an empty report */

enum verb { VERB_LIST = 1, VERB_SHOW = 2, VERB_ANSWER = 3 };

/* ---- what waits ---- */

void inbox_tell(struct vault *v) {
    uint8_t p[12];
    uint32_t count = 0;
    uint64_t since = 0;
    if (keys_report_waiting(v->keys, &count, &since))
        return;
    put_u32(p, count);
    put_u64(p + 4, since);
    if (peer_send(v->child.supervisor, MSG_REPORTS_WAIT, p, sizeof p, -1) == 0)
        vault_watch(v, v->child.supervisor, true);
}

/* ---- the sealer's ---- */

bool inbox_whole(size_t len) {
    return len >= REPORT_HEAD + BOX_MIN;
}

static int keep(struct vault *v, const struct keys_report *r, const uint8_t *box, size_t len) {
    int rc = keys_begin(v->keys);
    if (rc)
        return rc;
    rc = keys_report_add(v->keys, r, box, len);
    if (!rc)
        return keys_commit(v->keys);
    keys_rollback(v->keys);
    return rc;
}

int inbox_take(struct vault *v, const uint8_t *p, size_t len) {
    struct keys_report r = {0}, known;
    memcpy(r.number, p, sizeof r.number);
    r.came_us = get_u64(p + 8);
    r.bytes = get_u32(p + 16);
    memcpy(r.hash, p + 20, sizeof r.hash);
    if (!v->ledger)
        return ERR_DENIED;
    int rc = keys_report_get(v->keys, r.number, &known);
    if (rc == ERR_NOTFOUND)
        rc = keep(v, &r, p + REPORT_HEAD, len - REPORT_HEAD);
    else if (!rc && known.noted)
        return 0; /* the answer before this one was lost */
    const struct ledger_draft d = {
        .kind = LEDGER_REPORT, .fields = r.hash, .fields_len = sizeof r.hash};
    if (!rc)
        rc = ledger_append(v->ledger, &d, NULL);
    if (!rc) {
        memcpy(v->report, r.number, sizeof v->report);
        v->report_due = true;
    }
    return rc;
}

/* Without that mark the same report, sent again, would be noted twice: no more. */
void inbox_noted(struct vault *v) {
    if (!v->report_due)
        return;
    v->report_due = false;
    int rc = keys_begin(v->keys);
    if (!rc && (rc = keys_report_noted(v->keys, v->report)) == 0)
        rc = keys_commit(v->keys);
    if (rc)
        keys_rollback(v->keys);
    inbox_tell(v);
}

/* ---- people's ---- */

static void number_text(char out[2 * KEYS_REPORT_NUMBER + 1], const uint8_t *number) {
    hex_encode(out, number, KEYS_REPORT_NUMBER);
}

static int list_one(void *arg, const struct keys_report *r) {
    char number[2 * KEYS_REPORT_NUMBER + 1], hash[65], text[320];
    number_text(number, r->number);
    hex_encode(hash, r->hash, sizeof r->hash);
    int n = snprintf(text, sizeof text,
                     "{\"number\":\"%s\",\"received_us\":%llu,\"answered_us\":%llu,\"bytes\":%u,"
                     "\"sha256\":\"%s\"}",
                     number, (unsigned long long)r->came_us, (unsigned long long)r->answered_us,
                     r->bytes, hash);
    return answer_add(arg, MSG_STATUS_IS, text, (size_t)n);
}

/* Whoever reads one reads what may be of any project. */
static int may_read(struct vault *v, const struct people_actor *a) {
    const uint64_t now = clock_wall_us();
    struct people_opener o;
    int rc = people_opener(v->people, a, now, &o);
    if (rc)
        return rc;
    if (!opener_may(&o, "*"))
        rc = ERR_PROJECT;
    if (!rc)
        rc = opening_charge(v, &o, 1, false);
    opener_done(&o);
    return rc;
}

static int show(struct vault *v, const struct keys_report *r, const struct people_actor *a,
                const struct ledger_who *who, struct answer *out) {
    struct noted_cell cell = {0};
    struct buf text;
    int rc = may_read(v, a);
    if (rc)
        return answer_fail(out, rc,
                           rc == ERR_DENIED || rc == ERR_PROJECT
                               ? "a report is read by a reader of all projects (\"*\")"
                               : err_text(rc));
    memcpy(cell.cell.record, r->number, sizeof r->number);
    memcpy(cell.cell.hash, r->hash, sizeof r->hash);
    rc = note_opening(v, who, &cell);
    if (rc)
        return answer_fail(out, rc, "the ledger cannot be written, so nothing is opened");
    buf_init(&text, LIMIT_REPORT + 512);
    rc = keys_report_open(v->keys, r->number, &text, NULL);
    if (!rc)
        rc = answer_add(out, MSG_REPORT_IS, text.p, text.len);
    buf_wipe(&text);
    return rc;
}

static int answered(struct vault *v, const struct keys_report *r, const struct ledger_who *who,
                    struct answer *out) {
    const struct ledger_draft d = {
        .kind = LEDGER_ANSWERED, .fields = r->hash, .fields_len = sizeof r->hash, .who = who};
    if (r->answered_us)
        return answer_fail(out, ERR_EXISTS, "it was answered before");
    int rc = v->ledger ? ledger_append(v->ledger, &d, NULL) : ERR_IO;
    if (!rc)
        rc = ledger_sync(v->ledger);
    if (rc)
        return answer_fail(out, rc, "the ledger cannot be written, so nothing is changed");
    rc = keys_begin(v->keys);
    if (!rc)
        rc = keys_report_answer(v->keys, r->number, who->reason, who->reason_len, clock_wall_us());
    if (!rc)
        rc = keys_commit(v->keys);
    else
        keys_rollback(v->keys);
    inbox_tell(v);
    return rc;
}

/* u8 verb | 8 number | s16 reason */
static int one(struct vault *v, struct client *c, const struct frame *f, struct answer *out) {
    const unsigned roles = f->p[0] == VERB_SHOW
                               ? PEOPLE_BIT(PEOPLE_READER)
                               : PEOPLE_BIT(PEOPLE_READER) | PEOPLE_BIT(PEOPLE_ADMIN);
    struct people_actor a;
    struct ledger_who who;
    struct keys_report r;
    int rc = client_needs(v, c, roles, &a);
    if (rc)
        return answer_fail(out, rc, client_refusal(rc));
    client_who(v, c, &a, &who);
    who.reason = (const char *)f->p + 11;
    who.reason_len = f->len - 11;
    if (!who.reason_len)
        return answer_fail(out, ERR_USAGE, "a reason is needed");
    rc = keys_report_get(v->keys, f->p + 1, &r);
    if (rc == ERR_NOTFOUND)
        return answer_fail(out, rc, "there is no report of this number");
    return rc ? rc : f->p[0] == VERB_SHOW ? show(v, &r, &a, &who, out) : answered(v, &r, &who, out);
}

int inbox(struct vault *v, struct client *c, const struct frame *f, struct answer *out) {
    struct people_actor a;
    const uint8_t verb = f->len ? f->p[0] : 0;
    if (verb == VERB_LIST && f->len == 1) {
        int rc = client_needs(
            v, c, PEOPLE_BIT(PEOPLE_READER) | PEOPLE_BIT(PEOPLE_ADMIN) | PEOPLE_BIT(PEOPLE_AUDITOR),
            &a);
        return rc ? answer_fail(out, rc, client_refusal(rc))
                  : keys_report_each(v->keys, list_one, out);
    }
    if ((verb != VERB_SHOW && verb != VERB_ANSWER) || f->len < 11 ||
        get_u16(f->p + 9) != f->len - 11 || f->len - 11 > LIMIT_REASON)
        return ERR_SYNTAX;
    return one(v, c, f, out);
}
