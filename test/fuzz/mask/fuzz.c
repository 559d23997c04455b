/* Masking any bytes at any places, more wildly than a detector finds them: nothing is read or written
 * beyond the body, and where body and masked body are JSON, it is JSON with its values put back. The first
 * bytes say which places. */
#include <sodium.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "llm/json.h"
#include "write/mask/unmask.h"

#define PLACES 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct detect_rule_info detect_rule(const struct detect *d, size_t rule) {
    (void)d;
    return (struct detect_rule_info){"x", rule ? "other-class" : "class", false, 80};
}

static bool all(struct detect_rule_info rule, void *arg) {
    (void)rule;
    (void)arg;
    return true;
}

static void put_back(const struct mask *m, const struct buf *masked) {
    struct unmask u;
    struct buf out;
    buf_init(&out, 1u << 26);
    unmask_init(&u, m, UNMASK_JSON);
    if (unmask_feed(&u, masked->p, masked->len, &out) || unmask_finish(&u, &out))
        abort();
    struct jv v;
    if (jv_parse(&v, out.p, out.len))
        abort();
    unmask_done(&u);
    buf_wipe(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct detect_finding items[PLACES];
    struct detect_findings list = {items, 0, PLACES};
    static const uint8_t key[32];
    const struct mask_wish wish = {.list = &list, .wanted = all, .key = key, .scope = "s", .scope_len = 2};
    struct mask m;
    struct buf out;
    struct jv v;
    size_t at = 0;
    if (size < 2 * PLACES || sodium_init() < 0)
        return 0;
    const uint8_t *p = data + 2 * PLACES;
    const size_t n = size - 2 * PLACES;
    for (int i = 0; i < PLACES; i++) {
        const size_t start = at + data[2 * i], end = start + 1 + data[2 * i + 1] % 64;
        if (end > n)
            break;
        items[list.count++] = (struct detect_finding){start, end, (uint16_t)(i & 1), 0};
        at = end;
    }
    mask_init(&m);
    buf_init(&out, 1u << 26);
    int rc = mask_body(&m, &out, p, n, &wish);
    if (rc && rc != ERR_UNSUPPORTED)
        abort();
    if (!rc && m.count > list.count)
        abort();
    if (!rc && jv_parse(&v, p, n) == 0 && jv_parse(&v, out.p, out.len) == 0)
        put_back(&m, &out);
    char where[MASK_WHERE];
    if (list.count)
        mask_where(where, p, n, items[0].start);
    mask_done(&m);
    buf_wipe(&out);
    return 0;
}
