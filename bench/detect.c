/*
 * The detector's speed, on one core: detect FILE... prints "bench detect.NAME VALUE UNIT".
 *   detect.start_ms       reading and compiling all rules
 *   detect.regex_mb_s     the first stage alone, on chat text in pieces of 16 KiB
 *   detect.mb_s           the whole path on chat requests: decode, scan, judge, replace
 *   detect.text_mb_s      the same on plain text, which is scanned as it is and decoded
 *   detect.dense_mb_s     a text of nothing but assignments of passwords
 * Without FILE it makes chat text of its own, the same every time.
 */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "write/detect/detect.h"

#define PIECE 16384
#define SECONDS 1.0

/* Of this thread: other work of the machine is not the detector's. */
static uint64_t cpu_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static double seconds(uint64_t from) {
    return (double)(cpu_ns() - from) / 1e9;
}

static void make_chat(struct buf *b, size_t size, bool json) {
    static const char *const words[] = {
        "the", "model", "answers", "a", "question", "about", "token", "limits", "and", "how", "to", "use",
        "an", "API", "key", "with", "the", "server", "请", "解释", "一下", "这个", "函数", "是", "如何", "工作", "的",
        "function", "returns", "value", "when", "database", "connection", "is", "closed,", "because", "user",
        "password", "was", "changed", "in", "2026", "please", "write", "test", "for", "version", "3.11"};
    uint32_t x = 1;
    CHECK(buf_append_str(b, json ? "{\"messages\":[{\"role\":\"user\",\"content\":\"" : "") == 0);
    while (b->len < size) {
        x = x * 1664525u + 1013904223u;
        const char *word = words[(x >> 8) % (sizeof words / sizeof words[0])];
        CHECK(buf_append_str(b, word) == 0 && buf_append_u8(b, ' ') == 0);
        if ((x >> 24) < 6)
            CHECK(buf_append_str(b, json ? ".\\n\\n" : ".\n\n") == 0);
        if (x >> 20 == 7)
            CHECK(buf_append_str(b, "sk-7Qm2Xv9Lz4Kp8Rt3Yw1sBn6J ") == 0);
    }
    CHECK(buf_append_str(b, json ? "\"}]}" : "") == 0);
}

static void read_file(struct buf *b, const char *path) {
    FILE *f = fopen(path, "r");
    size_t n;
    CHECK(f != NULL);
    do {
        CHECK(buf_reserve(b, 1u << 20) == 0);
        n = fread(b->p + b->len, 1, 1u << 20, f);
        b->len += n;
    } while (n);
    fclose(f);
}

/* The rate of the best pass: others of the machine may slow a pass, none can make it faster. */
static double better(double best, size_t bytes, uint64_t from) {
    double rate = (double)bytes / seconds(from) / 1e6;
    return rate > best ? rate : best;
}

static double regex_rate(const struct detect *d, struct detect_work *w, const struct buf *b, size_t piece) {
    uint64_t from = cpu_ns();
    double best = 0;
    while (seconds(from) < SECONDS) {
        uint64_t pass = cpu_ns();
        for (size_t at = 0; at < b->len; at += piece)
            detect_regex_only(d, w, b->p + at, b->len - at < piece ? b->len - at : piece);
        best = better(best, b->len, pass);
    }
    return best;
}

/* What the default policy replaces: people's data stays in the sealed copy. */
static bool is_secret(struct detect_rule_info rule, void *arg) {
    (void)arg;
    return !rule.personal;
}

/* Pieces end where lines end, so that each is an input of its own. */
static double whole_rate(const struct detect *d, struct detect_work *w, const struct buf *b,
                         enum detect_form form, size_t piece, size_t *ret_findings) {
    static const uint8_t key[DETECT_KEY_BYTES];
    const struct detect_key k = {key, 1};
    struct detect_findings list = {0};
    struct buf out;
    double best = 0;
    buf_init(&out, 1u << 30);
    uint64_t from = cpu_ns();
    do {
        uint64_t pass = cpu_ns();
        *ret_findings = 0;
        for (size_t at = 0; at < b->len;) {
            size_t n = b->len - at < piece ? b->len - at : piece;
            const uint8_t *end = n == piece ? memchr(b->p + at + n, '\n', b->len - at - n) : NULL;
            n = end ? (size_t)(end - b->p) + 1 - at : b->len - at;
            CHECK(detect_scan(d, w, b->p + at, n, form, &list) == 0);
            buf_clear(&out);
            if (list.count) /* as the sealer does it: what has no finding stays where it is */
                CHECK(detect_replace(&out, d, w, b->p + at, n, form, &list, &k, is_secret, NULL) == 0);
            *ret_findings += list.count;
            at += n;
        }
        best = better(best, b->len, pass);
    } while (seconds(from) < SECONDS);
    buf_wipe(&out);
    detect_findings_done(&list);
    return best;
}

int main(int argc, char **argv) {
    struct detect *d;
    struct detect_work *w;
    struct buf chat, text, dense;
    char why[256];
    size_t found;
    CHECK(sodium_init() >= 0);
    buf_init(&chat, 1u << 30);
    buf_init(&text, 1u << 30);
    buf_init(&dense, 1u << 30);
    for (int i = 1; i < argc; i++)
        read_file(&chat, argv[i]);
    if (!chat.len)
        make_chat(&chat, 8u << 20, true);
    make_chat(&text, 8u << 20, false);
    while (dense.len < 4u << 20)
        CHECK(buf_append_str(&dense, "password=hunter2 ") == 0);
    uint64_t from = cpu_ns();
    if (detect_new(&d, NULL, why, sizeof why) || detect_work_new(&w, d)) {
        fprintf(stderr, "%s\n", why);
        return 1;
    }
    printf("bench detect.start_ms %.0f ms\n", seconds(from) * 1e3);
    printf("bench detect.regex_mb_s %.0f MB/s\n", regex_rate(d, w, &chat, PIECE));
    printf("bench detect.regex_256_mb_s %.0f MB/s\n", regex_rate(d, w, &chat, 256));
    printf("bench detect.mb_s %.0f MB/s", whole_rate(d, w, &chat, DETECT_JSON, PIECE, &found));
    printf(" (%zu findings in %.1f MB)\n", found, (double)chat.len / 1e6);
    printf("bench detect.text_mb_s %.0f MB/s", whole_rate(d, w, &text, DETECT_TEXT, 1u << 20, &found));
    printf(" (%zu findings in %.1f MB)\n", found, (double)text.len / 1e6);
    printf("bench detect.dense_mb_s %.0f MB/s", whole_rate(d, w, &dense, DETECT_TEXT, PIECE, &found));
    printf(" (%zu findings in %.1f MB)\n", found, (double)dense.len / 1e6);
    detect_work_free(w);
    detect_free(d);
    buf_wipe(&chat);
    buf_wipe(&text);
    buf_wipe(&dense);
    return 0;
}
