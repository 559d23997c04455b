/* Looking into answers (wire.h). */
#include "audit/probe/wire.h"

#include <string.h>

bool wire_begins(const void *p, size_t len, const char *text) {
    size_t n = strlen(text);
    return len >= n && memcmp(p, text, n) == 0;
}

const char *wire_find(const void *p, size_t len, const char *text) {
    return memmem(p, len, text, strlen(text));
}

/* "key:value\r\n" of an info text. */
void wire_version_after(struct probe *p, const void *text, size_t len, const char *key) {
    const char *at = wire_find(text, len, key);
    if (!at)
        return;
    at += strlen(key);
    size_t left = len - (size_t)(at - (const char *)text), n = 0;
    while (n < left && at[n] != '\r' && at[n] != '\n' && at[n] != ',' && at[n] != '"')
        n++;
    probe_version(p, at, n);
}

const char *wire_talk(struct probe *p, const char *id, const char *request, char *out, size_t size,
                      size_t *ret_len) {
    *ret_len = probe_talk(p, id, request, strlen(request), out, size - 1);
    out[*ret_len] = 0;
    return out;
}
