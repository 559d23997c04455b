/* Asking and saying, for all probes (probe.h). */
#include "audit/probe/probe.h"

#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SILENCE_MS 400

void probe_clean(char *out, size_t size, const void *text, size_t len) {
    const unsigned char *in = text;
    size_t n = 0;
    for (size_t i = 0; i < len && n + 1 < size; i++) {
        unsigned char c = in[i];
        if (c == '\r' || c == '\n' || c == '\t')
            c = ' ';
        out[n++] = c >= 0x20 && c < 0x7f ? (char)c : '.';
    }
    while (n && out[n - 1] == ' ')
        n--;
    out[n] = 0;
}

static void remember(struct probe *p, const char *id, const void *request, size_t len,
                     const void *answer, size_t answer_len) {
    struct probe_result *r = p->result;
    r->probe = id;
    crypto_hash_sha256(r->request_sha256, request, len);
    crypto_hash_sha256(r->response_sha256, answer, answer_len);
    r->response_bytes = answer_len;
    size_t head = 0; /* the first line says what kind of answer it is; rows come later */
    while (head < answer_len && head < sizeof r->excerpt && ((const char *)answer)[head] != '\n')
        head++;
    probe_clean(r->excerpt, sizeof r->excerpt, answer, head);
}

/* A server that drips would be waited for at every question. */
static bool open_for(struct probe *p, const char *id, struct conn **ret) {
    return p->overdue < PROBE_OVERDUE && conn_open(p->rules, &p->pair, p->tls, id, ret) == CONN_OK;
}

static void close_after(struct probe *p, struct conn *c) {
    p->overdue = conn_overdue(c) ? p->overdue + 1 : 0;
    conn_close(c);
}

size_t probe_talk_until(struct probe *p, const char *id, const void *request, size_t len,
                        void *answer, size_t size, probe_whole *whole) {
    struct conn *c;
    size_t have = 0;
    if (!open_for(p, id, &c))
        return 0;
    if (conn_send(c, request, len)) {
        have = conn_receive(c, answer, size, p->rules->timeout_ms);
        for (size_t n; have && have < size && !(whole && whole(answer, have)); have += n)
            if (!(n = conn_receive(c, (uint8_t *)answer + have, size - have, SILENCE_MS)))
                break;
    }
    close_after(p, c);
    remember(p, id, request, len, answer, have);
    return have;
}

size_t probe_talk(struct probe *p, const char *id, const void *request, size_t len, void *answer,
                  size_t size) {
    return probe_talk_until(p, id, request, len, answer, size, NULL);
}

bool probe_http(struct probe *p, const char *id, const struct http_request *q) {
    struct conn *c;
    char path[512];
    struct http_request r = *q;
    snprintf(path, sizeof path, "%s%s", p->prefix, q->path);
    r.path = path;
    p->http->status = 0;
    p->http->body_len = p->http->head_len = 0;
    if (!open_for(p, id, &c))
        return false;
    bool there = http_ask(c, &p->pair, &r, p->rules->timeout_ms, p->http);
    close_after(p, c);
    remember(p, id, path, strlen(path), p->http->head, p->http->head_len);
    return there && p->http->status;
}

bool probe_get(struct probe *p, const char *id, const char *path) {
    const struct http_request q = {.method = "GET", .path = path};
    return probe_http(p, id, &q);
}

/* ---- samples ---- */

bool sampler_ready(struct sampler *s) {
    char why[256];
    const struct detect_options builtin = {0};
    if (!s->wanted || s->work)
        return s->wanted;
    if (detect_new(&s->detect, &builtin, why, sizeof why) || detect_work_new(&s->work, s->detect))
        sampler_done(s);
    return s->wanted;
}

void sampler_done(struct sampler *s) {
    detect_work_free(s->work);
    detect_free(s->detect);
    *s = (struct sampler){0};
}

/* ---- saying ---- */

/* "Worse" means that a stranger gets more. */
static int badness(enum audit_verdict v) {
    static const int order[] = {
        [AUDIT_UNKNOWN] = 0,       [AUDIT_CLOSED] = 1,       [AUDIT_FILTERED] = 1,
        [AUDIT_AUTH_REQUIRED] = 2, [AUDIT_OPEN_LIMITED] = 3, [AUDIT_OPEN] = 4};
    return order[v];
}

void probe_say(struct probe *p, enum audit_verdict v, char grade, const char *fmt, ...) {
    struct probe_result *r = p->result;
    char text[sizeof r->reason];
    if (badness(v) < badness(r->verdict) || (v == r->verdict && grade <= r->grade && r->reason[0]))
        return;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    r->verdict = v;
    if (grade > r->grade)
        r->grade = grade;
    probe_clean(r->reason, sizeof r->reason, text, strlen(text));
}

void probe_note(struct probe *p, const char *id, const char *severity, const char *title,
                const char *fix, const char *detail, size_t detail_len) {
    struct probe_result *r = p->result;
    if (r->note_count == PROBE_NOTES)
        return;
    struct probe_note *n = &r->notes[r->note_count++];
    *n = (struct probe_note){.id = id, .severity = severity, .title = title, .fix = fix};
    probe_clean(n->detail, sizeof n->detail, detail ? detail : "", detail ? detail_len : 0);
}

void probe_note_at(struct probe *p, const struct probe_note *note, const char *file, unsigned line,
                   const char *detail) {
    struct probe_result *r = p->result;
    const size_t before = r->note_count;
    probe_note(p, note->id, note->severity, note->title, note->fix, detail, strlen(detail));
    if (r->note_count == before)
        return;
    struct probe_note *n = &r->notes[before];
    probe_clean(n->file, sizeof n->file, file, strlen(file));
    n->line = line;
}

void probe_version(struct probe *p, const void *text, size_t len) {
    probe_clean(p->result->version, sizeof p->result->version, text, len);
}
