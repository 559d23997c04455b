/* Splicing on any bytes. Streams: what is sent does not depend on how the bytes were split, and is
 * what came less whole events and parts that say `usage`. Requests: an edited body is JSON again,
 * asks for usage, and has the same other members. The first byte says which, and how it is split. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "llm/json.h"
#include "llm/splice.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int take(void *arg, const uint8_t *p, size_t len) {
    return buf_append(arg, p, len);
}

static void strip(struct buf *out, const uint8_t *p, size_t n, size_t step) {
    struct splice_strip s;
    splice_strip_init(&s, take, out);
    for (size_t at = 0; at < n; at += step) {
        size_t part = n - at < step ? n - at : step;
        uint8_t *copy = malloc(part);
        memcpy(copy, p + at, part);
        if (splice_strip_feed(&s, copy, part))
            abort();
        free(copy);
    }
    if (splice_strip_finish(&s))
        abort();
    splice_strip_done(&s);
}

static void stream(const uint8_t *p, size_t n, size_t step) {
    struct buf whole, split;
    buf_init(&whole, 1u << 24);
    buf_init(&split, 1u << 24);
    strip(&whole, p, n, n ? n : 1);
    strip(&split, p, n, step);
    if (whole.len != split.len || (whole.len && memcmp(whole.p, split.p, whole.len)))
        abort();
    size_t i = 0; /* what is sent is a subsequence of what came */
    for (size_t k = 0; k < n && i < whole.len; k++)
        i += whole.p[i] == p[k];
    if (i != whole.len || (whole.len < n && !memmem(p, n, "\"usage\"", 7)))
        abort();
    buf_wipe(&whole);
    buf_wipe(&split);
}

static void request(const uint8_t *p, size_t n) {
    struct reqscan s;
    struct splice_list l = {0};
    struct buf out;
    struct jv v, was;
    size_t at = 0;
    reqscan_init(&s);
    if (reqscan_feed(&s, p, n) || reqscan_done(&s) || s.repeated)
        return;
    bool asked = splice_usage(&l, &s);
    bool model = splice_value(&l, &s, REQSCAN_MODEL, "\"other\"", 7);
    splice_value(&l, &s, REQSCAN_USER, "\"nobody\"", 8);
    buf_init(&out, 1u << 24);
    for (size_t i = 0; i < l.count; at = l.edit[i].at + l.edit[i].cut, i++)
        if (l.edit[i].at < at || buf_append(&out, p + at, l.edit[i].at - at) ||
            buf_append(&out, l.edit[i].text, l.edit[i].len))
            abort();
    if (buf_append(&out, p + at, n - at) || out.len != splice_length(&l, n) ||
        jv_parse(&v, out.p, out.len) || jv_parse(&was, p, n))
        abort();
    if (asked && !jv_is_true(jv_get2(v, "stream_options", "include_usage")))
        abort();
    if (model && !jv_equals(jv_get(v, "model"), "other"))
        abort();
    bool added = asked && s.value[REQSCAN_STREAM_OPTIONS].kind == REQSCAN_ABSENT;
    if (jv_count(v) != jv_count(was) + added)
        abort();
    buf_wipe(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1)
        return 0;
    if (data[0] & 1)
        stream(data + 1, size - 1, (data[0] >> 1) + 1u);
    else
        request(data + 1, size - 1);
    return 0;
}
