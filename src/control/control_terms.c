/*
 * What may stand in control data: names, lists of models, terms. For the command line, which takes
 * them from people, and for control_db.c, which trusts no file.
 */
#include <string.h>

#include "control/control_db.h"

bool control_name_valid(const char *name) {
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
    return n > 0 && n < LIMIT_NAME && name[n] == 0 && name[0] != '.';
}

void control_terms_init(struct control_terms *t) {
    memset(t, 0, sizeof *t);
    t->limits = LIMITS_SET_INHERIT;
}

bool control_models_valid(const char *models) {
    size_t count = 0;
    if (strlen(models) >= CONTROL_MODELS)
        return false;
    for (const char *p = models; *models;) {
        size_t n = strcspn(p, ",");
        const char *star = memchr(p, '*', n);
        if (n == 0 || n >= LIMIT_MODEL || ++count > LIMIT_ALLOWED_MODELS ||
            (star && star != p + n - 1))
            return false;
        for (size_t i = 0; i < n; i++)
            if ((unsigned char)p[i] <= ' ' || p[i] == 0x7f)
                return false;
        if (!p[n])
            break;
        p += n + 1;
    }
    return true;
}
