/*
 * The texts of refusal.h, put together at compile time.
 */
#include "write/gateway/refusal.h"

#define ERROR_JSON(type, code, message)                                                            \
    "{\"error\":{\"message\":\"" message "\",\"type\":\"" type                                     \
    "\",\"param\":null,\"code\":\"" code "\"}}"

static const struct refusal table[] = {
#define REFUSAL_ROW_(name, http, type, code, message)                                              \
    [name] = {http, ERROR_JSON(type, code, message), sizeof ERROR_JSON(type, code, message) - 1},
    REFUSALS(REFUSAL_ROW_)
#undef REFUSAL_ROW_
};

#define CUT_EVENT                                                                                  \
    "data: " ERROR_JSON(REFUSAL_SERVER, "upstream_cut",                                            \
                        "The model provider broke off in the middle of its answer; what came is "  \
                        "not whole. Try again.") "\n\n"

const char refusal_cut_event[] = CUT_EVENT;
const size_t refusal_cut_event_len = sizeof CUT_EVENT - 1;

const struct refusal *refusal_get(enum refusal_name name) {
    return &table[name];
}

const struct refusal *refusal_of_status(unsigned status) {
    switch (status) {
    case 400:
    case 505:
        return &table[REFUSAL_MALFORMED]; /* of nginx's own reading of the request */
    case 401:
        return &table[REFUSAL_KEY];
    case 404:
        return &table[REFUSAL_PATH];
    case 405:
        return &table[REFUSAL_METHOD];
    case 413:
        return &table[REFUSAL_SIZE];
    case 414:
        return &table[REFUSAL_URI];
    case 501:
        return &table[REFUSAL_CODING];
    case 502:
        return &table[REFUSAL_UPSTREAM];
    case 503:
        return &table[REFUSAL_FULL];
    case 504:
        return &table[REFUSAL_TIMEOUT];
    default:
        return &table[status < 500 ? REFUSAL_CLIENT_OTHER : REFUSAL_INTERNAL];
    }
}
