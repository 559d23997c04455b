#ifndef CODEC_CODEC_H
#define CODEC_CODEC_H
/*
 * Compression of turns: zstd with a dictionary that ships with the program, one frame a turn, no
 * window shared between turns (a record's length must tell nothing about another record). The
 * envelope names the dictionary by number, so that old records open for ever: a dictionary that was
 * shipped once is never changed or removed. doc/envelope.md lists them.
 *
 *   0   stored: the bytes are as they are (they did not shrink)
 *   1   src/codec/dictionary/1.zdict
 *
 * Compression is linked by the sealer alone (codec_compress.c), decompression by who renders
 * (codec_decompress.c); the vault and the store link neither.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define CODEC_STORED 0
#define CODEC_NEWEST 1

/* Appends the compressed bytes to `out`; *ret_dictionary tells how. Leaves no copy of the text behind
 * in memory of its own. ERR_NOMEM, ERR_LIMIT. */
int codec_compress(struct buf *out, const void *p, size_t len, uint8_t *ret_dictionary);

/* Appends the text. ERR_VERSION: no such dictionary; ERR_CORRUPT; ERR_LIMIT: more than `out` takes. */
int codec_decompress(uint8_t dictionary, const void *p, size_t len, struct buf *out);

#endif
