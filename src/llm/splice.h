#ifndef LLM_SPLICE_H
#define LLM_SPLICE_H
/*
 * The only changes that the gateway makes to what passes, by cutting and inserting at byte offsets;
 * JSON is never written anew, so every other byte stays as the client or the provider wrote it.
 *
 * Requests: a list of edits over the body, made from what the request scanner noted.
 *
 *   struct splice_list l = {0};
 *   splice_usage(&l, &scan)                    an OpenAI stream is to report its usage
 *   splice_value(&l, &scan, REQSCAN_MODEL, "\"gpt-4o\"", 8)
 *   send body[0, edit.at), edit.text, body[edit.at + edit.cut, next.at) ...
 *
 * Streams: if splice_usage had to ask, the client must not see what came of it: struct splice_strip
 * takes the usage chunk and the `"usage":null` members out again.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "llm/reqscan.h"
#include "llm/sse.h"

/* ---- requests ---- */

struct splice_edit {
    size_t at, cut;   /* from this offset on so many bytes are left out, */
    const char *text; /* and this is put there (borrowed) */
    size_t len;
};

#define SPLICE_EDITS 8

struct splice_list {
    struct splice_edit edit[SPLICE_EDITS]; /* by offset, apart from each other */
    size_t count;
};

/*
 * Asks for usage if a stream does not: adds stream_options or its include_usage, or makes that
 * true. True: the list has an edit more, and the answer is to be stripped. For chat and completions
 * only; other dialects report by themselves.
 */
bool splice_usage(struct splice_list *l, const struct reqscan *scan);
/* Puts a JSON value (borrowed) in a noted member's place. False: there is no such member. */
bool splice_value(struct splice_list *l, const struct reqscan *scan, enum reqscan_member member,
                  const char *json, size_t len);
/* The body's length after the edits. */
size_t splice_length(const struct splice_list *l, size_t len);

/* ---- streams ---- */

#define SPLICE_EVENT (1u << 20) /* a larger event passes as it is */

/* Takes what is to be sent; the bytes are the fed buffer's own, or the strip's until the call
 * returns. Other than 0 ends the feed with it. */
typedef int splice_emit(void *arg, const uint8_t *p, size_t len);

struct splice_strip {
    struct sse_cut cut;
    struct buf held; /* an event that is not whole yet */
    bool begun;      /* the first event is over */
    bool passing;    /* the event in work was too large to hold */
    bool dropped;    /* the last event was left out */
    splice_emit *emit;
    void *arg;
};

/*
 * Left out is a chunk whose `choices` is [] and whose `usage` is an object, with its whole event;
 * and from other chunks the member `usage` that is null, with one comma. Whole events pass at once
 * without a copy; of an event that is split over buffers the bytes are held until it is whole, or
 * larger than SPLICE_EVENT.
 */
void splice_strip_init(struct splice_strip *s, splice_emit *emit, void *arg);
/* 0, ERR_NOMEM, or what `emit` gave. */
int splice_strip_feed(struct splice_strip *s, const uint8_t *p, size_t n);
/* The body's end: what is held passes as it is. */
int splice_strip_finish(struct splice_strip *s);
void splice_strip_done(struct splice_strip *s); /* wipes */

#endif
