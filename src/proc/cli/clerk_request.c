/* The table of clerk_request.h, and how a frame becomes words. Pure. */
#include "proc/cli/clerk_request.h"

#include <sodium.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"

#define OPTIONS_MAX 16
#define TEXT_MAX (LIMIT_COMMAND + 8192) /* with the configuration's path */

#define TERMS " models rpm tpm concurrency budget-day budget-month tokens-day tokens-month "

static const struct command {
    enum ipc_command id;
    const char *words[5]; /* what stands before the options */
    const char *options;  /* a blank before and behind each; "?" stands before flags, "=name" is the word at the end */
} commands[] = {
    {COMMAND_KEYS, {"key", "list", "--json"}, " project "},
    {COMMAND_KEY_CREATE, {"key", "create", "--json"}, " project expires" TERMS},
    {COMMAND_KEY_UPDATE, {"key", "update", "--json"}, " =name expires" TERMS},
    {COMMAND_KEY_REVOKE, {"key", "revoke", "--json"}, " =name "},
    {COMMAND_PROJECTS, {"key", "list", "--projects", "--json"}, ""},
    {COMMAND_PROJECT_UPDATE, {"key", "update", "--json"}, " project" TERMS},
    {COMMAND_SUBJECT_FIND, {"subject", "find", "--json"}, " =name project ?key "},
    {COMMAND_SUBJECT_EXPORT, {"subject", "export", "--output=-"}, " =name project ?key reason "},
    {COMMAND_SUBJECT_ERASE, {"subject", "erase", "--json"}, " =name project ?key reason "},
    {COMMAND_SUBJECT_HOLD, {"subject", "hold", "--json"}, " =name project ?key reason "},
    {COMMAND_SUBJECT_RELEASE, {"subject", "release", "--json"}, " =name project ?key reason "},
    {COMMAND_REPORT_RECORDS, {"report", "records", "--json"}, ""},
    {COMMAND_REPORT_BREACH, {"report", "breach", "--json"}, " since until ?quick "},
    {COMMAND_REPORT_SUBJECT, {"report", "subject", "--json"}, " =name project ?key "},
};

static bool takes(const struct command *c, const char *option, size_t len) {
    const char *at = c->options;
    while (len && (at = memmem(at, strlen(at), option, len)) != NULL) {
        if (at[-1] == ' ' && at[len] == ' ')
            return true;
        at++;
    }
    return false;
}

/* One of argv: "--", NAME, "=", VALUE; what is NULL is left out. */
static int add_word(struct clerk_request *r, const char *dashes, const char *name, size_t name_len, const char *value,
                    size_t len) {
    char *to = r->text + r->used, *at = to;
    const size_t head = strlen(dashes) + name_len + (name_len && value ? 1 : 0), all = head + len + 1;
    if (all > TEXT_MAX - r->used || r->argc == CLERK_WORDS_MAX)
        return ERR_LIMIT;
    at = stpcpy(at, dashes);
    at = mempcpy(at, name, name_len);
    if (name_len && value)
        *at++ = '=';
    at = mempcpy(at, value ? value : "", len);
    *at = 0;
    r->used += all;
    r->argv[r->argc++] = to;
    return 0;
}

/* u8 n | n option | u16 n | n value; "=name" comes last and is a word. */
static int take_option(struct clerk_request *r, const struct command *c, const uint8_t **p, size_t *left) {
    const size_t name_len = *left ? **p : 0;
    if (*left < 3 + name_len)
        return ERR_SYNTAX;
    const char *name = (const char *)*p + 1;
    const size_t len = get_u16(*p + 1 + name_len), all = 3 + name_len + len;
    const char *value = (const char *)*p + 3 + name_len;
    if (*left < all || memchr(value, 0, len) || !takes(c, name, name_len))
        return ERR_SYNTAX;
    *p += all;
    *left -= all;
    if (*name == '?')
        return len ? ERR_SYNTAX : add_word(r, "--", name + 1, name_len - 1, NULL, 0);
    if (*name != '=')
        return add_word(r, "--", name, name_len, value, len);
    int rc = *left ? ERR_SYNTAX : add_word(r, "--", "", 0, NULL, 0);
    return rc ? rc : add_word(r, "", "", 0, value, len);
}

static const struct command *find(uint8_t id) {
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (commands[i].id == id)
            return &commands[i];
    return NULL;
}

/* 32 session | u8 command | u8 n, n options */
int clerk_request_take(struct clerk_request *r, const uint8_t *p, size_t len, const char *dir, const char *config) {
    *r = (struct clerk_request){.text = sodium_malloc(TEXT_MAX)};
    const struct command *c = len < CLERK_SESSION_BYTES + 2 ? NULL : find(p[CLERK_SESSION_BYTES]);
    if (!r->text || !c || p[CLERK_SESSION_BYTES + 1] > OPTIONS_MAX)
        return r->text ? ERR_SYNTAX : ERR_NOMEM;
    memcpy(r->session, p, CLERK_SESSION_BYTES);
    r->command = c->id;
    for (size_t i = 0; c->words[i]; i++) /* the words are constants; argv's type is older than that */
        r->argv[r->argc++] = (char *)(uintptr_t)c->words[i];
    int rc = add_word(r, "--", "dir", 3, dir, strlen(dir));
    if (!rc && config && !strcmp(c->words[0], "report"))
        rc = add_word(r, "--", "config", 6, config, strlen(config));
    const uint8_t *at = p + CLERK_SESSION_BYTES + 2;
    size_t left = len - (CLERK_SESSION_BYTES + 2);
    for (unsigned n = p[CLERK_SESSION_BYTES + 1]; !rc && n; n--)
        rc = take_option(r, c, &at, &left);
    return !rc && left ? ERR_SYNTAX : rc;
}

void clerk_request_done(struct clerk_request *r) {
    sodium_free(r->text);
    sodium_memzero(r, sizeof *r);
}
