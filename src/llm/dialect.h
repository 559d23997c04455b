#ifndef LLM_DIALECT_H
#define LLM_DIALECT_H
/*
 * The one table of what the gateway serves: methods and paths, the dialect that is spoken there,
 * and where a provider has the same. What is not in it does not exist: it is refused before a
 * provider's credential is near it.
 *
 *   rc = endpoint_find(&e, method, path)   ERR_NOTFOUND: 404; ERR_UNSUPPORTED: 405
 *   e.row->dialect                         how to read what passes
 *   endpoint_upstream(&e, DIALECT_AT_DEEPSEEK, out, size)
 *
 * Paths are those of the request line, escapes not decoded, without the query. Looking up allocates
 * nothing and compares at most a few names of the same length.
 *
 * Sources: the API references of OpenAI, Anthropic and DeepSeek (DeepSeek: "/v1" is optional,
 * completions and prefix completion are under "/beta", Anthropic's dialect under "/anthropic").
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Which error shape a client expects, and how it authenticates. */
enum dialect_family { FAMILY_OPENAI, FAMILY_ANTHROPIC };

/* How requests and answers are understood. */
enum dialect_shape {
    DIALECT_PLAIN,       /* kept as they came; facts where they are JSON */
    DIALECT_CHAT,        /* `messages` -> `choices[].message` */
    DIALECT_COMPLETIONS, /* `prompt` -> `choices[].text` */
    DIALECT_RESPONSES,   /* `input` -> `output` */
    DIALECT_MESSAGES,    /* `messages` -> `content` */
};

/* What tells that a stream is whole. */
enum dialect_end {
    DIALECT_END_NONE,     /* no stream */
    DIALECT_END_BODY,     /* the end of the body alone */
    DIALECT_END_DONE,     /* data: [DONE] */
    DIALECT_END_MESSAGE,  /* message_stop */
    DIALECT_END_RESPONSE, /* response.completed, .failed or .incomplete */
};

struct dialect {
    const char *name; /* in clear columns and contexts, e.g. "openai.chat" */
    enum dialect_family family;
    enum dialect_shape shape;
    enum dialect_end end;
    bool content; /* it has content that is kept (lists of models and balances have none) */
};

/* Not NULL: for another name a plain dialect "other", whose content is kept. */
const struct dialect *dialect_named(const char *name);

enum dialect_method { DIALECT_GET, DIALECT_POST, DIALECT_OTHER_METHOD };
enum dialect_body { DIALECT_BODY_NONE, DIALECT_BODY_JSON, DIALECT_BODY_ANY };

/* Whose paths a provider has. */
enum dialect_at { DIALECT_AT_OPENAI, DIALECT_AT_DEEPSEEK, DIALECT_AT_ANTHROPIC };

struct endpoint_row {
    enum dialect_method method;
    const char *name; /* the path after "/v1/" and its kin */
    bool by_id;       /* "/" and an id follow */
    enum dialect_body body;
    const struct dialect *dialect;
    uint8_t places; /* private: prefixes under which it is served */
};

struct endpoint {
    const struct endpoint_row *row;
    bool beta;      /* it was asked for under "/beta" */
    const char *id; /* the id as it stands in the path (borrowed), NULL: none */
    size_t id_len;
};

/* `path` borrows. ERR_NOTFOUND; ERR_UNSUPPORTED: the path exists, with another method. */
int endpoint_find(struct endpoint *ret, enum dialect_method method, const char *path, size_t len);

/* The shape of an error about a path that is not served. */
enum dialect_family endpoint_family(const char *path, size_t len);

/*
 * The provider's path, from its root on, NUL-terminated; it holds nothing of the client's but an
 * id of harmless characters. Returns its length; ERR_NOTFOUND: such a provider does not serve it;
 * ERR_LIMIT: it does not fit.
 */
int endpoint_upstream(const struct endpoint *e, enum dialect_at at, char *out, size_t size);

#endif
