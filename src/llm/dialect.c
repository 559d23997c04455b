/*
 * The table of dialect.h, for the gateway (which path, what body) and the sealer (by the dialect's
 * name). Constant data and comparisons only.
 *
 * A path is one of a few prefixes and a name. Ids are taken apart strictly: an id that could lead
 * out of its folder at the provider, escaped or not, is no id, since the provider's credential
 * travels with it.
 */
#include "llm/dialect.h"

#include <string.h>

#include "base/err.h"

#define ID_MAX 256

/* ---- dialects ---- */

enum {
    CHAT,
    COMPLETIONS,
    EMBEDDINGS,
    RESPONSES,
    MODELS,
    MODERATIONS,
    AUDIO,
    IMAGES,
    BALANCE,
    MESSAGES,
    COUNT_TOKENS,
    ANTHROPIC_MODELS,
    OTHER,
};

static const struct dialect dialects[] = {
    [CHAT] = {"openai.chat", FAMILY_OPENAI, DIALECT_CHAT, DIALECT_END_DONE, true},
    [COMPLETIONS] = {"openai.completions", FAMILY_OPENAI, DIALECT_COMPLETIONS, DIALECT_END_DONE,
                     true},
    [EMBEDDINGS] = {"openai.embeddings", FAMILY_OPENAI, DIALECT_PLAIN, DIALECT_END_NONE, true},
    [RESPONSES] = {"openai.responses", FAMILY_OPENAI, DIALECT_RESPONSES, DIALECT_END_RESPONSE,
                   true},
    [MODELS] = {"openai.models", FAMILY_OPENAI, DIALECT_PLAIN, DIALECT_END_NONE, false},
    [MODERATIONS] = {"openai.moderations", FAMILY_OPENAI, DIALECT_PLAIN, DIALECT_END_NONE, true},
    [AUDIO] = {"openai.audio", FAMILY_OPENAI, DIALECT_PLAIN, DIALECT_END_BODY, true},
    [IMAGES] = {"openai.images", FAMILY_OPENAI, DIALECT_PLAIN, DIALECT_END_BODY, true},
    [BALANCE] = {"deepseek.balance", FAMILY_OPENAI, DIALECT_PLAIN, DIALECT_END_NONE, false},
    [MESSAGES] = {"anthropic.messages", FAMILY_ANTHROPIC, DIALECT_MESSAGES, DIALECT_END_MESSAGE,
                  true},
    [COUNT_TOKENS] = {"anthropic.count_tokens", FAMILY_ANTHROPIC, DIALECT_PLAIN, DIALECT_END_NONE,
                      true},
    [ANTHROPIC_MODELS] = {"anthropic.models", FAMILY_ANTHROPIC, DIALECT_PLAIN, DIALECT_END_NONE,
                          false},
    [OTHER] = {"other", FAMILY_OPENAI, DIALECT_PLAIN, DIALECT_END_BODY, true},
};

const struct dialect *dialect_named(const char *name) {
    for (size_t i = 0; i < sizeof dialects / sizeof *dialects; i++)
        if (!strcmp(dialects[i].name, name))
            return &dialects[i];
    return &dialects[OTHER];
}

/* ---- endpoints ---- */

/* Prefixes of paths, as bits of `places`. */
enum place {
    IN_V1 = 1,        /* /v1/ */
    IN_ROOT = 2,      /* / */
    IN_BETA = 4,      /* /beta/ and /beta/v1/ */
    IN_ANTHROPIC = 8, /* /anthropic/v1/ */
    IN_EITHER = IN_V1 | IN_ROOT,
};

static const struct endpoint_row rows[] = {
    {DIALECT_POST, "chat/completions", false, DIALECT_BODY_JSON, &dialects[CHAT],
     IN_EITHER | IN_BETA},
    {DIALECT_POST, "messages", false, DIALECT_BODY_JSON, &dialects[MESSAGES], IN_V1 | IN_ANTHROPIC},
    {DIALECT_POST, "responses", false, DIALECT_BODY_JSON, &dialects[RESPONSES], IN_EITHER},
    {DIALECT_POST, "embeddings", false, DIALECT_BODY_JSON, &dialects[EMBEDDINGS], IN_EITHER},
    {DIALECT_POST, "completions", false, DIALECT_BODY_JSON, &dialects[COMPLETIONS],
     IN_EITHER | IN_BETA},
    {DIALECT_POST, "messages/count_tokens", false, DIALECT_BODY_JSON, &dialects[COUNT_TOKENS],
     IN_V1 | IN_ANTHROPIC},
    {DIALECT_GET, "models", false, DIALECT_BODY_NONE, &dialects[MODELS], IN_EITHER},
    {DIALECT_GET, "models", true, DIALECT_BODY_NONE, &dialects[MODELS], IN_EITHER},
    {DIALECT_GET, "models", false, DIALECT_BODY_NONE, &dialects[ANTHROPIC_MODELS], IN_ANTHROPIC},
    {DIALECT_GET, "models", true, DIALECT_BODY_NONE, &dialects[ANTHROPIC_MODELS], IN_ANTHROPIC},
    {DIALECT_GET, "user/balance", false, DIALECT_BODY_NONE, &dialects[BALANCE], IN_ROOT},
    {DIALECT_POST, "moderations", false, DIALECT_BODY_JSON, &dialects[MODERATIONS], IN_EITHER},
    {DIALECT_POST, "audio/speech", false, DIALECT_BODY_JSON, &dialects[AUDIO], IN_EITHER},
    {DIALECT_POST, "audio/transcriptions", false, DIALECT_BODY_ANY, &dialects[AUDIO], IN_EITHER},
    {DIALECT_POST, "audio/translations", false, DIALECT_BODY_ANY, &dialects[AUDIO], IN_EITHER},
    {DIALECT_POST, "images/generations", false, DIALECT_BODY_JSON, &dialects[IMAGES], IN_EITHER},
    {DIALECT_POST, "images/edits", false, DIALECT_BODY_ANY, &dialects[IMAGES], IN_EITHER},
    {DIALECT_POST, "images/variations", false, DIALECT_BODY_ANY, &dialects[IMAGES], IN_EITHER},
};

