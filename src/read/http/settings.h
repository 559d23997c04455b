#ifndef HTTP_SETTINGS_H
#define HTTP_SETTINGS_H
/*
 * ClickHouse's settings in the URL: which a client may name. None of them reaches the engine, so none can
 * weaken anything; those that would have to change what comes back are refused rather than ignored, unless
 * they ask for what is done anyway.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "read/http/exception.h"

struct http_settings {
    uint32_t seconds_max; /* 0: the store's own limit */
    uint64_t rows_max;    /* 0: the same */
    bool compression;     /* enable_http_compression */
    bool wait_end;        /* wait_end_of_query */
    uint32_t protocol;    /* client_protocol_version; 0: none is named */
};

/* ERR_DENIED and READONLY, ERR_SYNTAX and BAD_ARGUMENTS. */
int http_setting(struct http_settings *s, const char *name, size_t name_len, const char *value,
                 size_t value_len, struct http_why *why);

#endif
