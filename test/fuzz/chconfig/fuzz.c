/* Files of a ClickHouse's configuration: any bytes as XML or YAML, merged over one another and judged;
 * whatever they are, every text is printable and the grade is one. Input: files with a 0xff between
 * them, each with a first byte that says what it is. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "audit/config/judge.h"
#include "../audit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* probe.c's other half, which nothing here reaches. */
enum conn_result conn_open(const struct conn_rules *rules, const struct conn_pair *pair, bool tls,
                           const char *probe, struct conn **ret) {
    (void)rules, (void)pair, (void)tls, (void)probe, (void)ret;
    abort();
}
bool conn_send(struct conn *c, const void *p, size_t len) {
    (void)c, (void)p, (void)len;
    abort();
}
size_t conn_receive(struct conn *c, void *p, size_t size, unsigned wait_ms) {
    (void)c, (void)p, (void)size, (void)wait_ms;
    abort();
}
size_t conn_receive_all(struct conn *c, void *p, size_t size, unsigned wait_ms) {
    (void)c, (void)p, (void)size, (void)wait_ms;
    abort();
}
void conn_close(struct conn *c) {
    (void)c;
}
bool http_ask(struct conn *c, const struct conn_pair *pair, const struct http_request *q,
              unsigned wait_ms, struct http_answer *ret) {
    (void)c, (void)pair, (void)q, (void)wait_ms, (void)ret;
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct ctree trees[2];
    struct probe_result result;
    struct probe p = {.result = &result};
    char why[CTREE_WHY];
    ctree_init(&trees[0]);
    ctree_init(&trees[1]);
    for (size_t at = 0; at < size;) {
        const uint8_t *end = memchr(data + at, 0xff, size - at);
        size_t n = end ? (size_t)(end - data) - at : size - at;
        if (n)
            ctree_add(&trees[data[at] & 1], data[at] & 2 ? "a.yaml" : "a.xml",
                      (const char *)data + at + 1, n - 1, why);
        at += n + 1;
    }
    config_judge(&p, &trees[0], &trees[1]);
    printable(result.reason, sizeof result.reason);
    if (result.note_count > PROBE_NOTES || result.grade < 'A' || result.grade > 'F')
        abort();
    for (size_t i = 0; i < result.note_count; i++) {
        printable(result.notes[i].detail, sizeof result.notes[i].detail);
        printable(result.notes[i].file, sizeof result.notes[i].file);
    }
    ctree_done(&trees[0]);
    ctree_done(&trees[1]);
    return 0;
}
