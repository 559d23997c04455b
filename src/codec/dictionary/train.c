/*
 * Makes a zstd dictionary of chosen text: train FOLDER OUT
 *
 * FOLDER holds what samples.mjs wrote. The dictionary's text is `content`, cut at the front to what
 * fits; its entropy tables come from compressing `samples` against `half`, by the header that zstd
 * puts before a dictionary of `half`.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ZDICT_STATIC_LINKING_ONLY
#include <zdict.h>

#include "base/bytes.h"

#define DICTIONARY_BYTES (110u << 10)
#define HEADER_MAX 4096u /* of a dictionary's head with its tables */
#define LEVEL 5          /* as codec_compress.c */
#define SAMPLES_MAX 65536

struct bytes {
    uint8_t *p;
    size_t len;
};

static struct bytes load(const char *folder, const char *name) {
    char path[4096];
    struct bytes b = {NULL, 0};
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "rb");
    if (!f || fseek(f, 0, SEEK_END) || (b.len = (size_t)ftell(f)) == 0 || !(b.p = malloc(b.len)) ||
        fseek(f, 0, SEEK_SET) || fread(b.p, 1, b.len, f) != b.len) {
        perror(path);
        exit(1);
    }
    fclose(f);
    return b;
}

/* Takes the lengths out of `samples`, so that what is left is the samples one after another. */
static unsigned split(struct bytes *samples, size_t sizes[SAMPLES_MAX]) {
    unsigned n = 0;
    size_t to = 0;
    for (size_t at = 0; at + 4 <= samples->len && n < SAMPLES_MAX; n++) {
        sizes[n] = get_u32(samples->p + at);
        memmove(samples->p + to, samples->p + at + 4, sizes[n]);
        to += sizes[n];
        at += 4 + sizes[n];
    }
    return n;
}

int main(int argc, char **argv) {
    static size_t sizes[SAMPLES_MAX];
    static uint8_t dictionary[2 * DICTIONARY_BYTES];
    if (argc != 3)
        return 2;
    struct bytes content = load(argv[1], "content"), half = load(argv[1], "half");
    struct bytes samples = load(argv[1], "samples");
    unsigned n = split(&samples, sizes);
    const ZDICT_params_t params = {.compressionLevel = LEVEL, .dictID = 1};
    if (half.len + HEADER_MAX > sizeof dictionary) {
        fprintf(stderr, "the corpus is too large\n");
        return 1;
    }
    size_t made = ZDICT_finalizeDictionary(dictionary, half.len + HEADER_MAX, half.p, half.len,
                                           samples.p, sizes, n, params);
    if (ZDICT_isError(made)) {
        fprintf(stderr, "%s\n", ZDICT_getErrorName(made));
        return 1;
    }
    size_t header = ZDICT_getDictHeaderSize(dictionary, made);
    size_t room = DICTIONARY_BYTES - header;
    size_t take = content.len < room ? content.len : room;
    FILE *f = fopen(argv[2], "wb");
    if (!f || fwrite(dictionary, 1, header, f) != header ||
        fwrite(content.p + content.len - take, 1, take, f) != take || fclose(f)) {
        perror(argv[2]);
        return 1;
    }
    printf("%zu bytes: %zu of tables, %zu of text (%zu left out), from %u samples\n", header + take,
           header, take, content.len - take, n);
    return 0;
}
