/*
 * The secret of one subject, for tests that look for it afterwards: subjectkey FOLDER PASSPHRASE-FILE ID
 *
 * FOLDER is a copy of a vault's, of before the erasure. Prints 64 hex digits; exit 1: there is no such secret.
 */
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "read/subject/keys.h"

static int fail(const char *what, int rc) {
    fprintf(stderr, "%s: %s\n", what, err_text(rc));
    return 1;
}

static size_t read_line(const char *path, char *out, size_t size) {
    FILE *f = fopen(path, "r");
    const char *line = f ? fgets(out, (int)size, f) : NULL;
    if (f)
        fclose(f);
    return line ? strcspn(line, "\n") : 0;
}

int main(int argc, char **argv) {
    struct keys *k;
    char passphrase[1024], hex[2 * KEYS_SECRET_BYTES + 1];
    uint8_t id[UUID_BYTES], public_key[KEYS_PUBLIC_BYTES], secret[KEYS_SECRET_BYTES];
    if (sodium_init() < 0 || argc != 4 || !uuid_parse(id, argv[3], (unsigned)strlen(argv[3])))
        return 2;
    int rc = keys_open(argv[1], &k);
    if (rc)
        return fail(argv[1], rc);
    rc = keys_unlock(k, passphrase, read_line(argv[2], passphrase, sizeof passphrase));
    if (rc)
        return fail(argv[2], rc);
    rc = keys_subject_secret(k, id, public_key, secret);
    if (rc)
        return fail(argv[3], rc);
    puts(sodium_bin2hex(hex, sizeof hex, secret, sizeof secret));
    keys_close(k);
    return 0;
}
