/* native.h over binary.h's walk, without opening anything. */
#include "read/query/native.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"

struct native {
    uint32_t protocol;
    cells_write *write;
    void *arg;
    struct buf held;
};

bool native_differs(const char *format, uint32_t protocol) {
    return protocol >= BINARY_BLOCK_INFO && !strcmp(format, "Native");
}

int native_new(struct native **ret, uint32_t protocol, cells_write *write, void *arg) {
    struct native *n = calloc(1, sizeof *n);
    if (!n)
        return ERR_NOMEM;
    *n = (struct native){.protocol = protocol, .write = write, .arg = arg};
    buf_init(&n->held, NATIVE_HELD);
    *ret = n;
    return 0;
}

void native_free(struct native *n) {
    if (!n)
        return;
    buf_wipe(&n->held);
    free(n);
}

/* ERR_CORRUPT: it ends in the midst of a block. */
static int write_blocks(struct native *n) {
    struct binary *b;
    int rc = binary_new(&b, BINARY_NATIVE, n->protocol, n->held.p, n->held.len, NULL, NULL, n->write, n->arg);
    if (rc)
        return rc;
    while (!rc)
        rc = binary_step(b);
    binary_free(b);
    buf_clear(&n->held);
    return rc == ERR_NOTFOUND ? 0 : rc;
}

int native_feed(struct native *n, const void *p, size_t len, bool last) {
    int rc = buf_append(&n->held, p, len);
    if (!rc && last)
        rc = write_blocks(n);
    return rc == ERR_CORRUPT ? 0 : rc;
}

int native_finish(struct native *n) {
    return n->held.len ? write_blocks(n) : 0;
}
