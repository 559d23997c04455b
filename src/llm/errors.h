#ifndef LLM_ERRORS_H
#define LLM_ERRORS_H
/*
 * The gateway's own refusals, each with a code of its own, in the shape that the client's dialect
 * has for errors, so that official clients raise the exceptions that they would raise at a
 * provider.
 *
 * Columns: name, HTTP status, code, OpenAI's `type`, Anthropic's `type`, `x-should-retry`,
 * sentence. Sentences name no secret and nothing of the installation's inside.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "llm/dialect.h"

/* The header `x-should-retry`, which official clients obey over their own rules. */
enum errors_retry { ERRORS_RETRY_UNSAID, ERRORS_RETRY_NO, ERRORS_RETRY_YES };

#define ERRORS_TABLE(X)                                                                            \
    X(ERRORS_BAD_REQUEST, 400, "invalid_request", "invalid_request_error",                         \
      "invalid_request_error", UNSAID, "The request is malformed.")                                \
    X(ERRORS_BAD_JSON, 400, "invalid_json", "invalid_request_error", "invalid_request_error",      \
      UNSAID, "The request's body is not one valid JSON object.")                                  \
    X(ERRORS_NO_BODY, 400, "missing_body", "invalid_request_error", "invalid_request_error",       \
      UNSAID, "The request has no body; send a JSON object.")                                      \
    X(ERRORS_UNEXPECTED_BODY, 400, "unexpected_body", "invalid_request_error",                     \
      "invalid_request_error", UNSAID, "This request must not have a body.")                       \
    X(ERRORS_REPEATED_MEMBER, 400, "repeated_member", "invalid_request_error",                     \
      "invalid_request_error", UNSAID, "A member of the request's body occurs twice.")             \
    X(ERRORS_NO_MODEL, 400, "model_required", "invalid_request_error", "invalid_request_error",    \
      UNSAID, "The request names no model.")                                                       \
    X(ERRORS_NO_KEY, 401, "missing_api_key", "invalid_request_error", "authentication_error",      \
      UNSAID, "No API key was given.")                                                             \
    X(ERRORS_BAD_KEY, 401, "invalid_api_key", "invalid_request_error", "authentication_error",     \
      UNSAID, "The API key is not valid.")                                                         \
    X(ERRORS_KEY_EXPIRED, 401, "expired_api_key", "invalid_request_error", "authentication_error", \
      UNSAID, "The API key has expired.")                                                          \
    X(ERRORS_MODEL_DENIED, 403, "model_not_allowed", "invalid_request_error", "permission_error",  \
      UNSAID, "The API key may not use this model.")                                               \
    X(ERRORS_ENDPOINT_DENIED, 403, "endpoint_not_allowed", "invalid_request_error",                \
      "permission_error", UNSAID, "The API key may not use this endpoint.")                        \
    X(ERRORS_NO_PATH, 404, "unknown_path", "invalid_request_error", "not_found_error", UNSAID,     \
      "There is no such endpoint.")                                                                \
    X(ERRORS_UNKNOWN_MODEL, 404, "model_not_found", "invalid_request_error", "not_found_error",    \
      UNSAID, "There is no such model.")                                                           \
    X(ERRORS_BAD_METHOD, 405, "method_not_allowed", "invalid_request_error",                       \
      "invalid_request_error", UNSAID, "The endpoint has no such method.")                         \
    X(ERRORS_TOO_LARGE, 413, "payload_too_large", "invalid_request_error", "request_too_large",    \
      UNSAID, "The request's body is larger than the ceiling.")                                    \
    X(ERRORS_TOO_DEEP, 413, "nesting_too_deep", "invalid_request_error", "request_too_large",      \
      UNSAID, "The request's body is nested too deeply.")                                          \
    X(ERRORS_URI_TOO_LONG, 414, "uri_too_long", "invalid_request_error", "invalid_request_error",  \
      UNSAID, "The request line is too long.")                                                     \
    X(ERRORS_BAD_TYPE, 415, "unsupported_media_type", "invalid_request_error",                     \
      "invalid_request_error", UNSAID, "The endpoint takes no body of this type or encoding.")     \
    X(ERRORS_RATE_REQUESTS, 429, "rate_limit_requests", "requests", "rate_limit_error", UNSAID,    \
      "The API key's requests per minute are used up.")                                            \
    X(ERRORS_RATE_TOKENS, 429, "rate_limit_tokens", "tokens", "rate_limit_error", UNSAID,          \
      "The API key's tokens per minute are used up.")                                              \
    X(ERRORS_CONCURRENCY, 429, "concurrency_limit", "requests", "rate_limit_error", UNSAID,        \
      "The API key has too many requests in flight.")                                              \
    X(ERRORS_BUDGET, 429, "budget_exhausted", "insufficient_quota", "rate_limit_error", NO,        \
      "The budget is used up.")                                                                    \
    X(ERRORS_BLOCKED, 400, "content_blocked", "invalid_request_error", "invalid_request_error",    \
      NO, "The project's policy does not let this content through.")                               \
    X(ERRORS_INTERNAL, 500, "internal_error", "server_error", "api_error", UNSAID,                 \
      "The gateway failed.")                                                                       \
    X(ERRORS_BAD_CODING, 501, "unsupported_transfer_coding", "invalid_request_error",              \
      "invalid_request_error", UNSAID, "The request has a transfer coding other than chunked.")    \
    X(ERRORS_BAD_GATEWAY, 502, "bad_gateway", "server_error", "api_error", UNSAID,                 \
      "The provider could not be reached or gave no valid answer.")                                \
    X(ERRORS_CUT, 502, "upstream_cut", "server_error", "api_error", UNSAID,                        \
      "The provider's answer ended before it was whole.")                                          \
    X(ERRORS_NO_PROVIDER, 503, "no_provider", "server_error", "overloaded_error", YES,             \
      "No provider of this model is available at the moment.")                                     \
    X(ERRORS_OVERLOADED, 503, "overloaded", "server_error", "overloaded_error", YES,               \
      "The gateway is at its capacity.")                                                           \
    X(ERRORS_UNINSPECTED, 503, "inspection_failed", "server_error", "api_error", UNSAID,           \
      "The gateway could not inspect the request, and so does not forward it.")                    \
    X(ERRORS_TIMEOUT, 504, "upstream_timeout", "server_error", "timeout_error", UNSAID,            \
      "The provider did not answer in time.")

