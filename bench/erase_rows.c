/* Fills a store's folder with rows of one subject, for bench/erase.mjs: turns with envelopes of random
 * bytes, through the store's own insert path.   erase_rows FOLDER SUBJECT ROWS */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/uuid.h"
#include "store/store.h"

#define EACH 10000
#define ENVELOPE 200

static int insert(struct store *s, const uint8_t *subject, uint64_t batch, uint64_t now) {
    struct buf rows;
    static uint8_t envelope[ENVELOPE];
    struct turn_row t = {.time_us = now, .envelope = envelope, .envelope_len = ENVELOPE};
    int rc = 0;
    buf_init(&rows, 64u << 20);
    strcpy(t.ctx.tenant, "default");
    strcpy(t.ctx.project, "default");
    strcpy(t.ctx.dialect, "openai.chat");
    memcpy(t.ctx.subject, subject, UUID_BYTES);
    for (uint32_t i = 0; !rc && i < EACH; i++) {
        const struct rows_place place = {77, batch, i};
        randombytes_buf(envelope, sizeof envelope);
        randombytes_buf(t.ctx.record, UUID_BYTES);
        memcpy(t.ctx.conversation, t.ctx.record, UUID_BYTES);
        rc = rows_encode_turn(&rows, &t, &place);
    }
    const struct store_piece piece = {rows.p, rows.len};
    if (!rc)
        rc = store_insert(s, ROWS_TURNS, 77, batch, &piece, 1);
    buf_wipe(&rows);
    return rc;
}

int main(int argc, char **argv) {
    struct store *s;
    uint8_t subject[UUID_BYTES];
    if (argc != 4 || sodium_init() < 0 || !uuid_parse(subject, argv[2], UUID_TEXT))
        return 2;
    int rc = store_open(argv[1], &s);
    const uint64_t batches = strtoull(argv[3], NULL, 10) / EACH;
    for (uint64_t b = 1; !rc && b <= batches; b++)
        rc = insert(s, subject, b, clock_wall_us());
    if (!rc)
        store_close(s);
    return rc ? 1 : 0;
}
