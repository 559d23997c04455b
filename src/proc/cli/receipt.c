/* Receipts as people keep them (receipt.h). */
#include "proc/cli/receipt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/limits.h"
#include "ipc/msg.h"
#include "proc/cli/cli.h"

void receipt_init(struct receipt *r) {
    buf_init(&r->note, LIMIT_FRAME);
    buf_init(&r->proof, LIMIT_FRAME);
    buf_init(&r->checkpoint, LIMIT_FRAME);
}

void receipt_done(struct receipt *r) {
    buf_wipe(&r->note);
    buf_wipe(&r->proof);
    buf_wipe(&r->checkpoint);
}

int receipt_take(void *receipt, uint16_t msg, const uint8_t *p, size_t len) {
    struct receipt *r = receipt;
    struct buf *to = msg == MSG_RECEIPT      ? &r->note
                     : msg == MSG_PROOF      ? &r->proof
                     : msg == MSG_CHECKPOINT ? &r->checkpoint
                                             : NULL;
    return to ? buf_append(to, p, len) : ERR_DENIED;
}

static int put(json_t *o, const char *key, const struct buf *b) {
    return b->len ? json_object_set_new(o, key, json_stringn((const char *)b->p, b->len)) : 0;
}

json_t *receipt_object(const char *kind, const struct receipt *r) {
    json_t *o = r->note.len ? json_pack("{s:s}", "receipt", kind) : NULL;
    if (o && !put(o, "note", &r->note) && !put(o, "proof", &r->proof) &&
        !put(o, "checkpoint", &r->checkpoint))
        return o;
    json_decref(o);
    return NULL;
}

int receipt_write(const char *path, const char *kind, const struct receipt *r) {
    char name[CLI_PATH];
    if (snprintf(name, sizeof name, "%s.receipt", path) >= (int)sizeof name)
        return ERR_LIMIT;
    json_t *o = receipt_object(kind, r);
    char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
    int fd = text ? open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1;
    int rc = !text ? ERR_NOMEM : fd < 0 ? err_from_errno(errno) : 0;
    if (!rc && (dprintf(fd, "%s\n", text) < 0 || fsync(fd)))
        rc = ERR_IO;
    if (fd >= 0 && close(fd))
        rc = ERR_IO;
    free(text);
    json_decref(o);
    return rc;
}
