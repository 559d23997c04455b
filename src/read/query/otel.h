#ifndef QUERY_OTEL_H
#define QUERY_OTEL_H
/*
 * An exchange in the message schema of OpenTelemetry's GenAI semantic conventions (development, as
 * of semantic-conventions-genai v0.1.0): `gen_ai.input.messages` and `gen_ai.output.messages` are
 * arrays of {"role", "parts", "finish_reason" (of outputs)}, parts of {"type", ...}:
 *
 *   text {content}, reasoning {content}, tool_call {id, name, arguments},
 *   tool_call_response {id, response}, uri {modality, uri}; any other part keeps the form and the
 *   type that it had in the dialect (a generic part)
 */
#include "read/query/turn.h"

/* Appends members, each with a comma before it: gen_ai.system_instructions and gen_ai.tool.definitions
 * where there are any, gen_ai.input.messages, gen_ai.output.messages. */
int otel_messages(const struct exchange *e, struct buf *out);

#endif
