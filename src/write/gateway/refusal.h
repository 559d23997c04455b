#ifndef GATEWAY_REFUSAL_H
#define GATEWAY_REFUSAL_H
/*
 * What the gateway answers by itself: one table of refusals, each with its whole body in OpenAI's
 * error shape, {"error":{"message","type","param","code"}}. Messages are fixed texts and say what
 * to do; nothing that a client sent is in them.
 */
#include <stddef.h>
#include <stdint.h>

#define REFUSAL_CLIENT "invalid_request_error"
#define REFUSAL_SERVER "server_error"

/*  name, HTTP status, type, code, message */
#define REFUSALS(X)                                                                                \
    X(REFUSAL_MALFORMED, 400, REFUSAL_CLIENT, "malformed_request",                                 \
      "The HTTP request is malformed or ambiguous (RFC 9112); send one Content-Length or "         \
      "Transfer-Encoding: chunked, and valid header lines.")                                       \
    X(REFUSAL_JSON, 400, REFUSAL_CLIENT, "invalid_json",                                           \
      "The request's body is not one valid JSON object in UTF-8; check quotes, commas and "        \
      "escapes, and send it again.")                                                               \
    X(REFUSAL_DEPTH, 400, REFUSAL_CLIENT, "json_too_deep",                                         \
      "The request's JSON is nested too deeply; send fewer levels of arrays and objects.")         \
    X(REFUSAL_NO_BODY, 400, REFUSAL_CLIENT, "missing_body",                                        \
      "The request has no body; send the chat completion request as a JSON object.")               \
    X(REFUSAL_BODY, 400, REFUSAL_CLIENT, "unexpected_body",                                        \
      "This request must not have a body; send it without Content-Length and "                     \
      "Transfer-Encoding.")                                                                        \
    X(REFUSAL_KEY, 401, REFUSAL_CLIENT, "invalid_api_key",                                         \
      "No valid API key was given; send a key of this gateway as 'Authorization: Bearer sh-...' "  \
      "or 'x-api-key: sh-...'. 'safehouse key create' makes one.")                                 \
    X(REFUSAL_PATH, 404, REFUSAL_CLIENT, "unknown_url",                                            \
      "This gateway serves POST /v1/chat/completions and GET /v1/models; check the client's base " \
      "URL, which ends in /v1.")                                                                   \
    X(REFUSAL_METHOD, 405, REFUSAL_CLIENT, "method_not_allowed",                                   \
      "This path does not take that method; use POST for /v1/chat/completions and GET for "        \
      "/v1/models.")                                                                               \
    X(REFUSAL_SIZE, 413, REFUSAL_CLIENT, "request_too_large",                                      \
      "The request's body is larger than this gateway takes; send fewer or smaller messages, or "  \
      "raise 'max_body' in its configuration.")                                                    \
    X(REFUSAL_URI, 414, REFUSAL_CLIENT, "uri_too_long",                                            \
      "The request line is too long; send parameters in the JSON body instead.")                   \
    X(REFUSAL_CLIENT_OTHER, 400, REFUSAL_CLIENT, "bad_request",                                    \
      "The request cannot be served as it is; compare it with the OpenAI API reference.")          \
    X(REFUSAL_INTERNAL, 500, REFUSAL_SERVER, "internal_error",                                     \
      "The gateway failed; try again, and look at 'safehouse status' if it goes on.")              \
    X(REFUSAL_CODING, 501, REFUSAL_CLIENT, "unsupported_transfer_coding",                          \
      "Only 'Transfer-Encoding: chunked' is understood; send the body so, or with a "              \
      "Content-Length.")                                                                           \
    X(REFUSAL_UPSTREAM, 502, REFUSAL_SERVER, "upstream_unavailable",                               \
      "The model provider cannot be reached or broke off before it answered; try again, and "      \
      "check the configured upstream URL if it goes on.")                                          \
    X(REFUSAL_FULL, 503, REFUSAL_SERVER, "overloaded",                                             \
      "The gateway has no room to log another exchange right now; try again after the time in "    \
      "Retry-After.")                                                                              \
    X(REFUSAL_TIMEOUT, 504, REFUSAL_SERVER, "upstream_timeout",                                    \
      "The model provider did not answer in time; try again.")

enum refusal_name {
#define REFUSAL_ENUM_(name, status, type, code, message) name,
    REFUSALS(REFUSAL_ENUM_)
#undef REFUSAL_ENUM_
};

struct refusal {
    uint16_t status;
    const char *body; /* JSON */
    size_t len;
};

const struct refusal *refusal_get(enum refusal_name name);
/* The refusal for a status that nginx itself came to. Never NULL. */
const struct refusal *refusal_of_status(unsigned status);

/* The event that tells a stream's client that the provider broke off. */
extern const char refusal_cut_event[];
extern const size_t refusal_cut_event_len;

#endif
