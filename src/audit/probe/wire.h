#ifndef AUDIT_PROBE_WIRE_H
#define AUDIT_PROBE_WIRE_H
/* What probes of protocols share that are a few bytes each way: looking into an answer that is
 * text, or may be. Answers have lengths; nothing in them is trusted to end. */
#include "audit/probe/probe.h"

#define WIRE_ANSWER_MAX 16384 /* of most answers, more is not read */

bool wire_begins(const void *p, size_t len, const char *text);
/* Where the text first stands in it; NULL: nowhere. */
const char *wire_find(const void *p, size_t len, const char *text);
/* The version is what follows this key, to the end of the line, a comma or a quote. */
void wire_version_after(struct probe *p, const void *text, size_t len, const char *key);
/* probe_talk for text: the answer is NUL-ended in `out`, which is returned. */
const char *wire_talk(struct probe *p, const char *id, const char *request, char *out, size_t size,
                      size_t *ret_len);

#endif
