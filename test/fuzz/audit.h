/* What the fuzz targets of the audit's prober have in common: a stand-in for the detector, which none of
 * them is about, and what every text that it keeps has to be. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "write/detect/detect.h"

int detect_new(struct detect **ret, const struct detect_options *o, char *why, size_t n) {
    (void)ret, (void)o, (void)why, (void)n;
    return -1;
}
void detect_free(struct detect *d) {
    (void)d;
}
int detect_work_new(struct detect_work **ret, const struct detect *d) {
    (void)ret, (void)d;
    return -1;
}
void detect_work_free(struct detect_work *w) {
    (void)w;
}

static void printable(const char *s, size_t size) {
    size_t n = strnlen(s, size);
    if (n == size)
        abort();
    for (size_t i = 0; i < n; i++)
        if (s[i] < 0x20 || s[i] == 0x7f)
            abort();
}
