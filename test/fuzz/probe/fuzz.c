/* A server that answers anything: every probe over connections whose bytes come from the input. The
 * result's texts are printable whatever came. Connections and the detector are stood in for here.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "audit/probe/probe.h"
#include "../audit.h"
#include "../answers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct http_answer answers[2];
    static const uint16_t ports[] = {1, 3306, 5432, 6379, 8123, 9000, 9440, 27017};
    struct sampler sampler = {.wanted = true};
    struct probe_result result;
    const struct conn_rules rules = {.timeout_ms = 10};
    if (!size)
        return 0;
    input = data + 1;
    left = size - 1;
    struct probe p = {.rules = &rules,
                      .pair = {"127.0.0.1", ports[data[0] % 8]},
                      .sign_in = true,
                      .sampler = &sampler,
                      .http = &answers[0],
                      .root = &answers[1],
                      .result = &result};
    probe_target(&p);
    check_result(&result);
    return 0;
}
