/* A spool file of any bytes: taking it over never fails hard, and what it gives holds a second time. */
#include <fcntl.h>
#include <sodium.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "write/spool/spool.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Checks are put right, or no input would get far. */
static void fix(uint8_t *p, size_t len) {
    uint8_t full[16];
    if (len < 64)
        return;
    memcpy(p, "shspool1", 8);
    crypto_generichash(full, 16, p, 56, NULL, 0);
    memcpy(p + 56, full, 8);
    for (size_t at = 64; len - at >= 16;) {
        uint32_t n = get_u32(p + at);
        if (n > len - at - 16)
            return;
        crypto_generichash(full, 16, p + at, 8 + n, NULL, 0);
        memcpy(p + at + 8 + n, full, 8);
        at += 16 + n;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static char dir[64], path[128];
    struct spool *s;
    if (!*dir) {
        snprintf(dir, sizeof dir, "%s/spoolfuzz-XXXXXX", P_tmpdir);
        if (sodium_init() < 0 || !mkdtemp(dir))
            abort();
        snprintf(path, sizeof path, "%s/%016x-%016x.spool", dir, 7, 1);
    }
    uint8_t *copy = malloc(size ? size : 1);
    memcpy(copy, data, size);
    if (size && data[size - 1] & 1)
        fix(copy, size);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (write(fd, copy, size) != (ssize_t)size)
        abort();
    close(fd);
    free(copy);
    if (spool_open(dir, 8, &s))
        abort();
    uint32_t rows = spool_batches(s) ? spool_batches(s)->head.rows : 0;
    bool damaged = spool_damaged(s);
    spool_close(s);
    if (!damaged) {
        if (spool_open(dir, 9, &s))
            abort();
        if (spool_damaged(s) || (spool_batches(s) ? spool_batches(s)->head.rows : 0) != rows)
            abort();
        spool_close(s);
    }
    unlink(path);
    char aside[160];
    snprintf(aside, sizeof aside, "%s.damaged", path);
    unlink(aside);
    return 0;
}
