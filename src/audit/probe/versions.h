#ifndef AUDIT_PROBE_VERSIONS_H
#define AUDIT_PROBE_VERSIONS_H
/*
 * Which versions get fixes. Dated: what is judged by it says the date.
 *
 * ClickHouse numbers its releases YEAR.MONTH. By its SECURITY.md those get fixes that are the last
 * three, and the long-term ones (x.3 and x.8) for a year. To bring this up to date: look whether
 * that policy still holds (github.com/ClickHouse/ClickHouse, SECURITY.md), change the table if it
 * does not, and the date in any case.
 */
#include <stdbool.h>
#include <stdio.h>
#include <time.h>

#define VERSIONS_AS_OF "2026-11-30"

static const struct {
    int month;  /* of the release; 0: any other */
    int months; /* that it gets fixes */
} versions_clickhouse[] = {
    {3, 13}, {8, 13}, {0, 4}}; /* with a month to spare: releases come late */

/* "26.8.3.1"; what is no such number is not old. */
static inline bool versions_clickhouse_old(const char *version, time_t now) {
    int year, month;
    struct tm tm;
    if (sscanf(version, "%d.%d", &year, &month) != 2 || year < 1 || year > 99 ||
        !gmtime_r(&now, &tm))
        return false;
    const int age = (tm.tm_year - 100) * 12 + tm.tm_mon + 1 - (year * 12 + month);
    for (size_t i = 0; i < sizeof versions_clickhouse / sizeof versions_clickhouse[0]; i++)
        if (versions_clickhouse[i].month == month || !versions_clickhouse[i].month)
            return age > versions_clickhouse[i].months;
    return false;
}

#endif
