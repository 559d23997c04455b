/* Files of a ClickHouse's configuration: any bytes as XML or YAML, merged over one another, with
 * what they include, and judged; whatever they are, every text is printable and the grade is one.
 * Input: files with a 0xff between them, each with a first byte that says which it is. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "audit/config/folder.h"
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
bool conn_overdue(const struct conn *c) {
    (void)c;
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
    static const char *const names[] = {
        "conf.d/a.xml",       "conf.d/b.yaml", "config.d/a.xml", "config.d/b.yaml",
        "config.xml",         "people.xml",    "people.d/a.xml", "substitutions.xml",
        "substitutions.yaml", "users.d/a.xml", "users.d/b.yml",  "users.xml"};
    enum { NAMES = sizeof names / sizeof names[0] };
    struct config_file files[NAMES];
    struct config_read read;
    struct ctree substitutions[2];
    struct probe_result result;
    struct probe p = {.result = &result};
    const uint8_t *of[NAMES] = {0};
    size_t lengths[NAMES] = {0}, count = 0;
    for (size_t at = 0; at < size;) {
        const uint8_t *end = memchr(data + at, 0xff, size - at);
        size_t n = end ? (size_t)(end - data) - at : size - at;
        if (n) {
            of[data[at] % NAMES] = data + at + 1;
            lengths[data[at] % NAMES] = n - 1;
        }
        at += n + 1;
    }
    for (size_t i = 0; i < NAMES; i++)
        if (of[i])
            files[count++] = (struct config_file){.name = names[i],
                                                  .path = names[i],
                                                  .bytes = (const char *)of[i],
                                                  .len = lengths[i]};
    config_read_all(&read, substitutions, files, count);
    config_judge(&p, &read);
    printable(result.reason, sizeof result.reason);
    if (result.note_count > PROBE_NOTES || result.grade < 'A' || result.grade > 'F')
        abort();
    for (size_t i = 0; i < result.note_count; i++) {
        printable(result.notes[i].detail, sizeof result.notes[i].detail);
        printable(result.notes[i].file, sizeof result.notes[i].file);
    }
    ctree_done(&read.server);
    ctree_done(&read.users);
    ctree_done(&substitutions[0]);
    ctree_done(&substitutions[1]);
    return 0;
}
