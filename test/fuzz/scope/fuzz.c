/* Scope files of any bytes: read or refused with a reason, and every pair is one that a line allows. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "audit/scope.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t nothing(const char *name, char (*out)[46], size_t max) {
    (void)name;
    memcpy(out[0], "192.0.2.7", 10);
    return max > 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct scope s;
    char why[SCOPE_WHY];
    int rc = scope_read(&s, (const char *)data, size, 1800000000, 2000, nothing, why);
    if (rc && !why[0])
        abort();
    if (!rc && (s.target_count == 0 || s.target_count > 2000))
        abort();
    for (size_t i = 0; !rc && i < s.target_count; i++)
        if (!s.targets[i].port || s.targets[i].line >= s.line_count)
            abort();
    if (!rc)
        scope_done(&s);
    return 0;
}
