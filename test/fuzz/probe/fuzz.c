/* A server that answers anything: every probe over connections whose bytes come from the input. The
 * result's texts are printable whatever came. Connections and the detector are stood in for here.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "audit/probe/probe.h"
#include "../audit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct http_answer answers[2];
    static const uint16_t ports[] = {1, 3306, 5432, 6379, 8123, 9000, 9440, 27017};
    struct sampler sampler = {.wanted = true};
    struct probe_result result;
    const struct conn_rules rules = {.timeout_ms = 10};
    if (!size)
        return 0;
    input = data + 1;
    left = size - 1;
    struct probe p = {.rules = &rules,
                      .pair = {"127.0.0.1", ports[data[0] % 8]},
                      .sign_in = true,
                      .sampler = &sampler,
                      .http = &answers[0],
                      .root = &answers[1],
                      .result = &result};
    probe_target(&p);
    printable(result.version, sizeof result.version);
    printable(result.reason, sizeof result.reason);
    printable(result.excerpt, sizeof result.excerpt);
    if (result.note_count > PROBE_NOTES || result.grade < 'A' || result.grade > 'F')
        abort();
    for (size_t i = 0; i < result.note_count; i++)
        printable(result.notes[i].detail, sizeof result.notes[i].detail);
    return 0;
}
