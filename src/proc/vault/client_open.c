/*
 * Openings over a connection (client.h): a reason, cells and GO; then the cells are noted, opened and sent,
 * a piece at each turn (opening.c).
 */
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/log.h"
#include "proc/vault/client.h"

void open_end(struct client *c) {
    opening_free(c->opening);
    c->opening = NULL;
    c->answering = false;
    c->rc = 0;
}

int open_why(struct client *c, const struct frame *f) {
    if (f->len < 2 || get_u16(f->p) != f->len - 2 || f->len - 2 > sizeof c->reason)
        return ERR_SYNTAX;
    c->reason_len = f->len - 2;
    memcpy(c->reason, f->p + 2, c->reason_len);
    plan_free(c->plan); /* it was for another reason */
    c->plan = NULL;
    return 0;
}

int open_cell(struct vault *v, struct client *c, const struct frame *f) {
    struct people_actor a;
    if (!opening_cell_whole(f->p, f->len))
        return ERR_SYNTAX; /* whoever sends it, and whatever the state */
    if (!c->rc && !c->opening) {
        c->rc = client_actor(v, c, &a);
        if (!c->rc)
            c->rc = opening_new(v, &a, &c->opening);
    }
    if (!c->rc)
        c->rc = opening_cell(c->opening, f->p, f->len);
    return 0;
}

static const char *opening_text(int rc) {
    return rc == ERR_IO      ? "the ledger cannot be written, so nothing is opened"
           : rc == ERR_USAGE ? "a reason is needed"
                             : client_refusal(rc);
}

static int refuse_opening(struct client *c, int rc, const char *text) {
    if (rc == ERR_IO)
        log_event("opening-refused", LOG_ERR(rc), LOG_END);
    open_end(c);
    return client_end(c, rc, text[0] ? text : opening_text(rc));
}

int open_go(struct vault *v, struct client *c) {
    int rc = c->rc ? c->rc : keys_locked(v->keys) ? ERR_LOCKED : c->reason_len ? 0 : ERR_USAGE;
    char text[256] = "";
    if (!rc && c->opening)
        rc = opening_begin(c->opening, c, text, sizeof text);
    if (rc)
        return refuse_opening(c, rc, text);
    c->answering = c->opening;
    return c->answering ? 0 : client_end_rc(c, 0);
}

int open_answer(struct vault *v, struct client *c) {
    const struct buf *opened;
    int rc = 0;
    v->traces = true;
    if (!opening_noted(c->opening)) {
        rc = opening_note(c->opening, c);
        return rc && rc != ERR_AGAIN ? refuse_opening(c, rc, "") : 0;
    }
    rc = opening_next(c->opening, &opened);
    if (!rc)
        return peer_send(c->peer, MSG_OPENED, opened->p, opened->len, -1);
    open_end(c);
    return client_end_rc(c, rc == ERR_NOTFOUND ? 0 : rc);
}

int open_still(struct client *c) {
    int rc = opening_still(c->opening);
    if (!rc)
        return 0;
    open_end(c);
    return client_end(c, rc, client_refusal(rc));
}
