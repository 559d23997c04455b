/*
 * The framing of http.h. Owns no memory and no descriptor: the state lives in the caller's struct.
 * A message goes HEAD -> (LENGTH | SIZE -> DATA -> DATA_END -> ... -> TRAILER | CLOSE) -> done.
 * Both Content-Length and Transfer-Encoding in one message, or two different lengths, are refused:
 * a benchmark that guessed would hide a gateway's mistake.
 */
#include "http.h"

#include <string.h>
#include <strings.h>

enum { HEAD, LENGTH, SIZE, EXTENSION, DATA, DATA_END, TRAILER, CLOSE, DONE };

#define CHUNK_LINE_MAX 256
#define CHUNK_MAX (1ull << 40)

void http_begin(struct http *h, enum http_kind kind) {
    h->kind = kind;
    h->state = HEAD;
    h->status = 0;
    h->close = h->until_close = false;
    h->line = 0;
    h->left = 0;
    h->head_len = 0;
}

bool http_end_ok(const struct http *h) {
    return h->state == CLOSE || h->state == DONE;
}

bool http_untouched(const struct http *h) {
    return h->state == HEAD && h->head_len == 0;
}

static bool is_name(const char *line, size_t len, const char *name) {
    return len == strlen(name) && strncasecmp(line, name, len) == 0;
}

static bool read_number(const char *p, size_t len, uint64_t *ret) {
    uint64_t n = 0;
    if (len == 0 || len > 15)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (p[i] < '0' || p[i] > '9')
            return false;
        n = n * 10 + (uint64_t)(p[i] - '0');
    }
    *ret = n;
    return true;
}

struct framing {
    bool chunked;
    bool has_length;
    uint64_t length;
};

static bool read_field(struct http *h, const char *line, size_t len, struct framing *f) {
    const char *colon = memchr(line, ':', len);
    if (!colon || colon == line || colon[-1] == ' ' || colon[-1] == '\t')
        return false;
    size_t name = (size_t)(colon - line);
    const char *value = colon + 1, *end = line + len;
    while (value < end && (*value == ' ' || *value == '\t'))
        value++;
    while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    size_t value_len = (size_t)(end - value);
    if (is_name(line, name, "content-length")) {
        uint64_t n;
        if (!read_number(value, value_len, &n) || (f->has_length && n != f->length))
            return false;
        f->has_length = true;
        f->length = n;
    } else if (is_name(line, name, "transfer-encoding")) {
        if (f->chunked || !is_name(value, value_len, "chunked"))
            return false;
        f->chunked = true;
    } else if (is_name(line, name, "connection") && is_name(value, value_len, "close")) {
        h->close = true;
    }
    return true;
}

static bool read_start(struct http *h, const char *line, size_t len) {
    if (h->kind == HTTP_REQUEST) {
        if (len < 9)
            return false;
        h->close = memcmp(line + len - 9, " HTTP/1.0", 9) == 0;
        return h->close || memcmp(line + len - 9, " HTTP/1.1", 9) == 0;
    }
    uint64_t status;
    if (len < 12 || memcmp(line, "HTTP/1.", 7) != 0 || !read_number(line + 9, 3, &status))
        return false;
    h->close = line[7] == '0';
    h->status = (int)status;
    return true;
}

static bool read_head(struct http *h) {
    struct framing f = {0};
    const char *line = h->head, *end = h->head + h->head_len - 2;
    for (bool start = true; line < end; start = false) {
        const char *stop = memchr(line, '\r', (size_t)(end - line));
        if (!stop || stop[1] != '\n')
            return false;
        size_t len = (size_t)(stop - line);
        if (start ? !read_start(h, line, len) : !read_field(h, line, len, &f))
            return false;
        line = stop + 2;
    }
    if (f.chunked && f.has_length)
        return false;
    h->left = f.length;
    if (f.chunked)
        h->state = SIZE;
    else if (f.has_length)
        h->state = f.length ? LENGTH : DONE;
    else
        h->state = h->kind == HTTP_REQUEST ? DONE : CLOSE;
    if (h->kind == HTTP_RESPONSE && (h->status == 204 || h->status == 304))
        h->state = DONE;
    h->until_close = h->state == CLOSE;
    h->close = h->close || h->until_close;
    return true;
}

static enum http_step feed_head(struct http *h, const char **p, size_t *len) {
    while (*len > 0) {
        if (h->head_len == HTTP_HEAD_MAX)
            return HTTP_BAD;
        /* Up to the next line end at a time: only there can the head end. */
        const char *lf = memchr(*p, '\n', *len);
        size_t take = lf ? (size_t)(lf - *p) + 1 : *len;
        if (take > HTTP_HEAD_MAX - h->head_len)
            return HTTP_BAD;
        memcpy(h->head + h->head_len, *p, take);
        h->head_len += take;
        *p += take;
        *len -= take;
        if (!lf || h->head_len < 4 || memcmp(h->head + h->head_len - 4, "\r\n\r\n", 4) != 0)
            continue;
        h->head[h->head_len] = 0;
        if (!read_head(h))
            return HTTP_BAD;
        if (h->kind == HTTP_RESPONSE && h->status / 100 == 1) {
            http_begin(h, h->kind); /* 100 Continue and its kin come before the answer */
            continue;
        }
        return HTTP_HEAD;
    }
    return HTTP_MORE;
}

static bool add_digit(struct http *h, char c) {
    int d = c >= '0' && c <= '9'                     ? c - '0'
            : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10
                                                     : -1;
    if (d < 0 || h->left > CHUNK_MAX)
        return false;
    h->left = h->left * 16 + (uint64_t)d;
    return true;
}

/* One byte of the lines around chunks. */
static bool feed_line(struct http *h, char c) {
    if (++h->line > CHUNK_LINE_MAX)
        return false;
    switch (h->state) {
    case SIZE:
        if (c == ';' || c == '\r' || c == ' ') {
            h->state = EXTENSION;
            return h->line > 1;
        }
        return add_digit(h, c);
    case EXTENSION:
        if (c == '\n') {
            h->state = h->left ? DATA : TRAILER;
            h->line = 0;
        }
        return true;
    case DATA_END:
        if (c != (h->line == 1 ? '\r' : '\n'))
            return false;
        if (h->line == 2) {
            h->state = SIZE;
            h->line = 0;
        }
        return true;
    default: /* TRAILER: ends with an empty line */
        if (c == '\n') {
            if (h->line <= 2)
                h->state = DONE;
            h->line = 0;
        }
        return true;
    }
}

enum http_step http_feed(struct http *h, const char **p, size_t *len, struct http_slice *ret_body) {
    if (h->state == HEAD)
        return feed_head(h, p, len);
    while (*len > 0 && h->state != DONE) {
        if (h->state == LENGTH || h->state == DATA || h->state == CLOSE) {
            size_t take = h->state != CLOSE && h->left < *len ? (size_t)h->left : *len;
            *ret_body = (struct http_slice){*p, take};
            *p += take;
            *len -= take;
            if (h->state != CLOSE && (h->left -= take) == 0)
                h->state = h->state == DATA ? DATA_END : DONE;
            return HTTP_BODY;
        }
        if (!feed_line(h, **p))
            return HTTP_BAD;
        ++*p;
        --*len;
    }
    return h->state == DONE ? HTTP_DONE : HTTP_MORE;
}
