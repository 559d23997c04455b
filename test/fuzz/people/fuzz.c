/* Payloads of the messages about people, from whoever reaches the vault's socket, and the records of canaries and of
 * attempts to sign in. The first byte says which. What was taken says nothing but what was in it: lengths stay inside, names are names or are
 * refused later, and whatever is taken has no byte left over. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "read/people/canary_record.h"
#include "read/people/frames.h"
#include "read/people/throttle.h"

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

static void throttle(const uint8_t *data, size_t size) {
    struct throttle *t;
    uint8_t again[THROTTLE_RECORD_MAX];
    unsigned wait;
    const uint64_t second = 1000000000, now = 50 * second;
    if (throttle_new(&t))
        abort();
    if (throttle_load(t, now, 1764000000000000, data, size) == 0) {
        const unsigned place = throttle_place(t, "anna", 4);
        if (throttle_begin(t, place, now, &wait) &&
            (wait > THROTTLE_MAX_S || throttle_begin(t, place, now + THROTTLE_MAX_S * second, &wait)))
            abort(); /* for ever is too long */
        throttle_end(t, place, now + THROTTLE_MAX_S * second, false);
        if (throttle_save(t, now + THROTTLE_MAX_S * second, 1764000000000000, again) > sizeof again)
            abort();
    }
    throttle_free(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!size)
        return 0;
    switch (data[0] % 5) {
    case 0:
        sign_in(data + 1, size - 1);
        break;
    case 1:
        request(data + 1, size - 1);
        break;
    case 2:
        plan(data + 1, size - 1);
        break;
    case 3:
        canary(data + 1, size - 1);
        break;
    default:
        throttle(data + 1, size - 1);
    }
    return 0;
}
