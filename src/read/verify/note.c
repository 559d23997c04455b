/* Signed notes (note.h). Pure but for libsodium's Ed25519. */
#include "read/verify/note.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/utf8.h"
#include "read/verify/lines.h"

#define DASH "\xe2\x80\x94 " /* U+2014 and a space begin a signature's line */
#define SIGNATURE_MAX 8192 /* of a kind that we do not know: post-quantum ones have nearly 5 kB */
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

/* ---- names ---- */

/* What Unicode calls White_Space, beyond ASCII: the ranges, both ends included. */
static bool is_space(uint32_t c) {
    return c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 ||
           c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

/* The character at p of well-formed UTF-8, and its bytes. */
static uint32_t character(const char *p, size_t *ret_len) {
    const uint8_t b = (uint8_t)*p;
    const size_t n = b < 0x80 ? 1 : b < 0xe0 ? 2 : b < 0xf0 ? 3 : 4;
    uint32_t c = n == 1 ? b : b & (0x7fu >> n);
    for (size_t i = 1; i < n; i++)
        c = c << 6 | ((uint8_t)p[i] & 0x3f);
    *ret_len = n;
    return c;
}

/* Names have no space of any kind, no control character and no plus sign. */
static bool copy_name(char out[VERIFY_NOTE_NAME], const char *p, size_t len) {
    if (len == 0 || len >= VERIFY_NOTE_NAME || !utf8_valid(p, len))
        return false;
    for (size_t i = 0, n; i < len; i += n) {
        const uint32_t c = character(p + i, &n);
        if (c <= ' ' || c == 0x7f || c == '+' || is_space(c))
            return false;
    }
    memcpy(out, p, len);
    out[len] = 0;
    return true;
}

/* An origin is shown to people, so it may not look like another one: ASCII alone. */
static bool copy_origin(char out[VERIFY_NOTE_NAME], const char *p, size_t len) {
    for (size_t i = 0; i < len; i++)
        if ((uint8_t)p[i] >= 0x7f)
            return false;
    return copy_name(out, p, len);
}

/* ---- parsing ---- */

/* "— name base64(id | signature)" */
static bool read_signature(struct verify_note_signature *s, const char *p, size_t len) {
    uint8_t bytes[SIGNATURE_MAX];
    size_t n;
    if (!lines_strip(&p, &len, DASH))
        return false;
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

/* The rest of a note, behind its empty line: at least one signature, and nothing else. */
static int read_signatures(struct lines *l, struct verify_note_signature *s, size_t *ret_count) {
    const char *line;
    size_t n, count = 0;
    for (; l->left; count++) {
        if (count == VERIFY_NOTE_SIGNATURES)
            return ERR_LIMIT;
        if (!lines_next(l, &line, &n) || !read_signature(&s[count], line, n))
            return ERR_SYNTAX;
    }
    *ret_count = count;
    return count ? 0 : ERR_SYNTAX;
}

int verify_note_parse(struct verify_note *ret, const uint8_t *bytes, size_t len) {
    struct lines l = {(const char *)bytes, len};
    const char *line;
    size_t n;
    memset(ret, 0, sizeof *ret);
    if (len > VERIFY_NOTE_MAX)
        return ERR_LIMIT;
    if (!lines_next(&l, &line, &n) || !copy_origin(ret->origin, line, n) ||
        !lines_next(&l, &line, &n) || !lines_number(line, n, &ret->size) || ret->size > INT64_MAX ||
        !lines_next(&l, &line, &n) || !verify_note_base64(ret->root, SHA_BYTES, line, n))
        return ERR_SYNTAX;
    ret->text_len = len - l.left;
    if (ret->text_len > sizeof ret->text)
        return ERR_LIMIT;
    memcpy(ret->text, bytes, ret->text_len);
    if (!lines_next(&l, &line, &n) || n != 0)
        return ERR_SYNTAX;
    return read_signatures(&l, ret->signatures, &ret->count);
}

/* UTF-8 without control characters but newlines. */
static bool is_text(const char *p, size_t len) {
    for (size_t i = 0; i < len; i++)
        if (((uint8_t)p[i] < 0x20 && p[i] != '\n') || p[i] == 0x7f)
            return false;
    return utf8_valid(p, len);
}

int verify_signed_parse(struct verify_signed *ret, const uint8_t *bytes, size_t len) {
    const char *p = (const char *)bytes, *end = p + len, *split = NULL;
    memset(ret, 0, sizeof *ret);
    if (len > VERIFY_NOTE_MAX)
        return ERR_LIMIT;
    if (!is_text(p, len))
        return ERR_SYNTAX;
    /* The last empty line: behind it no line is empty. */
    for (const char *at = p; (at = memmem(at, (size_t)(end - at), "\n\n", 2)) != NULL; at++)
        split = at;
    if (!split)
        return ERR_SYNTAX;
    ret->text = p;
    ret->text_len = (size_t)(split - p) + 1;
    struct lines l = {split + 2, (size_t)(end - split) - 2};
    return read_signatures(&l, ret->signatures, &ret->count);
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
    if (!first || !copy_origin(ret->name, p, (size_t)(first - p)))
        return ERR_SYNTAX;
    const size_t left = len - (size_t)(first + 1 - p);
    if (left < 9 || first[9] != '+' || !hex_decode(id, sizeof id, first + 1, 8) ||
        !verify_note_base64(bytes, sizeof bytes, first + 10, left - 9) || bytes[0] != ED25519)
        return ERR_SYNTAX;
    verify_note_key_make(ret, ret->name, bytes + 1);
    return memcmp(ret->id, id, sizeof id) == 0 ? 0 : ERR_CORRUPT;
}

static bool is_signed(const char *text, size_t len, const uint8_t signature[64],
                      const uint8_t public[32]) {
    return crypto_sign_verify_detached(signature, (const uint8_t *)text, len, public) == 0;
}

bool verify_note_signature_right(const struct verify_note *n, const uint8_t signature[64],
                                 const uint8_t public[32]) {
    return is_signed(n->text, n->text_len, signature, public);
}

static int judge(const char *text, size_t len, const struct verify_note_signature *list, size_t count,
                 const struct verify_note_key *k) {
    int rc = ERR_NOTFOUND;
    for (size_t i = 0; i < count; i++) {
        const struct verify_note_signature *s = &list[i];
        if (strcmp(s->name, k->name) != 0 || memcmp(s->id, k->id, sizeof k->id) != 0)
            continue;
        if (!s->ed25519 || !is_signed(text, len, s->bytes, k->public))
            return ERR_CORRUPT;
        rc = 0;
    }
    return rc;
}

int verify_note_verify(const struct verify_note *n, const struct verify_note_key *k) {
    return judge(n->text, n->text_len, n->signatures, n->count, k);
}

int verify_signed_verify(const struct verify_signed *n, const struct verify_note_key *k) {
    return judge(n->text, n->text_len, n->signatures, n->count, k);
}
