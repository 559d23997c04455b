/* Event streams: events and tail never overlap or leave the text; CRLF and LF read the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "llm/sse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t run(const uint8_t *p, size_t len) {
    struct sse s;
    struct sse_event e;
    const uint8_t *tail;
    size_t n, before = 0;
    uint64_t hash = 1469598103934665603u;
    sse_init(&s, p, len);
    while (sse_next(&s, &e)) {
        if (s.pos <= before || s.pos > len)
            abort();
        before = s.pos;
        for (size_t i = 0; i < e.data_len; i++)
            hash = (hash ^ e.data[i]) * 1099511628211u;
        for (size_t i = 0; i < e.type_len; i++)
            hash = (hash ^ e.type[i]) * 1099511628211u;
        hash = (hash ^ 0x100) * 1099511628211u;
    }
    if (sse_tail(&s, &tail, &n) && (tail < p || tail + n != p + len))
        abort();
    sse_tail_event(&s, &e);
    sse_done(&s);
    return hash;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t *lf = malloc(size + 1), *crlf = malloc(2 * size + 1);
    size_t n = 0, m = 0;
    for (size_t i = 0; i < size; i++) {
        if (data[i] == '\r')
            continue;
        lf[n++] = data[i];
        if (data[i] == '\n')
            crlf[m++] = '\r';
        crlf[m++] = data[i];
    }
    uint8_t *copy = malloc(size ? size : 1);
    memcpy(copy, data, size);
    run(copy, size);
    if (run(lf, n) != run(crlf, m))
        abort();
    free(lf);
    free(crlf);
    free(copy);
    return 0;
}
