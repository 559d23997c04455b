#ifndef LLM_ASSEMBLE_H
#define LLM_ASSEMBLE_H
/*
 * A stream, whole or cut, put together into the answer that it amounts to: the object that the same
 * request without `stream` would have been answered. doc/turn.md, "Assembly of a stream", is the
 * specification.
 */
#include "base/buf.h"
#include "llm/dialect.h"
#include "llm/json.h"

/*
 * Appends the assembled object to `out`. *ret_tail is the event that the stream was cut in: raw
 * bytes, borrowed, absent if the stream ends after an event. ERR_NOTFOUND: the stream has no whole
 * event. ERR_SYNTAX, ERR_LIMIT: it is no stream of the dialect, or beyond the ceilings; keep it as
 * it came (then there is no tail).
 */
int assemble(struct buf *out, const struct dialect *dialect, const void *stream, size_t len,
             struct jv *ret_tail);

#endif
