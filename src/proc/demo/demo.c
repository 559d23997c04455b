/* The demo upstream's words (demo.h). */
#include "proc/demo/demo.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "base/limits.h"

#define BYTES_A_TOKEN 4 /* a rough measure, for a usage that is not zero */
#define OUT_MAX 65536

/* One piece of a stream each; the answer is all of them. */
static const char *const words[] = {
    "This ",      "is ",       "Safehouse's ", "demo ",
    "upstream, ", "not ",      "a ",           "model: ",
    "no ",        "upstream ", "is ",          "configured, ",
    "and ",       "none ",     "was ",         "found ",
    "on ",        "this ",     "machine. ",    "Your ",
    "message ",   "and ",      "this ",        "answer ",
    "are ",       "sealed ",   "and ",         "logged ",
    "like ",      "any ",      "other. ",      "Name ",
    "a ",         "provider ", "with: ",       "safehouse up --upstream URL",
};
#define WORDS (sizeof words / sizeof words[0])

/* ---- requests ---- */

static bool is_path(const char *p, size_t len, const char *path) {
    const char *query = memchr(p, '?', len);
    if (query)
        len = (size_t)(query - p);
    return len == strlen(path) && memcmp(p, path, len) == 0;
}

static int request_line(const char *p, size_t len, struct demo_request *r) {
    const char *space = memchr(p, ' ', len);
    if (!space)
        return ERR_SYNTAX;
    const char *path = space + 1;
    const char *end = memchr(path, ' ', len - (size_t)(path - p));
    if (!end)
        return ERR_SYNTAX;
    size_t n = (size_t)(end - path);
    r->post = space - p == 4 && memcmp(p, "POST", 4) == 0;
    if (is_path(path, n, "/v1/chat/completions") || is_path(path, n, "/chat/completions"))
        r->path = DEMO_CHAT;
    else if (is_path(path, n, "/v1/models") || is_path(path, n, "/models"))
        r->path = DEMO_MODELS;
    return 0;
}

static int header_line(const char *p, size_t len, struct demo_request *r) {
    static const char length[] = "content-length:", coding[] = "transfer-encoding:";
    if (len >= sizeof coding - 1 && strncasecmp(p, coding, sizeof coding - 1) == 0)
        return ERR_SYNTAX;
    if (len < sizeof length - 1 || strncasecmp(p, length, sizeof length - 1) != 0)
        return 0;
    char digits[16] = "";
    p += sizeof length - 1;
    len -= sizeof length - 1;
    for (; len && *p == ' '; p++)
        len--;
    if (len == 0 || len >= sizeof digits)
        return ERR_SYNTAX;
    memcpy(digits, p, len);
    if (strspn(digits, "0123456789") != len)
        return ERR_SYNTAX;
    r->body = strtoull(digits, NULL, 10);
    return r->body <= LIMIT_REQUEST_BODY ? 0 : ERR_LIMIT;
}

int demo_request(const uint8_t *bytes, size_t len, struct demo_request *ret) {
    const char *p = (const char *)bytes;
    const char *end = memmem(p, len < DEMO_HEAD_MAX ? len : DEMO_HEAD_MAX, "\r\n\r\n", 4);
    *ret = (struct demo_request){0};
    if (!end)
        return len < DEMO_HEAD_MAX ? ERR_AGAIN : ERR_LIMIT;
    ret->head = (size_t)(end - p) + 4;
    bool first = true;
    int rc = 0;
    for (const char *line = p; !rc && line < end + 2; first = false) {
        const char *next = memmem(line, (size_t)(end + 2 - line), "\r\n", 2);
        size_t n = (size_t)(next - line);
        rc = first ? request_line(line, n, ret) : header_line(line, n, ret);
        line = next + 2;
    }
    return rc;
}

/* Is `p` after the key's end: blanks, a colon, blanks, true? */
static bool true_follows(const uint8_t *p, const uint8_t *end) {
    for (int colon = 0; colon < 2; colon++) {
        while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r'))
            p++;
        if (!colon && (p == end || *p++ != ':'))
            return false;
    }
    return end - p >= 4 && memcmp(p, "true", 4) == 0;
}

bool demo_flag(const uint8_t *json, size_t len, const char *key, int depth) {
    const uint8_t *p = json, *end = json + len;
    size_t key_len = strlen(key);
    for (int level = 0; p < end; p++) {
        if (*p == '{' || *p == '[')
            level++;
        else if (*p == '}' || *p == ']')
            level--;
        if (*p != '"')
            continue;
        const uint8_t *start = ++p;
        while (p < end && *p != '"')
            p += *p == '\\' ? 2 : 1;
        if (p >= end)
            return false;
        if (level == depth && (size_t)(p - start) == key_len && memcmp(start, key, key_len) == 0 &&
            true_follows(p + 1, end))
            return true;
    }
    return false;
}

