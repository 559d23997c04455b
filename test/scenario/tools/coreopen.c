/*
 * Tries to open sealed records with nothing but a core file and the database: coreopen CORE ROWS
 *
 * ROWS holds lines "key ID WRAPPED" (hex, from data_keys) and "cell BASE64URL" (from turns). Every
 * 8-byte aligned 32-byte window of the core that looks random is tried as the data key, as any state
 * of its ratchet, as a record key and as the subject's secret. Prints what opened; exit 1 then.
 * `coreopen --self-test` shows on records of its own that each of these would be found.
 */
#include <fcntl.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "record/datakey.h"
#include "record/envelope.h"

#define ROWS_MAX 64
#define CELL_MAX 65536

struct cell {
    uint8_t bytes[CELL_MAX];
    size_t len, context_len;
};

struct rows {
    uint8_t id[ROWS_MAX][DATA_KEY_ID_BYTES];
    uint8_t wrapped[ROWS_MAX][DATA_KEY_WRAPPED_BYTES];
    size_t keys;
    struct cell *cell;
    size_t cells;
};

static bool add_cell(struct rows *r, const uint8_t *bytes, size_t len) {
    struct context ctx;
    struct cell *c = &r->cell[r->cells];
    if (len > CELL_MAX || context_decode(&ctx, bytes, len, &c->context_len))
        return false;
    memcpy(c->bytes, bytes, len);
    c->len = len;
    r->cells++;
    return true;
}

static bool opens_cell(const struct cell *c, const uint8_t key[32]) {
    static uint8_t plain[CELL_MAX];
    const uint8_t *envelope = c->bytes + c->context_len;
    size_t len = c->len - c->context_len;
    uint8_t ad[ENVELOPE_HEADER_BYTES + CONTEXT_MAX], nonce[12] = {0};
    memcpy(ad, envelope, ENVELOPE_HEADER_BYTES);
    memcpy(ad + ENVELOPE_HEADER_BYTES, c->bytes, c->context_len);
    return !crypto_aead_chacha20poly1305_ietf_decrypt(
        plain, NULL, NULL, envelope + ENVELOPE_HEADER_BYTES, len - ENVELOPE_HEADER_BYTES, ad,
        ENVELOPE_HEADER_BYTES + c->context_len, nonce, key);
}

static const char *opens(const struct rows *r, const uint8_t w[32], bool try_secret) {
    uint8_t id[DATA_KEY_ID_BYTES], k[32], record[32], pk[32];
    data_key_id(id, w);
    for (size_t i = 0; i < r->keys; i++)
        if (!memcmp(id, r->id[i], sizeof id))
            return "data key";
    for (size_t i = 0; i < r->cells; i++)
        if (opens_cell(&r->cell[i], w))
            return "record key";
    memcpy(k, w, sizeof k);
    for (size_t step = 0; step < r->cells; step++) {
        data_key_step(k, record);
        for (size_t i = 0; i < r->cells; i++)
            if (opens_cell(&r->cell[i], record))
                return "ratchet state";
    }
    if (!try_secret)
        return NULL;
    crypto_scalarmult_base(pk, w);
    for (size_t i = 0; i < r->keys; i++)
        if (!crypto_box_seal_open(k, r->wrapped[i], DATA_KEY_WRAPPED_BYTES, pk, w))
            return "subject secret";
    return NULL;
}

static bool looks_random(const uint8_t w[32]) {
    uint64_t seen[4] = {0};
    int distinct = 0;
    for (int i = 0; i < 32; i++) {
        uint64_t bit = 1ull << (w[i] & 63);
        distinct += !(seen[w[i] >> 6] & bit);
        seen[w[i] >> 6] |= bit;
    }
    return distinct >= 24; /* 32 random bytes: below 24 once in 10^5 */
}

static int search(const struct rows *r, const uint8_t *core, size_t len) {
    int found = 0;
    size_t tried = 0;
    for (size_t i = 0; i + 32 <= len; i += 8) {
        if (!looks_random(core + i))
            continue;
        tried++;
        const char *what = opens(r, core + i, i % 16 == 0);
        if (what) {
            printf("%s at offset %zu opens a sealed record\n", what, i);
            found = 1;
        }
    }
    printf("%zu windows tried against %zu keys and %zu records\n", tried, r->keys, r->cells);
    return found;
}

