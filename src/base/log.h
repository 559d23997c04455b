#ifndef BASE_LOG_H
#define BASE_LOG_H
/*
 * Structured events of the programs, one JSON line each on standard error. A field for bodies, keys,
 * names or any outside text does not exist: a value is a number, a fixed word of this source, or an
 * error code. Library code does not log; only src/proc does.
 *
 *   log_event("batch-shipped", LOG_U64("number", n), LOG_U64("rows", rows), LOG_END);
 */
#include <stdint.h>

enum log_kind { LOG_KIND_END, LOG_KIND_U64, LOG_KIND_WORD, LOG_KIND_ERR };

struct log_field {
    enum log_kind kind;
    const char *name;
    uint64_t number;
    const char *word; /* a literal of this source, never outside bytes */
    int code;
};

#define LOG_U64(n, v) ((struct log_field){.kind = LOG_KIND_U64, .name = (n), .number = (v)})
#define LOG_WORD(n, w) ((struct log_field){.kind = LOG_KIND_WORD, .name = (n), .word = (w)})
#define LOG_ERR(c) ((struct log_field){.kind = LOG_KIND_ERR, .name = "error", .code = (c)})
#define LOG_END ((struct log_field){.kind = LOG_KIND_END})

/* Once, at the start: the program's name as it stands in every event. A literal. */
void log_program(const char *name);
void log_event(const char *event, ...);

#endif
