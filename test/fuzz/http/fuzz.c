/* HTTP of a server that answers anything: what is taken for its status, headers and body stays
 * within the ceilings, a parse of the same bytes is the same, and whatever asks an answer something
 * reads within it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../audit.h"
#include "../answers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct http_answer a, b;
    static const char *const names[] = {"location", "server", "content-type", "x"};
    char value[64];
    char *raw = malloc(size ? size : 1); /* its own bounds, for the sanitizer */
    if (!raw)
        return 0;
    memcpy(raw, data, size);
    http_parse(&a, raw, size);
    http_parse(&b, raw, size);
    free(raw);
    if (memcmp(&a, &b, sizeof a) != 0 || a.head_len > HTTP_HEAD_MAX || a.body_len > HTTP_BODY_MAX)
        abort();
    if ((a.status && (a.status < 100 || a.status > 999)) || strlen(a.head) != a.head_len ||
        a.body[a.body_len])
        abort();
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (!http_header(&a, names[i], value, sizeof value) && value[0])
            abort();
    probe_http_refuses(&a);
    return 0;
}
