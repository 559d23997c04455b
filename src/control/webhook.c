/* The operator's webhook (webhook.h). */
#include "control/webhook.h"

#include <stdio.h>
#include <string.h>

bool webhook_valid(const char *url) {
    if (strncmp(url, "https://", 8) != 0 && strncmp(url, "http://", 7) != 0)
        return false;
    for (const char *c = url; *c; c++)
        if (*c <= ' ' || *c == '"' || *c == '\\' || *c == 0x7f)
            return false;
    return true;
}

uint16_t webhook_port(const char *url) {
    const bool tls = strncmp(url, "https://", 8) == 0;
    const char *at = url + (tls ? 8 : 7), *end = at + strcspn(at, "/?#");
    for (const char *c = at; c < end; c++)
        if (*c == '@')
            at = c + 1;
    const char *last = at; /* an address in brackets has colons of its own */
    for (const char *c = at; c < end; c++)
        if (*c == ']')
            last = c;
    const char *colon = memchr(last, ':', (size_t)(end - last));
    if (!colon || colon + 1 == end)
        return tls ? 443 : 80;
    unsigned long n = 0;
    for (const char *c = colon + 1; c < end; c++) {
        if (*c < '0' || *c > '9')
            return 0;
        n = n * 10 + (unsigned long)(*c - '0');
        if (n > UINT16_MAX)
            return 0;
    }
    return (uint16_t)n;
}

bool webhook_read_url(const char *path, char out[WEBHOOK_URL_MAX]) {
    FILE *f = fopen(path, "re");
    bool ok = f && fgets(out, WEBHOOK_URL_MAX, f);
    if (f)
        fclose(f);
    if (ok)
        out[strcspn(out, "\r\n")] = 0;
    return ok && webhook_valid(out);
}
