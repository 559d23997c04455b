/*
 * `safehouse inbox`: reports from outside (doc/disclosure.md): what came, one of them, and that it
 * was answered. The vault opens a report after the ledger has who reads it and why; what is in it
 * was written by a stranger, so it is printed without control characters, and never interpreted.
 */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/limits.h"
#include "proc/cli/session.h"

#define NUMBER_BYTES 8
#define NUMBER_TEXT (2 * NUMBER_BYTES)

struct inbox {
    const char *dir, *reason;
    struct cli_session session;
    bool json, all;
    unsigned shown;
};

static void when(char out[32], uint64_t us) {
    time_t s = (time_t)(us / 1000000u);
    struct tm tm;
    out[0] = 0;
    if (gmtime_r(&s, &tm))
        strftime(out, 32, "%Y-%m-%d %H:%M", &tm);
}

/* ---- list ---- */

static int print_row(void *arg, json_t *o) {
    struct inbox *b = arg;
    const char *number = json_string_value(json_object_get(o, "number"));
    const uint64_t came = (uint64_t)json_integer_value(json_object_get(o, "received_us"));
    const uint64_t answered = (uint64_t)json_integer_value(json_object_get(o, "answered_us"));
    char at[32], done[32];
    if (answered && !b->all)
        return CLI_GO;
    b->shown++;
    if (b->json)
        return cli_print_json(json_incref(o)) ? CLI_GO : CLI_INTERNAL;
    when(at, came);
    when(done, answered);
    printf("%s  %s  %6lld bytes  %s%s\n", number ? number : "", at,
           json_integer_value(json_object_get(o, "bytes")), answered ? "answered " : "waits",
           answered ? done : "");
    return CLI_GO;
}

static int list_object(void *arg, const struct frame *f) {
    json_t *o = f->msg == MSG_STATUS_IS ? json_loadb((const char *)f->p, f->len, 0, NULL) : NULL;
    int code =
        o ? print_row(arg, o) : cli_fail(CLI_INTERNAL, NULL, "the vault said something else");
    json_decref(o);
    return code;
}

static int list(struct inbox *b) {
    const uint8_t verb = 1;
    int code = session_ask(b->dir, &b->session, MSG_INBOX, &verb, 1, list_object, b, NULL);
    if (code == CLI_GO && !b->shown && !b->json)
        printf(b->all ? "there are no reports\n" : "no report waits for an answer\n");
    return code == CLI_GO ? CLI_DONE : code;
}

/* ---- one report ---- */

static int hex_of(char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Of application/x-www-form-urlencoded, in place. */
static size_t unescape(char *p, size_t len) {
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        int high = i + 2 < len ? hex_of(p[i + 1]) : -1, low = high < 0 ? -1 : hex_of(p[i + 2]);
        if (p[i] == '%' && low >= 0) {
            p[n++] = (char)(high * 16 + low);
            i += 2;
        } else {
            p[n++] = p[i] == '+' ? ' ' : p[i];
        }
    }
    return n;
}

/* Control characters, and bytes that a terminal could take for some in another character set,
 * become dots; lines stay. */
static void print_text(const char *p, size_t len) {
    for (size_t i = 0; i < len; i++) {
        const unsigned char c = (unsigned char)p[i];
        const bool c1 = c == 0xc2 && i + 1 < len && ((unsigned char)p[i + 1] & 0xe0) == 0x80;
        if (c1)
            i++;
        if (c == '\r')
            continue;
        putchar(c1 || (c < ' ' && c != '\n' && c != '\t') || c == 0x7f ? '.' : c);
    }
    if (len && p[len - 1] != '\n')
        putchar('\n');
}

struct opened {
    struct inbox *inbox;
    const char *number;
    bool there;
};

/* Fields of the form, each under its name; anything else as it came. */
static void print_fields(char *p, size_t len) {
    for (size_t at = 0; at <= len;) {
        char *end = memchr(p + at, '&', len - at);
        size_t n = end ? (size_t)(end - p) - at : len - at;
        char *equals = memchr(p + at, '=', n);
        size_t name = equals ? (size_t)(equals - p) - at : n;
        print_text(p + at, unescape(p + at, name));
        if (equals)
            print_text(equals + 1, unescape(equals + 1, n - name - 1));
        at += n + 1;
    }
}

static bool is_form(const char *type, size_t len) {
    static const char form[] = "application/x-www-form-urlencoded";
    return len >= sizeof form - 1 && strncasecmp(type, form, sizeof form - 1) == 0;
}

static int print_opened(struct opened *o, uint64_t came, const char *type, size_t type_len, char *p,
                        size_t len) {
    char at[32];
    if (o->inbox->json) {
        char *text = malloc(sodium_base64_ENCODED_LEN(len, sodium_base64_VARIANT_ORIGINAL));
        if (!text)
            return CLI_INTERNAL;
        sodium_bin2base64(text, sodium_base64_ENCODED_LEN(len, sodium_base64_VARIANT_ORIGINAL),
                          (const uint8_t *)p, len, sodium_base64_VARIANT_ORIGINAL);
        json_t *j = json_pack("{s:s, s:I, s:s%, s:s}", "number", o->number, "received_us",
                              (json_int_t)came, "content_type", type, type_len, "base64", text);
        free(text);
        return cli_print_json(j) ? CLI_GO : CLI_INTERNAL;
    }
    when(at, came);
    printf("report    %s, %s UTC, from a stranger: trust nothing in it\n", o->number, at);
    printf("type      ");
    print_text(type_len ? type : "not said", type_len ? type_len : 8);
    printf("\n");
    if (is_form(type, type_len))
        print_fields(p, len);
    else
        print_text(p, len);
    return CLI_GO;
}

