/*
 * A packed database is the hash of the rules that it was made of, and what hs_serialize_database gave,
 * which has its own checksum and the library's version in it.
 */
#include "write/detect/database.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

extern const char detect_rules_builtin[], detect_rules_builtin_end[];

/* Weak: the program that makes them is linked without, as are tests that need not start fast. */
extern const uint8_t detect_database_any[] __attribute__((weak)),
    detect_database_any_end[] __attribute__((weak)), detect_database_avx2[] __attribute__((weak)),
    detect_database_avx2_end[] __attribute__((weak));

#define HASH_BYTES 32

static void hash_rules(uint8_t out[static HASH_BYTES]) {
    crypto_generichash(out, HASH_BYTES, (const uint8_t *)detect_rules_builtin,
                       (size_t)(detect_rules_builtin_end - detect_rules_builtin), NULL, 0);
}

int database_platform(hs_platform_info_t *ret, int which) {
    *ret = (hs_platform_info_t){.cpu_features = which ? HS_CPU_FEATURES_AVX2 : 0};
    return which < DATABASE_KINDS ? 0 : ERR_NOTFOUND;
}

int database_pack(struct buf *out, const hs_database_t *db) {
    uint8_t hash[HASH_BYTES];
    char *bytes = NULL;
    size_t len = 0;
    if (hs_serialize_database(db, &bytes, &len) != HS_SUCCESS)
        return ERR_NOMEM;
    hash_rules(hash);
    int rc = buf_append(out, hash, sizeof hash);
    if (!rc)
        rc = buf_append(out, bytes, len);
    free(bytes);
    return rc;
}

static hs_database_t *unpack(const uint8_t *p, const uint8_t *end) {
    uint8_t hash[HASH_BYTES];
    hs_database_t *db = NULL;
    if (!p || end - p <= HASH_BYTES)
        return NULL;
    hash_rules(hash);
    if (memcmp(hash, p, sizeof hash) != 0)
        return NULL;
    p += sizeof hash;
    return hs_deserialize_database((const char *)p, (size_t)(end - p), &db) == HS_SUCCESS ? db : NULL;
}

hs_database_t *database_builtin(void) {
    hs_platform_info_t here = {0};
    hs_populate_platform(&here);
    hs_database_t *db = here.cpu_features & HS_CPU_FEATURES_AVX2
                            ? unpack(detect_database_avx2, detect_database_avx2_end)
                            : NULL;
    return db ? db : unpack(detect_database_any, detect_database_any_end);
}
