/* MSG_CONSOLE_QUERY's reader: what it gives lies in the payload, and is within its limits. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "proc/store/question.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t sum; /* every byte is read */

static void within(const char *p, size_t len, const uint8_t *from, size_t size) {
    if (len && ((const uint8_t *)p < from || (const uint8_t *)p + len > from + size))
        abort();
    for (size_t i = 0; i < len; i++)
        sum += (unsigned char)p[i];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct question q;
    uint8_t *copy = malloc(size + 1);
    memcpy(copy, data, size);
    int rc = question_read(&q, copy, size);
    if (rc == 0) {
        within(q.question.sql, q.question.sql_len, copy, size);
        within(q.question.format, q.question.format_len, copy, size);
        if (q.question.parameters_n > LIMIT_PARAMETERS)
            abort();
        for (size_t i = 0; i < q.question.parameters_n; i++) {
            within(q.parameters[i].name, q.parameters[i].name_len, copy, size);
            within(q.parameters[i].value, q.parameters[i].value_len, copy, size);
        }
        if (q.terms.all && q.terms.projects_len)
            abort();
    } else if (rc != ERR_SYNTAX && rc != ERR_LIMIT && rc != ERR_NOTFOUND) {
        abort();
    }
    question_done(&q);
    free(copy);
    return 0;
}
