/*
 * The intention to erase a person: D/vault/erasing, one record in a file that always has its full
 * size. Overwriting 512 bytes in place is durable with one fdatasync, where a transaction of vault.db
 * takes four; an erasure waits for it, between somebody's wish and the receipt.
 *
 *     8 "sherase1" | 16 erasure id | u32 pepper number | 32 tag | 32 BLAKE2b-256 of the 60 before | zeros
 *
 * It names the person by the tag, which is random to whoever has not the pepper: the ids are those that
 * vault.db has under it. Zeros: nobody is being erased. A record that its hash does not confirm was
 * never durable, so nothing rests on it.
 */
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/err.h"
#include "read/subject/keys_int.h"

#define MAGIC "sherase1"
#define HASHED (8 + KEYS_ERASURE_BYTES + 4 + KEYS_TAG_BYTES)
#define RECORD_BYTES 512
#define PATH_BYTES 4096

static int write_record(const struct keys *k, const uint8_t record[RECORD_BYTES]) {
    ssize_t n = pwrite(k->intent_fd, record, RECORD_BYTES, 0);
    if (n == RECORD_BYTES && fdatasync(k->intent_fd) == 0)
        return 0;
    return n >= 0 && n < RECORD_BYTES ? ERR_IO : err_from_errno(errno);
}

static void parse(struct keys_intent *i, const uint8_t record[RECORD_BYTES]) {
    uint8_t hash[32];
    crypto_generichash(hash, sizeof hash, record, HASHED, NULL, 0);
    i->there = !memcmp(record, MAGIC, 8) && !memcmp(hash, record + HASHED, sizeof hash);
    memcpy(i->erasure, record + 8, KEYS_ERASURE_BYTES);
    i->pepper_number = get_u32(record + 8 + KEYS_ERASURE_BYTES);
    memcpy(i->tag, record + 12 + KEYS_ERASURE_BYTES, KEYS_TAG_BYTES);
}

/* Its full size, and its place in the folder, before anything rests on it. */
static int grow(const struct keys *k) {
    static const uint8_t none[RECORD_BYTES];
    int rc = write_record(k, none);
    return rc ? rc : keys_sync_folder(k->dir);
}

int keys_intent_open(struct keys *k) {
    char path[PATH_BYTES];
    uint8_t record[RECORD_BYTES];
    struct stat st;
    int n = snprintf(path, sizeof path, "%s/" KEYS_FILE_INTENT, k->dir);
    if (n < 0 || (size_t)n >= sizeof path)
        return ERR_LIMIT;
    k->intent_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (k->intent_fd < 0 || fstat(k->intent_fd, &st))
        return err_from_errno(errno);
    if (st.st_size < RECORD_BYTES)
        return grow(k);
    if (pread(k->intent_fd, record, sizeof record, 0) != RECORD_BYTES)
        return ERR_IO;
    parse(&k->intent, record);
    return 0;
}

void keys_intent_close(struct keys *k) {
    if (k->intent_fd >= 0)
        close(k->intent_fd);
    k->intent_fd = -1;
}

int keys_erase_intend(struct keys *k, const uint8_t erasure[KEYS_ERASURE_BYTES],
                      const struct keys_person *p) {
    uint8_t record[RECORD_BYTES] = MAGIC;
    if (p->held_since_us)
        return ERR_DENIED;
    if (k->intent.there)
        return ERR_EXISTS;
    memcpy(record + 8, erasure, KEYS_ERASURE_BYTES);
    put_u32(record + 8 + KEYS_ERASURE_BYTES, k->pepper_number);
    memcpy(record + 12 + KEYS_ERASURE_BYTES, p->tag, KEYS_TAG_BYTES);
    crypto_generichash(record + HASHED, 32, record, HASHED, NULL, 0);
    int rc = write_record(k, record);
    if (!rc)
        parse(&k->intent, record);
    return rc;
}

int keys_erase_forget(struct keys *k) {
    static const uint8_t none[RECORD_BYTES];
    int rc = write_record(k, none);
    if (!rc)
        sodium_memzero(&k->intent, sizeof k->intent);
    return rc;
}

int keys_erase_unfinished(const struct keys *k, uint8_t ret_erasure[KEYS_ERASURE_BYTES]) {
    if (!k->intent.there)
        return ERR_NOTFOUND;
    memcpy(ret_erasure, k->intent.erasure, KEYS_ERASURE_BYTES);
    return 0;
}
