/* Requests and answers: what is assembled is JSON, and what was taken apart is there. The first byte
 * says what the rest is. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "llm/chat.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct llm_answer a;
    struct llm_request r;
    struct jv v;
    if (!size)
        return 0;
    size_t len = size - 1;
    uint8_t *copy = malloc(len ? len : 1);
    memcpy(copy, data + 1, len);
    if (data[0] % 3 == 0) {
        if (llm_request_parse(&r, copy, len) == 0 &&
            (jv_parse(&v, r.params.p, r.params.len) || !jv_is_object(v) ||
             jv_count(r.messages) != r.count))
            abort();
        llm_request_done(&r);
    } else {
        if (llm_answer_parse(&a, copy, len, data[0] % 3 == 1))
            abort();
        if (a.json.p && (jv_parse(&v, a.json.p, a.json.len) || !jv_is_object(v)))
            abort();
        if (a.tail.p && (a.tail.p < copy || a.tail.p + a.tail.len != copy + len))
            abort();
        models_known(a.model);
        llm_answer_done(&a);
    }
    free(copy);
    return 0;
}
