/* The one encoding of a subject's name (subject.h). Pure; both directions link it. */
#include "record/subject.h"

#include <stdbool.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"
#include "record/text.h"

/* After a part that is too long or does not fit, p is NULL and stays so. */
static uint8_t *put_string(uint8_t *p, const uint8_t *end, const char *s) {
    size_t n = strnlen(s, LIMIT_NAME);
    if (!p || n >= LIMIT_NAME || (size_t)(end - p) < n + 1)
        return NULL;
    *p = (uint8_t)n;
    memcpy(p + 1, s, n);
    return p + 1 + n;
}

static bool kind_known(uint8_t kind) {
    return kind == SUBJECT_NAMED || kind == SUBJECT_KEY;
}

size_t subject_encode_name(uint8_t *out, size_t size, const char *tenant, const char *project,
                           uint8_t kind, const char *name, size_t len) {
    const uint8_t *end = out + size;
    uint8_t *p = put_string(out, end, tenant);
    p = put_string(p, end, project);
    if (!p || !kind_known(kind) || len >= LIMIT_SUBJECT_NAME || memchr(name, 0, len) ||
        (size_t)(end - p) < 3 + len)
        return 0;
    *p = kind;
    put_u16(p + 1, (uint16_t)len);
    memcpy(p + 3, name, len);
    return (size_t)(p + 3 + len - out);
}

int subject_decode_name(struct subject_name *ret, const uint8_t *p, size_t len) {
    const uint8_t *end = p + len;
    struct subject_name s = {0};
    p = text_take(p, end, s.tenant);
    p = text_take(p, end, s.project);
    if (!p || end - p < 3 || !kind_known(p[0]))
        return ERR_SYNTAX;
    size_t n = get_u16(p + 1);
    if (n >= LIMIT_SUBJECT_NAME || (size_t)(end - p - 3) != n || memchr(p + 3, 0, n))
        return ERR_SYNTAX;
    s.kind = p[0];
    memcpy(s.name, p + 3, n);
    *ret = s;
    return 0;
}
