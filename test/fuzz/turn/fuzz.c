/* Whole turns: requests and answers of one conversation, separated by a zero byte each, through
 * matching, building and learning. What is built is JSON, and kept messages are those of the parent.
 * A first byte 'a' or 'r' is for Anthropic or Responses, without one it is chat. */
#include <sodium.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "write/turn/turn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct prefix *prefix;
static const struct dialect *dialect;

static void exchange(const uint8_t *request, size_t request_len, const uint8_t *answer,
                     size_t answer_len, const uint8_t scope[PREFIX_DIGEST], uint8_t number) {
    static struct llm_answer a;
    struct llm_request r;
    struct turn_match m = {0};
    struct buf out;
    struct jv v;
    uint8_t id[UUID_BYTES] = {number};
    buf_init(&out, 1u << 26);
    bool chat = llm_request_parse(&r, dialect, request, request_len) == 0;
    if (llm_answer_parse(&a, dialect, answer, answer_len, number & 1))
        abort();
    if (chat && turn_match(prefix, scope, &r, &m))
        abort();
    if (m.kept > m.count || m.found != (m.kept > 0))
        abort();
    struct turn_parts parts = {.request = chat ? &r : NULL, .request_text = {request, request_len},
                               .match = chat ? &m : NULL, .answer = &a,
                               .answer_text = {answer, answer_len}, .streamed = number & 1};
    if (turn_build(&out, &parts) || jv_parse(&v, out.p, out.len) || !jv_is_object(v))
        abort();
    if (chat && jv_count(jv_get(v, "messages")) != m.count - m.kept)
        abort();
    if (chat && turn_learn(prefix, &m, &a, id, id, id, id))
        abort();
    turn_done(&m);
    llm_answer_done(&a);
    llm_request_done(&r);
    buf_wipe(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const uint8_t subject[UUID_BYTES];
    uint8_t scope[PREFIX_DIGEST];
    if (!prefix && (sodium_init() < 0 || prefix_open(-1, &prefix)))
        abort();
    bool marked = size && (data[0] == 'a' || data[0] == 'r');
    dialect = dialect_named(!marked          ? "openai.chat"
                            : data[0] == 'a' ? "anthropic.messages"
                                             : "openai.responses");
    data += marked;
    size -= marked;
    prefix_start(prefix, "t", "p", "k", subject, 0, scope);
    for (uint8_t number = 0; size && number < 4; number++) {
        const uint8_t *end = memchr(data, 0, size);
        size_t request = end ? (size_t)(end - data) : size;
        const uint8_t *answer = data + request + (end != NULL);
        size_t left = size - request - (end != NULL);
        end = left ? memchr(answer, 0, left) : NULL;
        size_t len = end ? (size_t)(end - answer) : left;
        exchange(data, request, answer, len, scope, number);
        data = answer + len + (end != NULL);
        size = left - len - (end != NULL);
    }
    prefix_drop(prefix);
    return 0;
}
