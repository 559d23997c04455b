/* A ledger's file as somebody else may have left it: read to its end, or refused. Leaves too. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "read/ledger/leaf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int look(void *arg, const struct ledger_entry *e) {
    uint64_t *next = arg;
    if (e->index != (*next)++ || e->leaf_len > LEDGER_LEAF_MAX || !ledger_kind_name(e->kind) ||
        (e->who.commitment != NULL) != (e->who.sealed != NULL))
        abort();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint64_t next = 0;
    const struct ledger_walk walk = {.entry = look, .arg = &next};
    struct ledger_end end;
    struct ledger_entry e;
    int fd = memfd_create("ledger", MFD_CLOEXEC);
    if (fd < 0 || (size && write(fd, data, size) != (ssize_t)size))
        abort();
    if (!ledger_walk(fd, &walk, &end) && (end.bytes > size || end.tree.size > next))
        abort();
    close(fd);
    if (!ledger_leaf_decode(&e, data, size) && e.fields + e.fields_len > data + size)
        abort();
    return 0;
}
