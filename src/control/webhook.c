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

bool webhook_read_url(const char *path, char out[WEBHOOK_URL_MAX]) {
    FILE *f = fopen(path, "re");
    bool ok = f && fgets(out, WEBHOOK_URL_MAX, f);
    if (f)
        fclose(f);
    if (ok)
        out[strcspn(out, "\r\n")] = 0;
    return ok && webhook_valid(out);
}
