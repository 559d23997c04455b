#ifndef CONTROL_DIALECT_H
#define CONTROL_DIALECT_H
/*
 * The APIs that a provider may speak, as bits of a set. The gateway knows from a request's path
 * which one the client speaks, and goes only to providers that speak the same.
 */
#define DIALECT_OPENAI 1u    /* /v1/chat/completions, /v1/responses, /v1/embeddings, ... */
#define DIALECT_DEEPSEEK 2u  /* the same without /v1, /beta/..., /user/balance */
#define DIALECT_ANTHROPIC 4u /* /v1/messages, /anthropic/v1/messages */
#define DIALECT_ALL 7u
#define DIALECT_NAMES                                                                              \
    { "openai", "deepseek", "anthropic", NULL } /* in the order of the bits */

#endif
