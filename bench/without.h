#ifndef BENCH_WITHOUT_H
#define BENCH_WITHOUT_H
/*
 * The detector without some of its rules, [from, to): what they cost is what it does less. All other rules, also those
 * of the user's, are in one database, which is compiled for the processor as the built-in one is chosen.
 *   hs_database_t *db = without_compile(d, 5, 6);
 *   struct detect others = without_make(d, w, 5, 6, db);
 *   ... detect_scan(&others, w, ...)
 *   without_done(&others);
 */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "write/detect/database.h"
#include "write/detect/detect_int.h"

static inline hs_database_t *without_compile(const struct detect *d, size_t from, size_t to) {
    struct rules others = d->rules;
    hs_platform_info_t here = {0}, platform;
    hs_database_t *db = NULL;
    char why[512];
    others.list = malloc(others.count * sizeof *others.list);
    CHECK(others.list != NULL);
    memcpy(others.list, d->rules.list, others.count * sizeof *others.list);
    for (size_t i = from; i < to; i++)
        others.list[i].kind = RULE_EMAIL; /* has no expression; the others keep their numbers */
    hs_populate_platform(&here);
    CHECK(database_platform(&platform, here.cpu_features & HS_CPU_FEATURES_AVX2 ? 1 : 0) == 0);
    CHECK(compile_rules(&db, &others, 0, others.count, &platform, why, sizeof why) == 0);
    free(others.list);
    return db;
}

/* Takes `db`; everything else that it does not make is borrowed from `d`. `w` serves it as well afterwards. */
static inline struct detect without_make(const struct detect *d, struct detect_work *w, size_t from, size_t to,
                                         hs_database_t *db) {
    struct detect others = *d;
    others.db[0] = db;
    others.db[1] = NULL;
    CHECK(hs_alloc_scratch(db, &w->scratch) == HS_SUCCESS);
    others.run_rules = calloc(d->run_rules_count + 1, sizeof *others.run_rules);
    CHECK(others.run_rules != NULL);
    others.run_rules_count = 0;
    for (size_t i = 0; i < d->run_rules_count; i++)
        if (d->run_rules[i] < from || d->run_rules[i] >= to)
            others.run_rules[others.run_rules_count++] = d->run_rules[i];
    for (int kind = 0; kind < RULE_KINDS; kind++)
        if (others.by_kind[kind] > from && others.by_kind[kind] <= to)
            others.by_kind[kind] = 0;
    return others;
}

static inline void without_done(struct detect *others) {
    free(others->run_rules);
    hs_free_database(others->db[0]);
}

#endif
