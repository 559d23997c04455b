/*
 * Receipts, of any bytes: nothing crashes, what is wrong is said, and with the golden ledger's key only
 * its own receipts hold (test/vectors/ledger.txt): whatever else holds was forged.
 */
#include <sodium.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "read/verify/verify_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TIME_US 1767229200000000ull

static void report(void *arg, const struct verify_finding *f) {
    (void)arg;
    if (!f->text[0] || strlen(f->text) >= VERIFY_TEXT)
        abort();
}

static void seed_key(struct verify_note_key *k) {
    uint8_t seed[32], public[32], secret[64];
    for (unsigned i = 0; i < sizeof seed; i++)
        seed[i] = (uint8_t)(0x40 + i);
    crypto_sign_ed25519_seed_keypair(public, secret, seed);
    verify_note_key_make(k, "safehouse.invalid/000102030405060708090a0b0c0d0e0f", public);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char file[] = "{\"type\":\"export\"}\n";
    struct verify_note_key k;
    uint8_t hash[SHA_BYTES];
    if (sodium_init() < 0)
        return 0;
    seed_key(&k);
    sha_two(hash, file, sizeof file - 1, "", 0);
    for (int known = 0; known < 2; known++) {
        struct verify_totals t = {0};
        struct verify_paper r;
        const struct verify_spec spec = {.key = known ? &k : NULL, .report = report};
        const bool holds = verify_receipt(&spec, "paper", data, size, hash, &t, &r);
        if (holds != (t.found + t.part == 0) || (holds && !known) || (holds && r.time_us != TIME_US))
            abort();
    }
    return 0;
}
