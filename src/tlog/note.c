/* Signed notes (note.h): bytes of others in, typed parts out; no memory of its own. */
#include "tlog/note.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/utf8.h"

#define DASH "\xe2\x80\x94 " /* the em dash and the space before a name */
#define DASH_LEN 4
#define SIGNATURE_MAX 8192 /* decoded; post-quantum ones have nearly 5 kB */

/* ---- keys ---- */

/* Unicode's spaces (White_Space), and the plus sign, in UTF-8. */
static bool name_is_well_formed(const char *name, size_t len) {
    static const char *const spaces[] = {" ",
                                         "\xc2\x85",
                                         "\xc2\xa0",
                                         "\xe1\x9a\x80",
                                         "\xe2\x80\xa8",
                                         "\xe2\x80\xa9",
                                         "\xe2\x80\xaf",
                                         "\xe2\x81\x9f",
                                         "\xe3\x80\x80"};
    if (len == 0 || len >= NOTE_NAME_MAX || memchr(name, '+', len) || !utf8_valid(name, len))
        return false;
    for (size_t i = 0; i < len; i++) {
        const uint8_t c = (uint8_t)name[i];
        if (c < 0x20 || c == 0x7f)
            return false;
        for (size_t k = 0; k < sizeof spaces / sizeof spaces[0]; k++)
            if (len - i >= strlen(spaces[k]) && !memcmp(name + i, spaces[k], strlen(spaces[k])))
                return false;
        if (len - i >= 3 && c == 0xe2 && (uint8_t)name[i + 1] == 0x80 &&
            (uint8_t)name[i + 2] <= 0x8a)
            return false; /* U+2000 to U+200A */
    }
    return true;
}

int note_key_make(struct note_key *ret, const char *name, enum note_type type,
                  const uint8_t public_key[NOTE_PUBLIC_BYTES]) {
    crypto_hash_sha256_state s;
    const uint8_t end[2] = {'\n', (uint8_t)type};
    uint8_t hash[crypto_hash_sha256_BYTES];
    const size_t len = strnlen(name, NOTE_NAME_MAX);
    if (!name_is_well_formed(name, len))
        return ERR_SYNTAX;
    *ret = (struct note_key){.type = (uint8_t)type};
    memcpy(ret->name, name, len);
    memcpy(ret->public_key, public_key, NOTE_PUBLIC_BYTES);
    crypto_hash_sha256_init(&s);
    crypto_hash_sha256_update(&s, (const uint8_t *)name, len);
    crypto_hash_sha256_update(&s, end, sizeof end);
    crypto_hash_sha256_update(&s, public_key, NOTE_PUBLIC_BYTES);
    crypto_hash_sha256_final(&s, hash);
    memcpy(ret->id, hash, sizeof ret->id);
    return 0;
}

int note_key_parse(struct note_key *ret, const char *p, size_t len) {
    char name[NOTE_NAME_MAX];
    uint8_t id[4], key[3 * B64_LEN(1 + NOTE_PUBLIC_BYTES) / 4];
    const char *plus = memchr(p, '+', len);
    const size_t name_len = plus ? (size_t)(plus - p) : len;
    if (!plus || name_len >= sizeof name || memchr(p, 0, name_len) || len - name_len < 10 ||
        plus[9] != '+' || !hex_decode(id, sizeof id, plus + 1, 8))
        return ERR_SYNTAX;
    memcpy(name, p, name_len);
    name[name_len] = 0;
    const size_t rest = len - name_len - 10;
    if (rest < 4)
        return ERR_SYNTAX;
    if (rest != B64_LEN(1 + NOTE_PUBLIC_BYTES))
        return ERR_UNSUPPORTED;
    if (b64_decode(key, plus + 10, rest) != 1 + NOTE_PUBLIC_BYTES)
        return ERR_SYNTAX;
    if (key[0] != NOTE_ED25519 && key[0] != NOTE_COSIGNATURE)
        return ERR_UNSUPPORTED;
    int rc = note_key_make(ret, name, (enum note_type)key[0], key + 1);
    return rc ? rc : memcmp(ret->id, id, sizeof id) ? ERR_SYNTAX : 0;
}

int note_key_format(struct buf *out, const struct note_key *k) {
    char id[9], key[B64_LEN(1 + NOTE_PUBLIC_BYTES) + 1] = {0};
    uint8_t p[1 + NOTE_PUBLIC_BYTES] = {k->type};
    hex_encode(id, k->id, sizeof k->id);
    memcpy(p + 1, k->public_key, NOTE_PUBLIC_BYTES);
    b64_encode(key, p, sizeof p);
    return buf_printf(out, "%s+%s+%s", k->name, id, key);
}

/* ---- parsing ---- */

static bool text_is_well_formed(const char *p, size_t len) {
    for (size_t i = 0; i < len; i++)
        if ((uint8_t)p[i] < 0x20 && p[i] != '\n')
            return false;
    return utf8_valid(p, len);
}