static int self_test(struct rows *r) {
    uint8_t pk[32], sk[32], k0[32], k[32], record[32], nonce[12] = {0};
    uint8_t bytes[1024], image[64], plain[] = "sealed";
    struct context ctx = {.tenant = "t", .project = "p", .field = CONTEXT_FIELD_TURN, .dialect = "d"};
    struct envelope_header h = {ENVELOPE_SUITE_CHACHA20POLY1305, 0, ENVELOPE_PADDING_PADME, {0}, 0};
    crypto_box_keypair(pk, sk);
    randombytes_buf(k0, sizeof k0);
    data_key_id(r->id[0], k0);
    crypto_box_seal(r->wrapped[0], k0, sizeof k0, pk);
    r->keys = 1;
    memcpy(h.data_key, r->id[0], sizeof h.data_key);
    memcpy(k, k0, sizeof k);
    data_key_step(k, record); /* k is the state after the record */
    uint8_t ad[ENVELOPE_HEADER_BYTES + CONTEXT_MAX];
    envelope_encode_header(ad, &h);
    size_t n = context_encode(ad + ENVELOPE_HEADER_BYTES, &ctx);
    memcpy(bytes, ad + ENVELOPE_HEADER_BYTES, n);
    memcpy(bytes + n, ad, ENVELOPE_HEADER_BYTES);
    crypto_aead_chacha20poly1305_ietf_encrypt(bytes + n + ENVELOPE_HEADER_BYTES, NULL, plain,
                                              sizeof plain, ad, ENVELOPE_HEADER_BYTES + n, NULL,
                                              nonce, record);
    if (!add_cell(r, bytes, n + ENVELOPE_HEADER_BYTES + sizeof plain + ENVELOPE_TAG_BYTES))
        return 1;
    const uint8_t *leaks[] = {k0, record, sk, k};
    for (int i = 0; i < 4; i++) {
        memset(image, 0, sizeof image);
        memcpy(image + 16, leaks[i], 32);
        if (search(r, image, sizeof image) != (i < 3))
            return 1;
    }
    return 0;
}

static void load(struct rows *r, const char *path) {
    static char line[2 * CELL_MAX];
    static uint8_t bytes[2 * CELL_MAX];
    FILE *f = fopen(path, "r");
    if (!f)
        exit(2);
    while (fgets(line, sizeof line, f)) {
        size_t len = strcspn(line, "\n");
        if (!strncmp(line, "key ", 4) && r->keys < ROWS_MAX) {
            if (!hex_decode(r->id[r->keys], DATA_KEY_ID_BYTES, line + 4, 2 * DATA_KEY_ID_BYTES) ||
                !hex_decode(r->wrapped[r->keys], DATA_KEY_WRAPPED_BYTES,
                            line + 5 + 2 * DATA_KEY_ID_BYTES, 2 * DATA_KEY_WRAPPED_BYTES))
                exit(2);
            r->keys++;
        } else if (!strncmp(line, "cell ", 5) && r->cells < ROWS_MAX) {
            long n = b64url_decode(bytes, line + 5, len - 5);
            if (n < 0 || !add_cell(r, bytes, (size_t)n))
                exit(2);
        }
    }
    fclose(f);
}

int main(int argc, char **argv) {
    struct rows *r = calloc(1, sizeof *r);
    if (sodium_init() < 0 || !r || !(r->cell = calloc(ROWS_MAX, sizeof *r->cell)))
        return 2;
    if (argc == 2 && !strcmp(argv[1], "--self-test"))
        return self_test(r);
    if (argc != 3) {
        fprintf(stderr, "usage: coreopen CORE ROWS | coreopen --self-test\n");
        return 2;
    }
    load(r, argv[2]);
    int fd = open(argv[1], O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) || r->cells == 0 || r->keys == 0)
        return 2;
    void *core = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    return core == MAP_FAILED ? 2 : search(r, core, (size_t)st.st_size);
}
