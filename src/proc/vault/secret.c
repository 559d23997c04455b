/*
 * Where was this value seen? The fingerprints of a value, under the classes and keys that a client
 * names, for `safehouse secret find`. An answer says nothing about any record; but with it and the
 * log somebody can try values, so it needs an unlocked vault, is in the ledger first, and is given
 * a few times a minute. The value is not kept, and not noted.
 */
#include <sodium.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/err.h"
#include "proc/vault/vault.h"
#include "record/fingerprint.h"

#define ASKED_MAX 10 /* in */
#define ASKED_NS 60000000000ull

/* u32 fingerprint key number | u8 n | n class */
struct wanted {
    uint32_t number;
    char class[LIMIT_NAME];
};

static int next_wanted(const uint8_t *p, size_t len, size_t *at, struct wanted *ret) {
    if (len - *at < 5 || p[*at + 4] >= LIMIT_NAME || p[*at + 4] > len - *at - 5)
        return ERR_SYNTAX;
    const size_t n = p[*at + 4];
    ret->number = get_u32(p + *at);
    memcpy(ret->class, p + *at + 5, n);
    ret->class[n] = 0;
    *at += 5 + n;
    return 0;
}

/* `key` is guarded memory to work in; consecutive ones of a number share its opening. */
static int tag_all(struct keys *k, const uint8_t *value, size_t value_len, const uint8_t *p,
                   size_t len, uint8_t *key, struct buf *out) {
    struct wanted w;
    uint32_t have = 0; /* numbers are from 1 */
    int rc = 0;
    for (size_t at = 0; !rc && at < len;) {
        char tag[FINGERPRINT_TEXT + 1] = {0};
        rc = next_wanted(p, len, &at, &w);
        int found = 0;
        if (!rc && w.number != have) {
            found = keys_fingerprint(k, w.number, key);
            have = found ? 0 : w.number;
        }
        if (!rc && found && found != ERR_NOTFOUND)
            rc = found;
        if (!rc && !found)
            fingerprint(tag, key, w.class, value, value_len);
        if (!rc)
            rc = buf_append(out, tag, FINGERPRINT_TEXT);
    }
    return rc;
}

int secret_tags(struct vault *v, const struct ledger_who *who, const uint8_t *p, size_t len,
                struct buf *out) {
    if (len < 2 || get_u16(p) > len - 2)
        return ERR_SYNTAX;
    const size_t n = get_u16(p);
    if (keys_locked(v->keys))
        return ERR_LOCKED;
    if (n == 0 || n > LIMIT_SECRET)
        return ERR_USAGE;
    if (!rate_take(&v->asked, ASKED_MAX, ASKED_NS, clock_mono_ns()))
        return ERR_AGAIN;
    int rc = note_question(v, who);
    if (rc)
        return rc == ERR_NOMEM ? rc : ERR_IO;
    uint8_t *key = sodium_malloc(FINGERPRINT_KEY_BYTES);
    rc = key ? tag_all(v->keys, p + 2, n, p + 2 + n, len - 2 - n, key, out) : ERR_NOMEM;
    sodium_free(key);
    return rc;
}
