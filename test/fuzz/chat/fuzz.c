/* Requests and answers of every dialect: what is assembled is JSON, and what was taken apart is
 * there. The first byte says what the rest is. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "llm/answer.h"
#include "llm/request.h"
#include "llm/words.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct llm_answer a;
    static const char *const names[] = {"openai.chat", "openai.completions", "openai.responses",
                                        "anthropic.messages", "openai.images"};
    struct llm_request r;
    struct jv v;
    if (!size)
        return 0;
    const struct dialect *d = dialect_named(names[data[0] / 48 % 5]);
    size_t len = size - 1;
    uint8_t *copy = malloc(len ? len : 1);
    memcpy(copy, data + 1, len);
    if (data[0] % 3 == 0) {
        if (llm_request_parse(&r, d, copy, len) == 0 && d->shape != DIALECT_PLAIN &&
            (jv_parse(&v, r.params.p, r.params.len) || !jv_is_object(v) ||
             jv_count(r.messages) != r.count))
            abort();
        llm_request_done(&r);
    } else {
        if (llm_answer_parse(&a, d, copy, len, data[0] % 3 == 1))
            abort();
        if (a.json.p && (jv_parse(&v, a.json.p, a.json.len) || !jv_is_object(v)))
            abort();
        if (a.tail.p && (a.tail.p < copy || a.tail.p + a.tail.len != copy + len))
            abort();
        for (size_t i = 0; i < a.messages; i++)
            if (a.message[i].p && (jv_parse(&v, a.message[i].p, a.message[i].len) || !jv_is_object(v)))
                abort();
        models_known(a.model);
        llm_answer_done(&a);
    }
    free(copy);
    return 0;
}
