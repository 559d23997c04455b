/* A body in ClickHouse's framing: what is taken keeps the ceiling. The checksums of the input are made right first, as
 * far as its lengths say where they are, or nothing behind them would be reached. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"
#include "read/http/cityhash.h"
#include "read/http/framed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t *p = malloc(size + 1);
    struct buf out;
    memcpy(p, data, size);
    for (size_t at = 0; size && p[0] & 1 && size - at >= 25;) {
        const size_t n = get_u32(p + at + 17);
        if (n < 9 || n > size - at - 16)
            break;
        cityhash_128(p + at + 16, n, p + at);
        at += 16 + n;
    }
    buf_init(&out, 65536);
    int rc = framed_decode(p, size, &out);
    if ((rc && rc != ERR_SYNTAX && rc != ERR_LIMIT) || out.len > 65536)
        abort();
    buf_wipe(&out);
    free(p);
    return 0;
}
