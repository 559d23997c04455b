#ifndef PROC_DEMO_DEMO_H
#define PROC_DEMO_DEMO_H
/*
 * What the demo upstream says: OpenAI's chat completions and list of models, for a gateway that has
 * no real provider yet. Pure: request in, text out.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define DEMO_MODEL "safehouse-demo"
#define DEMO_HEAD_MAX 16384

enum demo_path { DEMO_UNKNOWN, DEMO_CHAT, DEMO_MODELS };

struct demo_request {
    enum demo_path path;
    bool post;
    size_t head;   /* bytes of it, its empty line included */
    uint64_t body; /* Content-Length */
};

/* The head of an HTTP/1.1 request. ERR_AGAIN: not whole yet; ERR_SYNTAX, ERR_LIMIT: no request that
 * is answered here (a body in chunks, for one). */
int demo_request(const uint8_t *p, size_t len, struct demo_request *ret);
/* Is this member true, at this depth of objects and lists (1 = the outermost object)? */
bool demo_flag(const uint8_t *json, size_t len, const char *key, int depth);

/* Whole answers, head included. */
int demo_models(struct buf *out);
int demo_answer(struct buf *out, uint64_t body_bytes, uint64_t now_s);
int demo_error(struct buf *out, int status, const char *message);

/* A streamed answer: the head, then pieces 0, 1, ... until *ret_last is true. */
int demo_stream_head(struct buf *out);
int demo_stream_piece(struct buf *out, unsigned piece, bool usage, uint64_t body_bytes,
                      uint64_t now_s, bool *ret_last);

#endif
