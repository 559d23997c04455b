/*
 * Nearest word by the optimal string alignment distance (insert, delete, replace, swap neighbours).
 * Words longer than the table below have no near one; nothing is allocated.
 */
#include "control/nearest.h"

#include <stddef.h>
#include <string.h>

#define LONGEST 32

static unsigned min3(unsigned a, unsigned b, unsigned c) {
    unsigned m = a < b ? a : b;
    return m < c ? m : c;
}

static unsigned edits(const char *a, size_t n, const char *b, size_t m) {
    unsigned d[LONGEST + 1][LONGEST + 1];
    for (unsigned i = 0; i <= n; i++)
        d[i][0] = i;
    for (unsigned j = 0; j <= m; j++)
        d[0][j] = j;
    for (size_t i = 1; i <= n; i++) {
        for (size_t j = 1; j <= m; j++) {
            unsigned other = a[i - 1] != b[j - 1];
            d[i][j] = min3(d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + other);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                d[i][j] = min3(d[i][j], d[i - 2][j - 2] + 1, d[i][j]);
        }
    }
    return d[n][m];
}

const char *nearest_name(const char *typed, const char *const *names) {
    size_t n = strlen(typed);
    const char *best = NULL;
    unsigned best_edits = 0;
    if (n > LONGEST)
        return NULL;
    for (; *names; names++) {
        size_t m = strlen(*names);
        if (m > LONGEST)
            continue;
        unsigned e = edits(typed, n, *names, m);
        if (e <= (m + 2) / 3 && (!best || e < best_edits)) {
            best = *names;
            best_edits = e;
        }
    }
    return best;
}
