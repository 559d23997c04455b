/* tally.h. Runs in the command line and the console. */
#include "read/query/tally.h"

#include <stdio.h>

#include "base/err.h"

void tally_note(struct tally *t, int rc) {
    if (!rc) {
        t->opened++;
        return;
    }
    t->failed++;
    for (size_t i = 0; i < TALLY_REASONS; i++) {
        if (t->reasons[i].count == 0 || t->reasons[i].code == rc || i + 1 == TALLY_REASONS) {
            t->reasons[i].code = rc;
            t->reasons[i].count++;
            return;
        }
    }
}

void tally_text(const struct tally *t, char *out, size_t size) {
    size_t n = 0;
    out[0] = 0;
    for (size_t i = 0; i < TALLY_REASONS && t->reasons[i].count; i++) {
        int k = snprintf(out + n, size - n, "%s%s (%zu)", i ? ", " : "", err_text(t->reasons[i].code),
                         t->reasons[i].count);
        if (k < 0 || (size_t)k >= size - n)
            return;
        n += (size_t)k;
    }
}

bool tally_has(const struct tally *t, int code) {
    for (size_t i = 0; i < TALLY_REASONS; i++)
        if (t->reasons[i].count && t->reasons[i].code == code)
            return true;
    return false;
}
