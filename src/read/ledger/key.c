/*
 * The key that signs checkpoints: a file of its own beside the log, in clear, because a locked
 * vault signs too. Whoever has it can sign another history, which everybody notices who kept a
 * checkpoint (doc/threat-model.md).
 *
 *   ledger.key  8 "shledsk1" | 32 Ed25519 seed
 */
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "read/ledger/ledger_int.h"

#define MAGIC "shledsk1"
#define FILE_BYTES (8 + crypto_sign_ed25519_SEEDBYTES)

/* One buffer of guarded memory for the file and the key that it gives. */
struct making {
    uint8_t file[FILE_BYTES + 1];
};

static int expand(const struct making *m, uint8_t ret_public[NOTE_PUBLIC_BYTES],
                  uint8_t **ret_secret) {
    uint8_t *secret = sodium_malloc(crypto_sign_ed25519_SECRETKEYBYTES);
    if (!secret)
        return ERR_NOMEM;
    crypto_sign_ed25519_seed_keypair(ret_public, secret, m->file + 8);
    *ret_secret = secret;
    return 0;
}

static int write_file(int folder, const struct making *m) {
    int fd =
        openat(folder, LEDGER_KEY_FILE, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_from_errno(errno);
    int rc = write(fd, m->file, FILE_BYTES) == FILE_BYTES && fsync(fd) == 0 ? 0 : ERR_IO;
    close(fd);
    if (rc)
        unlinkat(folder, LEDGER_KEY_FILE, 0);
    return rc;
}

int ledger_key_create(int folder, uint8_t ret_public[NOTE_PUBLIC_BYTES], uint8_t **ret_secret) {
    struct making *m = sodium_malloc(sizeof *m);
    if (!m)
        return ERR_NOMEM;
    memcpy(m->file, MAGIC, 8);
    randombytes_buf(m->file + 8, crypto_sign_ed25519_SEEDBYTES);
    int rc = write_file(folder, m);
    if (!rc)
        rc = expand(m, ret_public, ret_secret);
    sodium_free(m);
    return rc;
}

int ledger_key_read(int folder, uint8_t ret_public[NOTE_PUBLIC_BYTES], uint8_t **ret_secret) {
    int fd = openat(folder, LEDGER_KEY_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return err_from_errno(errno);
    struct making *m = sodium_malloc(sizeof *m);
    int rc = m ? 0 : ERR_NOMEM;
    if (!rc) /* one more than it has, so that a longer one shows */
        rc = read(fd, m->file, sizeof m->file) == FILE_BYTES ? 0 : ERR_CORRUPT;
    if (!rc)
        rc = memcmp(m->file, MAGIC, 8) ? ERR_VERSION : expand(m, ret_public, ret_secret);
    sodium_free(m);
    close(fd);
    return rc;
}
