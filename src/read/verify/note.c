/* Signed notes (note.h). Pure but for libsodium's Ed25519. */
#include "read/verify/note.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"

#define DASH "\xe2\x80\x94 " /* U+2014 and a space begin a signature's line */
#define DASH_BYTES 4
#define SIGNATURE_MAX 512 /* of a kind that we do not know */
#define ED25519 0x01

/* libsodium's decoder takes bytes above 0x7f for digits; so the alphabet is checked here first. */
bool verify_note_decode(uint8_t *out, size_t room, const char *p, size_t p_len, size_t *ret_len) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *end;
    size_t padding = 0;
    while (padding < 2 && padding < p_len && p[p_len - 1 - padding] == '=')
        padding++;
    for (size_t i = 0; i < p_len - padding; i++)
        if (!p[i] || !strchr(digits, p[i]))
            return false;
    return p_len % 4 == 0 &&
           sodium_base642bin(out, room, p, p_len, NULL, ret_len, &end,
                             sodium_base64_VARIANT_ORIGINAL) == 0 &&
           end == p + p_len;
}

bool verify_note_base64(uint8_t *out, size_t len, const char *p, size_t p_len) {
    size_t n;
    return verify_note_decode(out, len, p, p_len, &n) && n == len;
}

/* The next line without its newline; false: there is none that is ended. */
static bool next_line(const char **p, size_t *left, const char **ret, size_t *ret_len) {
    const char *end = memchr(*p, '\n', *left);
    if (!end)
        return false;
    *ret = *p;
    *ret_len = (size_t)(end - *p);
    *left -= *ret_len + 1;
    *p = end + 1;
    return true;
}

/* Names have no space and no plus sign, and nothing that would show as something else. */
static bool copy_name(char out[VERIFY_NOTE_NAME], const char *p, size_t len) {
    if (len == 0 || len >= VERIFY_NOTE_NAME)
        return false;
    for (size_t i = 0; i < len; i++)
        if (p[i] <= ' ' || p[i] == 0x7f || p[i] == '+')
            return false;
    memcpy(out, p, len);
    out[len] = 0;
    return true;
}

/* Decimal without leading zeros. */
static bool read_size(const char *p, size_t len, uint64_t *ret) {
    uint64_t v = 0;
    if (len == 0 || len > 19 || (len > 1 && p[0] == '0'))
        return false;
    for (size_t i = 0; i < len; i++) {
        if (p[i] < '0' || p[i] > '9')
            return false;
        v = 10 * v + (uint64_t)(p[i] - '0');
    }
    *ret = v;
    return true;
}

/* "— name base64(id | signature)" */
static bool read_signature(struct verify_note_signature *s, const char *p, size_t len) {
    uint8_t bytes[SIGNATURE_MAX];
    size_t n;
    if (len < DASH_BYTES || memcmp(p, DASH, DASH_BYTES) != 0)
        return false;
    p += DASH_BYTES;
    len -= DASH_BYTES;
    const char *space = memchr(p, ' ', len);
    if (!space || !copy_name(s->name, p, (size_t)(space - p)))
        return false;
    const size_t text = len - (size_t)(space - p) - 1;
    if (!verify_note_decode(bytes, sizeof bytes, space + 1, text, &n) || n < 5)
        return false;
    memcpy(s->id, bytes, 4);
    s->ed25519 = n == 4 + sizeof s->bytes;
    if (s->ed25519)
        memcpy(s->bytes, bytes + 4, sizeof s->bytes);
    return true;
}

int verify_note_parse(struct verify_note *ret, const uint8_t *bytes, size_t len) {
    const char *p = (const char *)bytes, *line;
    size_t left = len, n;
    memset(ret, 0, sizeof *ret);
    if (len > VERIFY_NOTE_MAX)
        return ERR_LIMIT;
    if (!next_line(&p, &left, &line, &n) || !copy_name(ret->origin, line, n) ||
        !next_line(&p, &left, &line, &n) || !read_size(line, n, &ret->size) ||
        !next_line(&p, &left, &line, &n) || !verify_note_base64(ret->root, SHA_BYTES, line, n))
        return ERR_SYNTAX;
    ret->text_len = len - left;
    if (ret->text_len > sizeof ret->text)
        return ERR_LIMIT;
    memcpy(ret->text, bytes, ret->text_len);
    if (!next_line(&p, &left, &line, &n) || n != 0)
        return ERR_SYNTAX;
    while (left) {
        if (ret->count == VERIFY_NOTE_SIGNATURES)
            return ERR_LIMIT;
        if (!next_line(&p, &left, &line, &n) || !read_signature(&ret->signatures[ret->count], line, n))
            return ERR_SYNTAX;
        ret->count++;
    }
    return ret->count ? 0 : ERR_SYNTAX;
}

