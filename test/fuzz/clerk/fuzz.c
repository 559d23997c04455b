/* A command that comes from the console: what is taken is one of the table's, its words end, and a value is no
 * option of its own. */
#include <sodium.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "proc/cli/clerk_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct clerk_request r;
    if (sodium_init() < 0)
        abort();
    uint8_t *p = malloc(size + 1); /* no byte behind it may be read */
    memcpy(p, data, size);
    int rc = clerk_request_take(&r, p, size, ".", "/etc/safehouse.yaml");
    if (rc != 0 && rc != ERR_SYNTAX && rc != ERR_LIMIT)
        abort();
    if (!rc) {
        int ended = 0, behind = 0;
        if (r.argc < 3 || r.argc > CLERK_WORDS_MAX || r.argv[r.argc])
            abort();
        for (int i = 1; i < r.argc; i++) {
            behind += ended;
            if (!ended && i > 1 && strncmp(r.argv[i], "--", 2))
                abort();
            ended |= !strcmp(r.argv[i], "--");
        }
        if (behind > 1)
            abort();
    }
    clerk_request_done(&r);
    free(p);
    return 0;
}