/* u8 1 | u64 when | u8 n | n content type | the report */
static int take_report(void *arg, const struct frame *f) {
    struct opened *o = arg;
    if (f->msg != MSG_REPORT_IS || f->len < 10 || f->p[0] != 1 || f->p[9] > f->len - 10)
        return cli_fail(CLI_INTERNAL, NULL, "the vault said something else");
    const size_t type = f->p[9], len = f->len - 10 - type;
    char *copy = malloc(len + 1);
    if (!copy)
        return cli_fail(CLI_INTERNAL, NULL, "out of memory");
    memcpy(copy, f->p + 10 + type, len);
    o->there = true;
    int code = print_opened(o, get_u64(f->p + 1), (const char *)f->p + 10, type, copy, len);
    sodium_memzero(copy, len);
    free(copy);
    return code;
}

static int ask_one(struct inbox *b, uint8_t verb, const char *number, session_fn *each, void *arg) {
    uint8_t p[11 + LIMIT_REASON];
    const size_t n = b->reason ? strlen(b->reason) : 0;
    if (!hex_decode(p + 1, NUMBER_BYTES, number, strlen(number)))
        return cli_fail(CLI_USAGE, "safehouse inbox list tells them", "%.40s is no report's number",
                        number);
    if (!n || n > LIMIT_REASON)
        return cli_fail(CLI_USAGE, "it stands in the ledger",
                        verb == 2 ? "say why: --reason TEXT" : "say what was done: --reason TEXT");
    p[0] = verb;
    put_u16(p + 9, (uint16_t)n);
    memcpy(p + 11, b->reason, n);
    return session_ask(b->dir, &b->session, MSG_INBOX, p, 11 + n, each, arg, NULL);
}

static int show(struct inbox *b, const char *number) {
    struct opened o = {.inbox = b, .number = number};
    int code = ask_one(b, 2, number, take_report, &o);
    if (code == CLI_GO && !o.there)
        return cli_fail(CLI_INTERNAL, NULL, "the vault gave no report");
    return code == CLI_GO ? CLI_DONE : code;
}

static int answer(struct inbox *b, const char *number) {
    int code = ask_one(b, 3, number, NULL, NULL);
    if (code != CLI_GO)
        return code;
    if (b->json)
        return cli_print_json(json_pack("{s:s, s:b}", "number", number, "answered", 1))
                   ? CLI_DONE
                   : CLI_INTERNAL;
    printf("%s is answered\n", number);
    return CLI_DONE;
}

int cli_inbox(int argc, char **argv) {
    static const struct cli_usage usage = {
        "safehouse inbox list [--all] [--dir D] [--token-file F] [--json]\n"
        "       safehouse inbox show NUMBER --reason TEXT [--dir D] [--token-file F] [--json]\n"
        "       safehouse inbox answer NUMBER --reason TEXT [--dir D] [--token-file F] [--json]",
        "Reports from outside, of those who found something and wrote to /report. They were sealed "
        "when they\n"
        "came. list: those that wait for an answer. show: one of them; the ledger has who read it "
        "and "
        "why.\n"
        "answer: it was dealt with, and how; then nobody is reminded of it any more."};
    struct inbox b = {.dir = CLI_DIR_DEFAULT};
    int words;
    const struct cli_option options[] = {
        {"--dir", "D", .text = &b.dir, .help = CLI_DIR_HELP},
        {"--reason", "TEXT", .text = &b.reason, .help = "why it is read, or what was done"},
        {"--all", NULL, .flag = &b.all, .help = "answered ones, too"},
        CLI_SESSION_OPTION(b.session),
        {"--json", NULL, .flag = &b.json, .help = "one object a line"},
        {0}};
    int code = cli_parse(&usage, options, argc, argv, 1, 2, &words);
    const bool lists = code == CLI_GO && strcmp(argv[1], "list") == 0 && words == 1;
    const bool shows = code == CLI_GO && strcmp(argv[1], "show") == 0 && words == 2;
    const bool answers = code == CLI_GO && strcmp(argv[1], "answer") == 0 && words == 2;
    if (code == CLI_GO && !lists && !shows && !answers)
        code = cli_fail(CLI_USAGE, "safehouse inbox --help tells more",
                        "say list, show NUMBER or answer NUMBER");
    if (code == CLI_GO)
        code = session_load(b.dir, &b.session);
    if (code != CLI_GO)
        return code;
    code = lists ? list(&b) : shows ? show(&b, argv[2]) : answer(&b, argv[2]);
    session_wipe(&b.session);
    return code;
}
