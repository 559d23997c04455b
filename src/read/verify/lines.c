/* Text of others, line by line (lines.h). Pure. */
#include "read/verify/lines.h"

#include <string.h>

#include "base/bytes.h"

bool lines_next(struct lines *l, const char **ret, size_t *ret_len) {
    const char *end = l->left ? memchr(l->p, '\n', l->left) : NULL;
    if (!end)
        return false;
    *ret = l->p;
    *ret_len = (size_t)(end - l->p);
    l->left -= *ret_len + 1;
    l->p = end + 1;
    return true;
}

bool lines_strip(const char **p, size_t *len, const char *word) {
    const size_t n = strlen(word);
    if (*len < n || memcmp(*p, word, n) != 0)
        return false;
    *p += n;
    *len -= n;
    return true;
}

bool lines_after(struct lines *l, const char *word, const char **ret, size_t *ret_len) {
    struct lines ahead = *l;
    if (!lines_next(&ahead, ret, ret_len) || !lines_strip(ret, ret_len, word))
        return false;
    *l = ahead;
    return true;
}

bool lines_number(const char *p, size_t len, uint64_t *ret) {
    uint64_t v = 0;
    if (len == 0 || len > 19 || (len > 1 && p[0] == '0'))
        return false;
    for (size_t i = 0; i < len; i++) {
        if (p[i] < '0' || p[i] > '9')
            return false;
        v = 10 * v + (uint64_t)(p[i] - '0'); /* 19 digits fit */
    }
    *ret = v;
    return true;
}

bool lines_hex(const char *p, size_t len, uint8_t *out, size_t size) {
    for (size_t i = 0; i < len; i++)
        if (p[i] >= 'A' && p[i] <= 'F')
            return false; /* one spelling only */
    return len == 2 * size && hex_decode(out, size, p, len);
}