void verify_note_make(struct verify_note *n, const char *origin, uint64_t size, const uint8_t root[SHA_BYTES]) {
    char text[sodium_base64_ENCODED_LEN(SHA_BYTES, sodium_base64_VARIANT_ORIGINAL)];
    memset(n, 0, sizeof *n);
    snprintf(n->origin, sizeof n->origin, "%s", origin);
    n->size = size;
    memcpy(n->root, root, SHA_BYTES);
    sodium_bin2base64(text, sizeof text, root, SHA_BYTES, sodium_base64_VARIANT_ORIGINAL);
    n->text_len = (size_t)snprintf(n->text, sizeof n->text, "%s\n%" PRIu64 "\n%s\n", origin, size,
                                   text);
}

int verify_note_print(const struct verify_note *n, struct buf *out) {
    char text[sodium_base64_ENCODED_LEN(68, sodium_base64_VARIANT_ORIGINAL)];
    uint8_t bytes[68];
    int rc = buf_append(out, n->text, n->text_len);
    if (!rc)
        rc = buf_append_u8(out, '\n');
    for (size_t i = 0; !rc && i < n->count; i++) {
        const struct verify_note_signature *s = &n->signatures[i];
        memcpy(bytes, s->id, sizeof s->id);
        memcpy(bytes + 4, s->bytes, sizeof s->bytes);
        sodium_bin2base64(text, sizeof text, bytes, sizeof bytes, sodium_base64_VARIANT_ORIGINAL);
        if (s->ed25519)
            rc = buf_printf(out, DASH "%s %s\n", s->name, text);
    }
    return rc;
}

/* ---- keys ---- */

static void key_id(uint8_t out[4], const char *name, const uint8_t public[32]) {
    uint8_t hash[SHA_BYTES];
    const uint8_t middle[2] = {0x0a, ED25519};
    sha_three(hash, name, strlen(name), middle, sizeof middle, public, 32);
    memcpy(out, hash, 4);
}

void verify_note_key_make(struct verify_note_key *ret, const char *name, const uint8_t public[32]) {
    struct verify_note_key k = {{0}, {0}, {0}};
    snprintf(k.name, sizeof k.name, "%s", name);
    memcpy(k.public, public, 32);
    key_id(k.id, k.name, public);
    *ret = k;
}

int verify_note_key_parse(struct verify_note_key *ret, const char *p, size_t len) {
    uint8_t bytes[33], id[4];
    if (len && p[len - 1] == '\n')
        len--;
    const char *first = memchr(p, '+', len);
    memset(ret, 0, sizeof *ret);
    if (!first || !copy_name(ret->name, p, (size_t)(first - p)))
        return ERR_SYNTAX;
    const size_t left = len - (size_t)(first + 1 - p);
    if (left < 9 || first[9] != '+' || !hex_decode(id, sizeof id, first + 1, 8) ||
        !verify_note_base64(bytes, sizeof bytes, first + 10, left - 9) || bytes[0] != ED25519)
        return ERR_SYNTAX;
    verify_note_key_make(ret, ret->name, bytes + 1);
    return memcmp(ret->id, id, sizeof id) == 0 ? 0 : ERR_CORRUPT;
}

bool verify_note_signature_right(const struct verify_note *n, const uint8_t signature[64],
                          const uint8_t public[32]) {
    return crypto_sign_verify_detached(signature, (const uint8_t *)n->text, n->text_len, public) == 0;
}

int verify_note_verify(const struct verify_note *n, const struct verify_note_key *k) {
    int rc = ERR_NOTFOUND;
    for (size_t i = 0; i < n->count; i++) {
        const struct verify_note_signature *s = &n->signatures[i];
        if (strcmp(s->name, k->name) != 0 || memcmp(s->id, k->id, sizeof k->id) != 0)
            continue;
        if (!s->ed25519 || !verify_note_signature_right(n, s->bytes, k->public))
            return ERR_CORRUPT;
        rc = 0;
    }
    return rc;
}
