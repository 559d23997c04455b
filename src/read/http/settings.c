/* The table of settings.h. Pure. */
#include "read/http/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

enum rule {
    ANY,     /* makes no difference here */
    ONLY,    /* with this value alone, which is what is done */
    SECONDS, /* a limit that may be lower than the store's */
    ROWS,
    COMPRESSION,
    WAIT_END,
    PROTOCOL,
};

static const struct {
    const char *name;
    enum rule rule;
    const char *value; /* of ONLY; alternatives with '|' */
} table[] = {
    /* limits */
    {"max_execution_time", SECONDS, NULL},
    {"max_result_rows", ROWS, NULL},
    {"result_overflow_mode", ONLY, "throw"},
    {"timeout_overflow_mode", ONLY, "throw"},
    {"readonly", ONLY, "1|2"},
    {"max_memory_usage", ANY, NULL}, /* the store's own holds */
    {"max_block_size", ANY, NULL},
    {"max_threads", ANY, NULL},
    {"log_queries", ONLY, "0"},
    {"use_query_cache", ONLY, "0"},
    /* HTTP */
    {"enable_http_compression", COMPRESSION, NULL},
    {"http_zlib_compression_level", ANY, NULL},
    {"network_compression_method", ONLY, "LZ4|lz4"}, /* of compress=1 */
    {"http_native_compression_disable_checksumming_on_decompress", ONLY, "0"},
    {"wait_end_of_query", WAIT_END, NULL},
    {"buffer_size", ANY, NULL},
    {"send_progress_in_http_headers", ANY, NULL},
    {"http_headers_progress_interval_ms", ANY, NULL},
    {"http_write_exception_in_output_format", ONLY, "0"},
    {"http_response_buffer_size", ANY, NULL},
    {"http_receive_timeout", ANY, NULL},
    {"http_send_timeout", ANY, NULL},
    {"http_connection_timeout", ANY, NULL},
    {"add_http_cors_header", ONLY, "0"},
    {"cancel_http_readonly_queries_on_client_close", ANY, NULL}, /* always */
    {"connect_timeout", ANY, NULL},
    {"receive_timeout", ANY, NULL},
    {"send_timeout", ANY, NULL},
    {"client_protocol_version", PROTOCOL, NULL},
    /* what comes back */
    {"extremes", ONLY, "0"},
    {"output_format_json_quote_64bit_integers", ONLY, "0"},
    {"output_format_json_quote_64bit_floats", ONLY, "0"},
    {"output_format_json_quote_denormals", ONLY, "0"},
    {"output_format_json_quote_decimals", ONLY, "0"},
    {"output_format_json_named_tuples_as_objects", ONLY, "1"},
    {"output_format_json_escape_forward_slashes", ONLY, "1"},
    {"output_format_json_array_of_rows", ONLY, "0"},
    {"output_format_binary_write_json_as_string", ANY, NULL}, /* there are no such columns */
    {"output_format_native_write_json_as_string", ANY, NULL},
    {"output_format_native_encode_types_in_binary_format", ONLY, "0"},
    {"output_format_csv_crlf_end_of_line", ONLY, "0"},
    {"output_format_tsv_crlf_end_of_line", ONLY, "0"},
    {"output_format_pretty_max_rows", ANY, NULL},
    {"output_format_pretty_max_value_width", ANY, NULL},
    {"output_format_pretty_color", ONLY, "0|auto"},
    {"output_format_parallel_formatting", ANY, NULL},
    {"output_format_write_statistics", ANY, NULL},
    {"date_time_output_format", ONLY, "simple"},
    {"date_time_input_format", ANY, NULL}, /* nothing is inserted */
    {"input_format_binary_read_json_as_string", ANY, NULL},
    {"session_timezone", ONLY, "UTC"},
    {"join_use_nulls", ONLY, "0"},
    {"prefer_column_name_to_alias", ONLY, "0"},
    {"allow_experimental_analyzer", ONLY, "1"},
    {"enable_analyzer", ONLY, "1"},
    {"log_comment", ANY, NULL}, /* nothing is logged; the store's own use of that name is its own */
    {"async_insert", ANY, NULL},
    {"wait_for_async_insert", ANY, NULL},
    {"insert_quorum", ANY, NULL},
    {"mutations_sync", ANY, NULL},
};

static bool is(const char *p, size_t len, const char *word) {
    return strlen(word) == len && !memcmp(p, word, len);
}

/* Is the value one of "a|b"? */
static bool one_of(const char *p, size_t len, const char *list) {
    for (const char *at = list; *at;) {
        const size_t n = strcspn(at, "|");
        if (n == len && !memcmp(p, at, n))
            return true;
        at += n + (at[n] == '|');
    }
    return false;
}

/* A number that is not negative; a fraction is rounded up (ClickHouse takes seconds as a float). */
static int number(const char *p, size_t len, uint64_t *ret) {
    char text[32];
    size_t n = strspn(memcpy(memset(text, 0, sizeof text), p, len < 31 ? len : 31), "0123456789");
    if (!n || len > 20)
        return ERR_SYNTAX;
    uint64_t v = strtoull(text, NULL, 10);
    if (text[n] == '.') {
        const size_t m = strspn(text + n + 1, "0123456789");
        v += strspn(text + n + 1, "0") < m;
        n += 1 + m;
    }
    *ret = v;
    return n == len ? 0 : ERR_SYNTAX;
}

static int boolean(const char *p, size_t len, bool *ret) {
    *ret = is(p, len, "1") || is(p, len, "true");
    return *ret || is(p, len, "0") || is(p, len, "false") ? 0 : ERR_SYNTAX;
}

int http_setting(struct http_settings *s, const char *name, size_t name_len, const char *value,
                 size_t value_len, struct http_why *why) {
    uint64_t v = 0;
    int rc = 0;
    size_t i = 0;
    while (i < sizeof table / sizeof table[0] && !is(name, name_len, table[i].name))
        i++;
    if (i == sizeof table / sizeof table[0])
        return http_say(why, ERR_DENIED, HTTP_READONLY,
                        "Cannot modify the setting '%.*s': the console takes limits that are lower than "
                        "its own and what makes no difference; doc/console.md lists them",
                        (int)(name_len < 64 ? name_len : 64), name);
    switch (table[i].rule) {
    case ANY:
        return 0;
    case ONLY:
        return one_of(value, value_len, table[i].value)
                   ? 0
                   : http_say(why, ERR_DENIED, HTTP_READONLY, "Cannot modify the setting '%s': it is %s here",
                              table[i].name, table[i].value);
    case SECONDS:
        rc = number(value, value_len, &v);
        s->seconds_max = v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;
        break;
    case ROWS:
        rc = number(value, value_len, &s->rows_max);
        break;
    case PROTOCOL:
        rc = number(value, value_len, &v);
        s->protocol = v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;
        break;
    case COMPRESSION:
        rc = boolean(value, value_len, &s->compression);
        break;
    case WAIT_END:
        rc = boolean(value, value_len, &s->wait_end);
        break;
    }
    return rc ? http_say(why, ERR_SYNTAX, HTTP_BAD_ARGUMENTS, "the setting %s has a value that it cannot have",
                         table[i].name)
              : 0;
}
