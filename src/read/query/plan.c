/* plan.h. Runs in the command line and the console. */
#include "read/query/plan.h"

#include <sodium.h>

#include "base/err.h"

void plan_gather(void *arg, const struct cell *cells, size_t n, struct opened *ret) {
    struct buf *hashes = arg;
    for (size_t i = 0; i < n; i++) {
        uint8_t hash[32];
        crypto_generichash(hash, sizeof hash, cells[i].context,
                           cells[i].context_len + cells[i].envelope_len, NULL, 0);
        ret[i].rc = ERR_AGAIN;
        buf_init(&ret[i].text, 0);
        if (hashes->len < PLAN_BYTES)
            ret[i].rc = buf_append(hashes, hash, sizeof hash) ? ERR_NOMEM : ERR_AGAIN;
    }
}

int plan_discard(void *arg, const void *p, size_t len) {
    (void)arg;
    (void)p;
    (void)len;
    return 0;
}
