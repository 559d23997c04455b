/* The closed lists of words.h that are no names of models. */
#include "llm/words.h"

#include <string.h>

const char *words_finish(const char *reason) {
    static const char *const known[] = {/* chat, completions; the last is DeepSeek's */
                                        "stop", "length", "tool_calls", "content_filter",
                                        "function_call", "insufficient_system_resource",
                                        /* Anthropic */
                                        "end_turn", "max_tokens", "stop_sequence", "tool_use",
                                        "pause_turn", "refusal", "model_context_window_exceeded",
                                        /* a response's status */
                                        "completed", "incomplete", "failed", "cancelled",
                                        "in_progress", "queued"};
    if (!*reason)
        return "";
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(reason, known[i]))
            return known[i];
    return "other";
}

const char *words_error(uint16_t status, bool error_in_answer) {
    static const struct {
        uint16_t status;
        const char *class;
    } table[] = {
        {400, "invalid_request"}, {401, "authentication"}, {402, "balance"},
        {403, "permission"},      {404, "not_found"},      {408, "timeout"},
        {409, "conflict"},        {413, "too_large"},      {422, "unprocessable"},
        {429, "rate_limit"},      {500, "server"},         {502, "bad_gateway"},
        {503, "unavailable"},     {504, "timeout"},        {529, "unavailable"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].status == status)
            return table[i].class;
    if (status >= 200 && status < 300)
        return error_in_answer ? "in_answer" : "";
    return status == 0 ? "no_answer" : "other";
}