/* One line without its newline. */
static int take_signature(struct note_signature *s, const char *p, size_t len) {
    uint8_t decoded[SIGNATURE_MAX];
    if (len < DASH_LEN || memcmp(p, DASH, DASH_LEN))
        return ERR_SYNTAX;
    *s = (struct note_signature){.line = p, .line_len = len + 1, .name = p + DASH_LEN};
    const char *space = memchr(s->name, ' ', len - DASH_LEN);
    if (!space)
        return ERR_SYNTAX;
    s->name_len = (size_t)(space - s->name);
    const size_t coded = len - DASH_LEN - s->name_len - 1;
    if (!name_is_well_formed(s->name, s->name_len) || coded > B64_LEN(SIGNATURE_MAX - 3))
        return ERR_SYNTAX;
    long n = b64_decode(decoded, space + 1, coded);
    if (n < 5)
        return ERR_SYNTAX;
    memcpy(s->id, decoded, sizeof s->id);
    s->len = (size_t)n - sizeof s->id;
    memcpy(s->p, decoded + sizeof s->id, s->len < sizeof s->p ? s->len : sizeof s->p);
    return 0;
}

int note_parse(struct note *ret, const char *p, size_t len) {
    int rc = 0;
    if (len > NOTE_MAX)
        return ERR_LIMIT;
    if (len == 0 || p[len - 1] != '\n' || !text_is_well_formed(p, len))
        return ERR_SYNTAX;
    /* The last empty line is what no signature line is, so it is the last one before them. */
    const char *end = p + len, *split = NULL;
    for (const char *at = p; (at = memmem(at, (size_t)(end - at), "\n\n", 2)) != NULL; at++)
        split = at;
    if (!split || split + 2 == end)
        return ERR_SYNTAX;
    ret->text = p;
    ret->text_len = (size_t)(split - p) + 1;
    ret->count = 0;
    for (const char *at = split + 2; !rc && at < end;) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        rc = ret->count == NOTE_SIGNATURES_MAX
                 ? ERR_LIMIT
                 : take_signature(&ret->signatures[ret->count++], at, (size_t)(line_end - at));
        at = line_end + 1;
    }
    return rc;
}

/* ---- checking ---- */

static uint64_t get_be64(const uint8_t *p) {
    uint64_t v = 0;
    for (int i = 0; i < 8; i++)
        v = v << 8 | p[i];
    return v;
}

static int check_cosignature(const struct note *n, const struct note_signature *s,
                             const struct note_key *k, uint64_t *ret_time_s) {
    struct buf message;
    const uint64_t time_s = get_be64(s->p);
    if (time_s > INT64_MAX)
        return ERR_UNAUTHENTICATED;
    buf_init(&message, NOTE_MAX + 64);
    int rc = buf_printf(&message, "cosignature/v1\ntime %llu\n", (unsigned long long)time_s);
    if (!rc)
        rc = buf_append(&message, n->text, n->text_len);
    if (!rc && crypto_sign_ed25519_verify_detached(s->p + 8, message.p, message.len, k->public_key))
        rc = ERR_UNAUTHENTICATED;
    buf_wipe(&message);
    *ret_time_s = time_s;
    return rc;
}

int note_check(const struct note *n, const struct note_key *k, uint64_t *ret_time_s) {
    const size_t name_len = strlen(k->name), head = k->type == NOTE_COSIGNATURE ? 8 : 0;
    uint64_t time_s = 0;
    int rc = ERR_NOTFOUND;
    for (size_t i = 0; i < n->count && (rc == 0 || rc == ERR_NOTFOUND); i++) {
        const struct note_signature *s = &n->signatures[i];
        if (s->name_len != name_len || memcmp(s->name, k->name, name_len) ||
            memcmp(s->id, k->id, sizeof s->id))
            continue;
        if (s->len != head + NOTE_SIGNATURE_BYTES)
            rc = ERR_UNAUTHENTICATED;
        else if (head)
            rc = check_cosignature(n, s, k, &time_s);
        else
            rc = crypto_sign_ed25519_verify_detached(s->p, (const uint8_t *)n->text, n->text_len,
                                                     k->public_key)
                     ? ERR_UNAUTHENTICATED
                     : 0;
    }
    if (!rc && ret_time_s)
        *ret_time_s = time_s;
    return rc;
}

int note_put_signature(struct buf *out, const struct note_key *k, const uint8_t *p, size_t len) {
    uint8_t signature[4 + 8 + NOTE_SIGNATURE_BYTES];
    char coded[B64_LEN(sizeof signature) + 1];
    CHECK(len <= sizeof signature - 4);
    memcpy(signature, k->id, 4);
    memcpy(signature + 4, p, len);
    coded[b64_encode(coded, signature, 4 + len)] = 0;
    return buf_printf(out, DASH "%s %s\n", k->name, coded);
}