/* ---- answers ---- */

static int whole(struct buf *out, const char *status, const struct buf *body) {
    int rc = buf_printf(out,
                        "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
                        "\r\n",
                        status, body->len);
    return rc ? rc : buf_append(out, body->p, body->len);
}

static int append_usage(struct buf *b, uint64_t body_bytes) {
    unsigned long long in = body_bytes / BYTES_A_TOKEN + 1;
    return buf_printf(b, "{\"prompt_tokens\":%llu,\"completion_tokens\":%zu,\"total_tokens\":%llu}",
                      in, WORDS, in + WORDS);
}

int demo_models(struct buf *out) {
    struct buf b;
    buf_init(&b, OUT_MAX);
    int rc =
        buf_append_str(&b, "{\"object\":\"list\",\"data\":[{\"id\":\"" DEMO_MODEL
                           "\",\"object\":\"model\",\"created\":0,\"owned_by\":\"safehouse\"}]}");
    if (!rc)
        rc = whole(out, "200 OK", &b);
    buf_wipe(&b);
    return rc;
}

int demo_error(struct buf *out, int status, const char *message) {
    struct buf b;
    buf_init(&b, OUT_MAX);
    int rc = buf_printf(&b,
                        "{\"error\":{\"message\":\"Safehouse's demo upstream: %s\","
                        "\"type\":\"invalid_request_error\",\"param\":null,\"code\":null}}",
                        message);
    if (!rc)
        rc = whole(out, status == 404 ? "404 Not Found" : "400 Bad Request", &b);
    buf_wipe(&b);
    return rc;
}

static int append_head(struct buf *b, const char *object, uint64_t now_s) {
    return buf_printf(
        b,
        "{\"id\":\"chatcmpl-demo\",\"object\":\"%s\",\"created\":%llu,\"model\":\"" DEMO_MODEL
        "\",",
        object, (unsigned long long)now_s);
}

int demo_answer(struct buf *out, uint64_t body_bytes, uint64_t now_s) {
    struct buf b;
    buf_init(&b, OUT_MAX);
    int rc = append_head(&b, "chat.completion", now_s);
    if (!rc)
        rc = buf_append_str(&b, "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\","
                                "\"content\":\"");
    for (size_t i = 0; !rc && i < WORDS; i++)
        rc = buf_append_str(&b, words[i]);
    if (!rc)
        rc = buf_append_str(&b, "\"},\"finish_reason\":\"stop\"}],\"usage\":");
    if (!rc)
        rc = append_usage(&b, body_bytes);
    if (!rc)
        rc = buf_append_u8(&b, '}');
    if (!rc)
        rc = whole(out, "200 OK", &b);
    buf_wipe(&b);
    return rc;
}

int demo_stream_head(struct buf *out) {
    return buf_append_str(out, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                               "Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n");
}

/* An event as one chunk of the transfer coding. */
static int event(struct buf *out, const struct buf *data) {
    int rc = buf_printf(out, "%zx\r\ndata: ", data->len + 8);
    if (!rc)
        rc = buf_append(out, data->p, data->len);
    return rc ? rc : buf_append_str(out, "\n\n\r\n");
}

int demo_stream_piece(struct buf *out, unsigned piece, bool usage, uint64_t body_bytes,
                      uint64_t now_s, bool *ret_last) {
    struct buf b;
    buf_init(&b, OUT_MAX);
    bool done = piece == WORDS + 1 + (usage ? 1 : 0);
    int rc = done ? buf_append_str(&b, "[DONE]") : append_head(&b, "chat.completion.chunk", now_s);
    if (!rc && piece < WORDS)
        rc = buf_printf(&b,
                        "\"choices\":[{\"index\":0,\"delta\":{%s\"content\":\"%s\"},"
                        "\"finish_reason\":null}]}",
                        piece ? "" : "\"role\":\"assistant\",", words[piece]);
    else if (!rc && piece == WORDS)
        rc = buf_append_str(&b,
                            "\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}");
    else if (!rc && !done) {
        rc = buf_append_str(&b, "\"choices\":[],\"usage\":");
        if (!rc)
            rc = append_usage(&b, body_bytes);
        if (!rc)
            rc = buf_append_u8(&b, '}');
    }
    if (!rc)
        rc = event(out, &b);
    if (!rc && done)
        rc = buf_append_str(out, "0\r\n\r\n");
    buf_wipe(&b);
    *ret_last = done;
    return rc;
}
