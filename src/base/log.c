/* The events of log.h: formatted in one stack buffer, written with one write(2). */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"

static const char *program = "safehouse";

void log_program(const char *name) {
    program = name;
}

void log_event(const char *event, ...) {
    char line[1024];
    const size_t room = sizeof line - 3;
    int n = snprintf(line, room, "{\"time_us\":%llu,\"program\":\"%s\",\"event\":\"%s\"",
                     (unsigned long long)clock_wall_us(), program, event);
    va_list ap;
    va_start(ap, event);
    for (;;) {
        struct log_field f = va_arg(ap, struct log_field);
        if (f.kind == LOG_KIND_END || n < 0 || (size_t)n >= room)
            break;
        size_t left = room - (size_t)n;
        if (f.kind == LOG_KIND_U64)
            n += snprintf(line + n, left, ",\"%s\":%llu", f.name, (unsigned long long)f.number);
        else
            n += snprintf(line + n, left, ",\"%s\":\"%s\"", f.name,
                          f.kind == LOG_KIND_WORD ? f.word : err_name(f.code));
    }
    va_end(ap);
    if (n < 0)
        return;
    size_t len = (size_t)n < room ? (size_t)n : room - 1;
    line[len++] = '}';
    line[len++] = '\n';
    if (write(STDERR_FILENO, line, len) < 0)
        return; /* nowhere left to say it */
}
