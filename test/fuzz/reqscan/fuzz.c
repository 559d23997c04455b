/* The request scanner: the verdict does not depend on how the bytes were split, and what it accepts
 * the cursor walks to its end. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "llm/json.h"
#include "llm/reqscan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void same_place(struct jv v, const struct reqscan_value *noted, const uint8_t *text) {
    if (!v.p != (noted->kind == REQSCAN_ABSENT) ||
        (v.p && (v.p != text + noted->at || v.len != noted->len)))
        abort();
    if (noted->kind == REQSCAN_NUMBER && noted->number != jv_u32(v, REQSCAN_NO_NUMBER))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2)
        return 0;
    size_t step = data[0] + 1u;
    data++;
    size--;
    struct reqscan whole, split;
    reqscan_init(&whole);
    int rc = reqscan_feed(&whole, data, size);
    if (!rc)
        rc = reqscan_done(&whole);
    reqscan_init(&split);
    int again = 0;
    for (size_t at = 0; at < size && !again; at += step) {
        size_t n = size - at < step ? size - at : step;
        uint8_t *copy = malloc(n); /* so that a read past the buffer is seen */
        memcpy(copy, data + at, n);
        again = reqscan_feed(&split, copy, n);
        free(copy);
    }
    if (!again)
        again = reqscan_done(&split);
    if (rc != again)
        abort();
    if (rc)
        return 0;
    if (whole.end != split.end || whole.repeated != split.repeated || data[whole.end] != '}')
        abort();
    for (int m = 0; m < REQSCAN_MEMBERS; m++) {
        const struct reqscan_value *a = &whole.value[m], *b = &split.value[m];
        if (a->at != b->at || a->len != b->len || a->number != b->number || a->kind != b->kind)
            abort();
    }
    if (whole.stream != split.stream || whole.has_model != split.has_model ||
        strcmp(whole.model, split.model) || !utf8_valid(whole.model, strlen(whole.model)))
        abort();
    struct jv v, key, value;
    if (jv_parse(&v, data, size) || !jv_is_object(v))
        abort();
    bool stream = false;
    size_t end = 1;
    struct jv n = {0}, id = {0};
    for (size_t pos = 0; jv_each(v, &pos, &key, &value); end = pos) {
        if (jv_equals(key, "stream"))
            stream = jv_is_true(value);
        if (jv_equals(key, "n"))
            n = value;
        if (jv_equals(key, "metadata"))
            id = jv_get(value, "user_id");
    }
    if (stream != whole.stream)
        abort();
    same_place(n, &whole.value[REQSCAN_N], data);
    same_place(id, &whole.value[REQSCAN_METADATA_USER_ID], data);
    for (; end < v.len - 1; end++)
        if (!strchr(" \t\r\n", v.p[end]))
            abort();
    return 0;
}
