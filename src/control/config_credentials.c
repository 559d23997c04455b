/*
 * Fetches the providers' keys (config_credentials.h), in the supervisor. They lie in one block of
 * guarded memory, each beside the place that it came from.
 */
#include "control/config_credentials.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"

struct entry {
    size_t provider, key;
    char env[LIMIT_NAME]; /* "" = from a file */
    char text[LIMIT_CREDENTIAL];
};

struct config_credentials {
    size_t count;
    struct entry *entries; /* sodium_malloc */
};

static int wrong(char why[CONFIG_WHY], int rc, const char *provider, const char *place,
                 const char *what) {
    snprintf(why, CONFIG_WHY, "the key of provider \"%s\" from %.300s %s", provider, place, what);
    return rc;
}

/* Ends it at the first line's end; is it fit for a header? */
static bool clean(char text[LIMIT_CREDENTIAL]) {
    size_t n = strcspn(text, "\r\n");
    sodium_memzero(text + n, LIMIT_CREDENTIAL - n);
    for (size_t i = 0; i < n; i++)
        if (text[i] <= ' ' || text[i] > '~')
            return false;
    return n > 0;
}

static int from_env(const struct config_credentials *before, const char *provider, struct entry *e,
                    char why[CONFIG_WHY]) {
    char *value = getenv(e->env);
    if (value) {
        size_t n = strlen(value);
        if (n >= sizeof e->text)
            return wrong(why, ERR_SYNTAX, provider, e->env, "is too long");
        memcpy(e->text, value, n + 1);
        return 0;
    }
    for (size_t i = 0; before && i < before->count; i++) {
        if (strcmp(before->entries[i].env, e->env) == 0) {
            memcpy(e->text, before->entries[i].text, sizeof e->text);
            return 0;
        }
    }
    return wrong(why, ERR_NOTFOUND, provider, e->env, "is not there: the variable is not set");
}

/* `strangers`: mode bits that must not be set. */
static int from_file(const char *provider, const char *path, mode_t strangers, struct entry *e,
                     char why[CONFIG_WHY]) {
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), rc = 0;
    if (fd < 0) {
        rc = err_from_errno(errno);
        return wrong(why, rc, provider, path,
                     rc == ERR_NOTFOUND ? "is not there" : "cannot be read");
    }
    if (fstat(fd, &st))
        rc = wrong(why, ERR_IO, provider, path, "cannot be read");
    else if (!S_ISREG(st.st_mode))
        rc = wrong(why, ERR_DENIED, provider, path, "is no regular file");
    else if (st.st_mode & strangers)
        rc = wrong(why, ERR_DENIED, provider, path, "can be read by others: chmod 600");
    else if (st.st_uid != geteuid() && st.st_uid != 0)
        rc = wrong(why, ERR_DENIED, provider, path, "belongs to somebody else");
    ssize_t n = rc ? 0 : read(fd, e->text, sizeof e->text);
    close(fd);
    if (!rc && n < 0)
        rc = wrong(why, ERR_IO, provider, path, "cannot be read");
    if (!rc && n == sizeof e->text)
        rc = wrong(why, ERR_SYNTAX, provider, path, "is too long");
    return rc;
}

static int fetch(const struct config_credentials *before, const struct config_provider *p,
                 const struct config_key_source *k, struct entry *e, char why[CONFIG_WHY]) {
    char path[CONFIG_PATH];
    const char *place = k->env;
    int rc;
    if (k->env[0]) {
        memcpy(e->env, k->env, sizeof e->env);
        rc = from_env(before, p->name, e, why);
    } else if (k->file[0]) {
        place = k->file;
        rc = from_file(p->name, k->file, 077, e, why);
    } else {
        const char *folder = getenv("CREDENTIALS_DIRECTORY");
        place = k->credential;
        if (!folder)
            return wrong(why, ERR_NOTFOUND, p->name, place,
                         "is not there: systemd gave no credentials");
        int n = snprintf(path, sizeof path, "%s/%s", folder, k->credential);
        if (n < 0 || n >= (int)sizeof path)
            return wrong(why, ERR_LIMIT, p->name, place, "has too long a path");
        /* In systemd's own folder, which others cannot enter; an access list for the unit's user
         * shows as the group's bits. */
        rc = from_file(p->name, path, 007, e, why);
    }
    if (!rc && !clean(e->text))
        rc =
            wrong(why, ERR_SYNTAX, p->name, place, "is empty, or no printable text without blanks");
    return rc;
}

/* The value, where the kernel shows it, and the name. */
static void wipe_env(const char *name) {
    char *value = name[0] ? getenv(name) : NULL;
    if (!value)
        return;
    sodium_memzero(value, strlen(value));
    unsetenv(name);
}

int config_credentials_load(const struct config *c, const struct config_credentials *before,
                            struct config_credentials **ret, char why[CONFIG_WHY]) {
    size_t count = 0;
    int rc = 0;
    for (size_t i = 0; i < c->providers.count; i++)
        count += c->providers.at[i].keys.count;
    struct config_credentials *cs = calloc(1, sizeof *cs);
    if (cs)
        cs->entries = sodium_allocarray(count + 1, sizeof *cs->entries);
    if (!cs || !cs->entries) {
        free(cs);
        snprintf(why, CONFIG_WHY, "the providers' keys: %s", err_text(ERR_NOMEM));
        return ERR_NOMEM;
    }
    sodium_memzero(cs->entries, (count + 1) * sizeof *cs->entries);
    for (size_t i = 0; i < c->providers.count; i++) {
        const struct config_provider *p = &c->providers.at[i];
        for (size_t k = 0; k < p->keys.count && !rc; k++) {
            struct entry *e = &cs->entries[cs->count++];
            e->provider = i;
            e->key = k;
            rc = fetch(before, p, &p->keys.at[k], e, why);
        }
    }
    if (rc) {
        config_credentials_free(cs);
        return rc;
    }
    /* Only now: a variable may be named twice, and a failed reload must be repeatable. */
    for (size_t i = 0; i < cs->count; i++)
        wipe_env(cs->entries[i].env);
    sodium_mprotect_readonly(cs->entries);
    *ret = cs;
    return 0;
}

const char *config_credential(const struct config_credentials *cs, size_t provider, size_t key) {
    for (size_t i = 0; i < cs->count; i++)
        if (cs->entries[i].provider == provider && cs->entries[i].key == key)
            return cs->entries[i].text;
    return NULL;
}

void config_credentials_free(struct config_credentials *cs) {
    if (!cs)
        return;
    sodium_free(cs->entries);
    free(cs);
}
