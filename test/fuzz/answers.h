/* What the fuzz targets of single probes have in common: connections whose bytes come from the
 * input (`input`, `left`), and a detector that finds nothing. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "audit/probe/probe.h"

static const uint8_t *input;
static size_t left;

struct conn {
    size_t budget;
};

/* The first byte of what is left says how the next connection goes and how long its pieces are. */
enum conn_result conn_open(const struct conn_rules *rules, const struct conn_pair *pair, bool tls,
                           const char *probe, struct conn **ret) {
    (void)rules, (void)pair, (void)tls, (void)probe;
    *ret = NULL;
    if (!left)
        return CONN_REFUSED;
    uint8_t how = *input++;
    left--;
    if (how >= 254)
        return how == 255 ? CONN_NO_TLS : CONN_CERTIFICATE;
    *ret = malloc(sizeof **ret);
    (*ret)->budget = (size_t)how * 8;
    return CONN_OK;
}
bool conn_start_tls(struct conn *c) {
    return c->budget & 8;
}
bool conn_send(struct conn *c, const void *p, size_t len) {
    (void)c, (void)p, (void)len;
    return true;
}
size_t conn_receive(struct conn *c, void *p, size_t size, unsigned wait_ms) {
    (void)wait_ms;
    size_t n = size < c->budget ? size : c->budget;
    n = n < left ? n : left;
    memcpy(p, input, n);
    input += n;
    left -= n;
    c->budget -= n;
    return n;
}
size_t conn_receive_all(struct conn *c, void *p, size_t size, unsigned wait_ms) {
    return conn_receive(c, p, size, wait_ms);
}
bool conn_ended(const struct conn *c) {
    return c->budget == 0;
}
bool conn_overdue(const struct conn *c) {
    return c->budget & 32;
}
bool conn_wants_certificate(const struct conn *c) {
    return c->budget & 16;
}
void conn_close(struct conn *c) {
    free(c);
}

int detect_scan(const struct detect *d, struct detect_work *w, const void *p, size_t len,
                enum detect_form form, struct detect_findings *list) {
    (void)d, (void)w, (void)p, (void)len, (void)form, (void)list;
    return -1;
}
void detect_findings_done(struct detect_findings *list) {
    (void)list;
}
struct detect_rule_info detect_rule(const struct detect *d, size_t rule) {
    (void)d, (void)rule;
    return (struct detect_rule_info){0};
}

/* What a result may hold, whatever came. */
static void check_result(const struct probe_result *r) {
    printable(r->version, sizeof r->version);
    printable(r->reason, sizeof r->reason);
    printable(r->excerpt, sizeof r->excerpt);
    if (r->note_count > PROBE_NOTES || r->grade < 'A' || r->grade > 'F')
        abort();
    for (size_t i = 0; i < r->note_count; i++)
        printable(r->notes[i].detail, sizeof r->notes[i].detail);
}