enum errors_code {
#define ERRORS_ENUM_(name, status, code, openai, anthropic, retry, text) name,
    ERRORS_TABLE(ERRORS_ENUM_)
#undef ERRORS_ENUM_
        ERRORS_COUNT
};

#define ERRORS_DETAIL 256 /* more of a detail is left out */
#define ERRORS_MAX 3072   /* no body or event is longer */

/* Status 500 and its kin for a number out of range. */
uint16_t errors_status(enum errors_code code);
const char *errors_name(enum errors_code code); /* "invalid_api_key"; also for logs and metrics */
enum errors_retry errors_retry(enum errors_code code);

/* What is said about one refusal; strings borrow. */
struct errors_said {
    enum errors_code code;
    const char *detail; /* UTF-8, put after the sentence; a model's name, say; may be NULL */
    size_t detail_len;
    const char *param;      /* OpenAI's `param`: the member that is wrong; may be NULL */
    const char *request_id; /* Anthropic's `request_id`; may be NULL */
};

/*
 * The body, NUL-terminated; returns its length.
 *   OpenAI     {"error":{"message":...,"type":...,"param":...,"code":...}}
 *   Anthropic  {"type":"error","error":{"type":...,"message":...},"request_id":...}
 * Anthropic's has no place for the code, which is then in the message. Outside text is escaped, and
 * bytes that are not UTF-8 become "?".
 */
size_t errors_body(char out[ERRORS_MAX], enum dialect_family family, const struct errors_said *e);
/* The same as a server-sent event, for a stream that breaks off. */
size_t errors_event(char out[ERRORS_MAX], enum dialect_family family, const struct errors_said *e);

#endif
