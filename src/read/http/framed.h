#ifndef HTTP_FRAMED_H
#define HTTP_FRAMED_H
/*
 * ClickHouse's own framing (compress=1, decompress=1): blocks one after the other, numbers little-endian.
 *
 *   16 CityHash128 of what follows (cityhash.h) | u8 method | u32 bytes from the method on | u32 bytes when
 *   unpacked | the packed bytes
 *
 * Methods: 0x82 LZ4 (a block of its block format), 0x90 zstd, 0x02 none. (src/Compression/CompressionInfo.h in
 * ClickHouse's sources.)
 */
#include "base/buf.h"

#define FRAMED_BLOCK (256u << 10) /* of an answer, unpacked */

/* One block, LZ4, of len <= FRAMED_BLOCK bytes; nothing for none. */
int framed_put(struct buf *out, const uint8_t *p, size_t len);
/* All blocks of a body. ERR_SYNTAX: that is no such body, or damaged; ERR_LIMIT: out's ceiling. */
int framed_decode(const uint8_t *p, size_t len, struct buf *out);

#endif
