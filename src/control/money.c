/* Decimal amounts of money.h. Linked by whoever reads or shows an amount; holds no state. */
#include "control/money.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

bool money_parse(const char *text, uint64_t *ret_nano) {
    uint64_t whole = 0, part = 0, scale = MONEY_NANO;
    const char *p = text;
    if (*p < '0' || *p > '9')
        return false;
    for (; *p >= '0' && *p <= '9'; p++)
        if (__builtin_mul_overflow(whole, 10u, &whole) ||
            __builtin_add_overflow(whole, (uint64_t)(*p - '0'), &whole))
            return false;
    if (*p == '.') {
        if (p[1] < '0' || p[1] > '9')
            return false;
        for (p++; *p >= '0' && *p <= '9'; p++) {
            if (scale == 1)
                return false;
            scale /= 10;
            part += (uint64_t)(*p - '0') * scale;
        }
    }
    uint64_t nano;
    if (*p || __builtin_mul_overflow(whole, MONEY_NANO, &nano) ||
        __builtin_add_overflow(nano, part, &nano))
        return false;
    *ret_nano = nano;
    return true;
}

void money_format(char out[MONEY_TEXT], uint64_t nano) {
    int n =
        snprintf(out, MONEY_TEXT, "%" PRIu64 ".%09" PRIu64, nano / MONEY_NANO, nano % MONEY_NANO);
    while (out[n - 1] == '0')
        out[--n] = 0;
    if (out[n - 1] == '.')
        out[n - 1] = 0;
}
