/* Payloads of the messages about people, from whoever reaches the vault's socket, and a canary's record. The
 * first byte says which. What was taken says nothing but what was in it: lengths stay inside, names are names or are
 * refused later, and whatever is taken has no byte left over. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "read/people/canary_record.h"
#include "read/people/frames.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void inside(const void *p, size_t len, const uint8_t *data, size_t size) {
    const uint8_t *at = p;
    if (len && (at < data || at > data + size || len > (size_t)(data + size - at)))
        abort();
}

static void sign_in(const uint8_t *data, size_t size) {
    struct people_sign_in s;
    if (people_parse_sign_in(&s, data, size))
        return;
    inside(s.secret, s.secret_len, data, size);
    const size_t names = s.machine ? 0 : strlen(s.name) + strlen(s.code) + 4;
    if (1 + names + s.secret_len != size || s.secret_len > LIMIT_PASSWORD)
        abort();
}

static void request(const uint8_t *data, size_t size) {
    struct people_request q;
    if (people_parse_request(&q, data, size))
        return;
    inside(q.password, q.password_len, data, size);
    inside(q.old, q.old_len, data, size);
    if (strnlen(q.name, LIMIT_NAME) == LIMIT_NAME || strnlen(q.label, LIMIT_NAME) == LIMIT_NAME ||
        strnlen(q.code, LIMIT_NAME) == LIMIT_NAME || strlen(q.projects) > LIMIT_GRANT_PROJECTS ||
        q.password_len > LIMIT_PASSWORD || q.old_len > LIMIT_PASSWORD)
        abort();
}

static void plan(const uint8_t *data, size_t size) {
    struct people_plan p;
    if (people_parse_plan(&p, data, size))
        return;
    inside(p.query, p.query_len, data, size);
    inside(p.hashes, 32ull * p.cells, data, size);
    if (2 + p.query_len + 32ull * p.cells != size)
        abort();
}

static void canary(const uint8_t *data, size_t size) {
    struct canary_record r;
    uint8_t again[CANARY_RECORD_MAX];
    if (canary_record_decode(&r, data, size))
        return;
    inside(r.name, r.name_len, data, size);
    if (canary_record_encode(again, &r) != size || memcmp(again, data, size))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!size)
        return 0;
    switch (data[0] % 4) {
    case 0:
        sign_in(data + 1, size - 1);
        break;
    case 1:
        request(data + 1, size - 1);
        break;
    case 2:
        plan(data + 1, size - 1);
        break;
    default:
        canary(data + 1, size - 1);
    }
    return 0;
}
