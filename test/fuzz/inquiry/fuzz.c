/* Any bytes as the payloads of questions about persons and their answers: what is taken is whole,
 * within bounds, and written again it is the same. The first byte says which payload it is. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "record/inquiry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void same(const struct buf *b, const uint8_t *p, size_t len) {
    if (b->len != len || (len && memcmp(b->p, p, len)))
        abort();
}

static void question(struct buf *out, const uint8_t *p, size_t len) {
    struct inquiry q;
    const uint8_t *name;
    size_t n, at = 0;
    if (inquiry_decode(&q, p, len))
        return;
    if (inquiry_begin(out, q.verb, q.reason, q.reason_len))
        abort();
    while (inquiry_name(&q, &at, &name, &n))
        if (inquiry_add(out, name, n))
            abort();
    same(out, p, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct inquiry_person person;
    struct inquiry_reading reading;
    struct inquiry_event event;
    struct inquiry_span span;
    struct buf out;
    if (!size)
        return 0;
    const uint8_t *p = data + 1;
    const size_t len = size - 1;
    buf_init(&out, 1u << 20);
    switch (data[0] % 5) {
    case 0:
        question(&out, p, len);
        break;
    case 1:
        if (inquiry_person_decode(&person, p, len) == 0) {
            if (inquiry_put_person(&out, &person))
                abort();
            same(&out, p, len);
        }
        break;
    case 2:
        if (inquiry_reading_decode(&reading, p, len) == 0) {
            if (inquiry_put_reading(&out, &reading))
                abort();
            same(&out, p, len);
        }
        break;
    case 4:
        if (inquiry_event_decode(&event, p, len) == 0) {
            if (event.reason_len > LIMIT_REASON || inquiry_put_event(&out, &event))
                abort();
            same(&out, p, len);
        }
        break;
    default:
        if (inquiry_span_decode(&span, p, len) == 0 && 16 + span.count * UUID_BYTES != len)
            abort();
    }
    buf_wipe(&out);
    return 0;
}