static bool take_prefix(const char **p, size_t *len, const char *prefix) {
    size_t n = strlen(prefix);
    if (*len < n || memcmp(*p, prefix, n) != 0)
        return false;
    *p += n;
    *len -= n;
    return true;
}

static enum place place_of(const char **p, size_t *len) {
    if (take_prefix(p, len, "/v1/"))
        return IN_V1;
    if (take_prefix(p, len, "/beta/v1/") || take_prefix(p, len, "/beta/"))
        return IN_BETA;
    if (take_prefix(p, len, "/anthropic/v1/"))
        return IN_ANTHROPIC;
    return take_prefix(p, len, "/") ? IN_ROOT : 0;
}

static bool is_plain(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '~' || c == ':' || c == '@';
}

/* Letters, digits and a few marks; "/" (also escaped) and dots between them, so that no part of it
 * is empty or begins with a dot. */
static bool is_id(const char *p, size_t len) {
    bool begins = true; /* a part must begin here */
    if (!len || len > ID_MAX)
        return false;
    for (size_t i = 0; i < len; i++) {
        bool escaped = p[i] == '%' && len - i > 2;
        if (is_plain(p[i]) || (p[i] == '.' && !begins)) {
            begins = false;
        } else if (escaped && !strncasecmp(p + i, "%3a", 3)) {
            begins = false;
            i += 2;
        } else if ((p[i] == '/' || (escaped && !strncasecmp(p + i, "%2f", 3))) && !begins) {
            begins = true;
            i += p[i] == '/' ? 0 : 2;
        } else {
            return false;
        }
    }
    return !begins;
}

static bool matches(const struct endpoint_row *r, const char *p, size_t len, struct endpoint *e) {
    size_t n = strlen(r->name);
    *e = (struct endpoint){.row = r};
    if (len < n || memcmp(p, r->name, n) != 0)
        return false;
    if (!r->by_id)
        return len == n;
    if (len < n + 2 || p[n] != '/')
        return false;
    e->id = p + n + 1;
    e->id_len = len - n - 1;
    return is_id(e->id, e->id_len);
}

int endpoint_find(struct endpoint *ret, enum dialect_method method, const char *path, size_t len) {
    struct endpoint e;
    int rc = ERR_NOTFOUND;
    enum place place = place_of(&path, &len);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (!(rows[i].places & place) || !matches(&rows[i], path, len, &e))
            continue;
        if (rows[i].method != method) {
            rc = ERR_UNSUPPORTED;
            continue;
        }
        e.beta = place == IN_BETA;
        *ret = e;
        return 0;
    }
    return rc;
}

enum dialect_family endpoint_family(const char *path, size_t len) {
    bool anthropic =
        take_prefix(&path, &len, "/anthropic/") || take_prefix(&path, &len, "/v1/messages");
    return anthropic ? FAMILY_ANTHROPIC : FAMILY_OPENAI;
}

/* DeepSeek has completions under /beta only, and of OpenAI's other endpoints only the models. */
static const char *deepseek_prefix(const struct endpoint *e) {
    const struct dialect *d = e->row->dialect;
    if (d->family == FAMILY_ANTHROPIC)
        return d->shape == DIALECT_MESSAGES ? "/anthropic/v1/" : NULL;
    if (d == &dialects[COMPLETIONS])
        return "/beta/";
    if (d == &dialects[CHAT])
        return e->beta ? "/beta/" : "/";
    return d == &dialects[MODELS] || d == &dialects[BALANCE] ? "/" : NULL;
}

static const char *upstream_prefix(const struct endpoint *e, enum dialect_at at) {
    const struct dialect *d = e->row->dialect;
    if (at == DIALECT_AT_DEEPSEEK)
        return deepseek_prefix(e);
    if (e->beta || d == &dialects[BALANCE])
        return NULL; /* DeepSeek's alone */
    enum dialect_family family = at == DIALECT_AT_OPENAI ? FAMILY_OPENAI : FAMILY_ANTHROPIC;
    return d->family == family ? "/v1/" : NULL;
}

/* Appends a part of the path, if it fits; false: it does not. */
static bool add_part(char *out, size_t size, size_t *len, const char *part, size_t n) {
    if (n >= size - *len)
        return false;
    memcpy(out + *len, part, n);
    *len += n;
    out[*len] = 0;
    return true;
}

int endpoint_upstream(const struct endpoint *e, enum dialect_at at, char *out, size_t size) {
    const char *prefix = upstream_prefix(e, at);
    size_t len = 0;
    if (!prefix)
        return ERR_NOTFOUND;
    if (!add_part(out, size, &len, prefix, strlen(prefix)) ||
        !add_part(out, size, &len, e->row->name, strlen(e->row->name)) ||
        (e->id &&
         (!add_part(out, size, &len, "/", 1) || !add_part(out, size, &len, e->id, e->id_len))))
        return ERR_LIMIT;
    return (int)len;
}
