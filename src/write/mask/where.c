/* Where a byte lies (mask.h), in words that are the APIs' own and never the client's. */
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "llm/json.h"
#include "write/mask/mask.h"

static const char *const names[] = {
    "arguments", "content",      "description", "file",       "function",   "function_call",
    "functions", "image_url",    "input",       "input_text", "instructions", "items",
    "messages",  "metadata",     "model",       "name",       "output",     "parameters",
    "prompt",    "properties",   "reasoning_content", "response_format", "role", "schema",
    "source",    "stop",         "suffix",      "system",     "text",       "thinking",
    "tool_call_id", "tool_calls", "tool_choice", "tools",     "type",       "url",
    "user",      "user_id",
};

static const char *known(struct jv key) {
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (jv_equals(key, names[i]))
            return names[i];
    return "?";
}

void mask_where(char out[static MASK_WHERE], const uint8_t *body, size_t len, size_t at) {
    struct jv v, key, value;
    const uint8_t *place = body + at;
    size_t n = 0;
    out[0] = 0;
    if (jv_parse(&v, body, len))
        return;
    for (unsigned depth = 0; depth < LIMIT_JSON_DEPTH; depth++) {
        size_t pos = 0, index = 0;
        bool found = false;
        while (!found && jv_each(v, &pos, &key, &value)) {
            found = place >= value.p && place < value.p + value.len;
            index += !found;
        }
        if (!found || n + 40 > MASK_WHERE)
            return;
        n += (size_t)(key.p ? snprintf(out + n, MASK_WHERE - n, "%s%s", n ? "." : "", known(key))
                            : snprintf(out + n, MASK_WHERE - n, "[%zu]", index));
        v = value;
    }
}
