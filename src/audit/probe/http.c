/* The HTTP client of http.h. The whole answer is read first, within the ceilings, and parsed then.
 */
#include "audit/probe/http.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define RAW_MAX (HTTP_HEAD_MAX + HTTP_BODY_MAX + 4096)
#define REQUEST_MAX 4096
#define OTHER_MS 300
#define AGENT "safehouse-audit/1 (authorised audit of own hosts)"

static int status_of(const char *raw, size_t len) {
    if (len < 12 || strncmp(raw, "HTTP/", 5) != 0)
        return 0;
    const char *space = memchr(raw, ' ', len < 16 ? len : 16);
    if (!space || space + 3 >= raw + len)
        return 0;
    int status = 0;
    for (int i = 1; i <= 3; i++) {
        if (!isdigit((unsigned char)space[i]))
            return 0;
        status = status * 10 + (space[i] - '0');
    }
    return status >= 100 ? status : 0;
}

void http_host(const struct conn_pair *pair, char out[static HTTP_HOST_MAX]) {
    const bool six = strchr(pair->address, ':') != NULL;
    snprintf(out, HTTP_HOST_MAX, "%s%s%s:%u", six ? "[" : "", pair->address, six ? "]" : "",
             (unsigned)pair->port);
}

bool http_header(const struct http_answer *a, const char *name, char *out, size_t size) {
    size_t want = strlen(name);
    out[0] = 0;
    for (const char *line = strchr(a->head, '\n'); line; line = strchr(line, '\n')) {
        line++;
        if (strncasecmp(line, name, want) != 0 || line[want] != ':')
            continue;
        const char *v = line + want + 1;
        v += strspn(v, " \t");
        size_t n = strcspn(v, "\r\n");
        if (n >= size)
            n = size - 1;
        memcpy(out, v, n);
        out[n] = 0;
        return true;
    }
    return false;
}

/* Joins chunks in place: from `in` to a->body. */
static void join_chunks(struct http_answer *a, const char *in, size_t len) {
    size_t at = 0;
    a->truncated = true; /* until the last chunk was seen */
    while (at < len) {
        size_t size = 0, digits = 0;
        for (; at < len && isxdigit((unsigned char)in[at]) && digits < 8; at++, digits++) {
            int c = tolower((unsigned char)in[at]);
            size = size * 16 + (size_t)(c <= '9' ? c - '0' : c - 'a' + 10);
        }
        const char *end = memchr(in + at, '\n', len - at);
        if (!digits || !end)
            return;
        at = (size_t)(end - in) + 1;
        if (size == 0) {
            a->truncated = false;
            return;
        }
        size_t take = size < len - at ? size : len - at;
        if (take > HTTP_BODY_MAX - a->body_len)
            take = HTTP_BODY_MAX - a->body_len;
        memcpy(a->body + a->body_len, in + at, take);
        a->body_len += take;
        if (take < size)
            return;
        at += size;
        at += at < len && in[at] == '\r';
        at += at < len && in[at] == '\n';
    }
}

/* 100 Continue, 103 Early Hints and their like come before the answer. 101 is one. */
static void skip_interim(const char **raw, size_t *len) {
    for (int status = status_of(*raw, *len); status >= 100 && status < 200 && status != 101;
         status = status_of(*raw, *len)) {
        const char *end = memmem(*raw, *len, "\r\n\r\n", 4);
        if (!end)
            return;
        *len -= (size_t)(end - *raw) + 4;
        *raw = end + 4;
    }
}

void http_parse(struct http_answer *a, const char *raw, size_t len) {
    char value[64];
    memset(a, 0, sizeof *a);
    skip_interim(&raw, &len);
    a->status = status_of(raw, len);
    const char *end = memmem(raw, len, "\r\n\r\n", 4);
    size_t head = end ? (size_t)(end - raw) + 4 : len, skip = head;
    a->head_len = head < HTTP_HEAD_MAX ? head : HTTP_HEAD_MAX;
    memcpy(a->head, raw, a->head_len);
    for (size_t i = 0; i < a->head_len; i++) /* a NUL must not hide what follows */
        if (!a->head[i])
            a->head[i] = ' ';
    if (!a->status || !end)
        return;
    if (http_header(a, "transfer-encoding", value, sizeof value) && strcasestr(value, "chunked")) {
        join_chunks(a, raw + skip, len - skip);
    } else {
        size_t n = len - skip;
        if (http_header(a, "content-length", value, sizeof value)) {
            size_t said = strtoul(value, NULL, 10);
            a->truncated = said > n;
            n = said < n ? said : n;
        }
        a->truncated |= n > HTTP_BODY_MAX;
        a->body_len = n < HTTP_BODY_MAX ? n : HTTP_BODY_MAX;
        memcpy(a->body, raw + skip, a->body_len);
    }
}

/* Has everything come that the headers promise? Spares the wait for the other side's close. */
static bool complete(const char *raw, size_t len, struct http_answer *scratch) {
    if (!memmem(raw, len, "\r\n\r\n", 4))
        return false;
    char value[32];
    http_parse(scratch, raw, len);
    bool sized = http_header(scratch, "content-length", value, sizeof value) ||
                 http_header(scratch, "transfer-encoding", value, sizeof value);
    return sized && !scratch->truncated;
}

/* Other protocols answer a request with an error at once, and then wait for more. */
static unsigned silence(const char *raw, size_t len, unsigned wait_ms) {
    static const char http[] = "HTTP/";
    const size_t n = len < sizeof http - 1 ? len : sizeof http - 1;
    return len && memcmp(raw, http, n) != 0 && wait_ms > OTHER_MS ? OTHER_MS : wait_ms;
}

bool http_ask(struct conn *c, const struct conn_pair *pair, const struct http_request *q,
              unsigned wait_ms, struct http_answer *ret) {
    char text[REQUEST_MAX], host[HTTP_HOST_MAX], *raw = malloc(RAW_MAX);
    http_host(pair, host);
    int n = snprintf(text, sizeof text,
                     "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: " AGENT
                     "\r\nAccept: application/json, */*\r\nConnection: close\r\n%s",
                     q->method, q->path, host, q->headers ? q->headers : "");
    if (q->body && n > 0 && n < REQUEST_MAX)
        n += snprintf(text + n, sizeof text - (size_t)n,
                      "Content-Type: %s\r\nContent-Length: %zu\r\n",
                      q->type ? q->type : "application/json", strlen(q->body));
    if (n > 0 && n < REQUEST_MAX)
        n += snprintf(text + n, sizeof text - (size_t)n, "\r\n%s", q->body ? q->body : "");
    size_t len = 0;
    if (raw && n > 0 && n < REQUEST_MAX && conn_send(c, text, (size_t)n)) {
        for (size_t got; len < RAW_MAX; len += got) {
            got = conn_receive(c, raw + len, RAW_MAX - len, silence(raw, len, wait_ms));
            if (!got || complete(raw, len + got, ret)) {
                len += got;
                break;
            }
        }
    }
    http_parse(ret, raw ? raw : "", len);
    free(raw);
    return len > 0;
}
