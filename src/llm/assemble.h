#ifndef LLM_ASSEMBLE_H
#define LLM_ASSEMBLE_H
/*
 * An OpenAI chat stream, whole or cut, put together into the `chat.completion` that it amounts to.
 * doc/turn.md, "Assembly of a stream", is the specification.
 */
#include "base/buf.h"
#include "llm/json.h"

/*
 * Appends the assembled object to `out`. *ret_tail is the event that the stream was cut in: raw
 * bytes, borrowed, absent if the stream ends after an event. ERR_NOTFOUND: the stream has no whole
 * event. ERR_SYNTAX, ERR_LIMIT: it is no chat stream, or beyond the ceilings; keep it as it came
 * (then there is no tail).
 */
int assemble_chat(struct buf *out, const void *stream, size_t len, struct jv *ret_tail);

#endif
