#ifndef CONTROL_MONEY_H
#define CONTROL_MONEY_H
/*
 * Amounts of money as integers: billionths ("nano") of a currency's unit, so that the cost of a
 * single token is exact. Decimal text to nano and back, without floating point.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MONEY_NANO UINT64_C(1000000000)
#define MONEY_TEXT 24 /* the longest amount with NUL: 18446744073.709551615 */

/* "12", "12.5", "0.000000001": digits, at most nine after the point. False when it is no such text
 * or does not fit. */
bool money_parse(const char *text, uint64_t *ret_nano);
/* The shortest decimal of it, without trailing zeros. */
void money_format(char out[MONEY_TEXT], uint64_t nano);

#endif
