/* Inputs that nobody writes by accident: a secret beside them is found all the same, nothing of an input stays in
 * memory afterwards, and none takes more memory or steps than its length allows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/bytes.h"
#include "base/err.h"
#include "write/detect/detect_int.h"

#define SECRET "AKIAQ3EGRT5XYZ7LMN2P"
#define MIB (1u << 20)

static struct detect *d;
static struct detect_work *w;
static struct detect_findings list;
static struct buf text;

static int setup(void **state) {
    char why[256];
    (void)state;
    buf_init(&text, 256 * MIB);
    return detect_new(&d, NULL, why, sizeof why) || detect_work_new(&w, d) ? -1 : 0;
}

static int teardown(void **state) {
    (void)state;
    buf_wipe(&text);
    detect_findings_done(&list);
    detect_work_free(w);
    detect_free(d);
    return 0;
}

static void put(const char *s, size_t len, size_t times) {
    for (size_t i = 0; i < times; i++)
        assert_int_equal(buf_append(&text, s, len), 0);
}
static void puts_(const char *s) {
    put(s, strlen(s), 1);
}

/* Is the secret found at `at`? Others may be. */
static void expect_at(enum detect_form form, size_t at) {
    bool found = false;
    assert_int_equal(detect_scan(d, w, text.p, text.len, form, &list), 0);
    for (size_t i = 0; i < list.count; i++) {
        assert_true(list.items[i].start < list.items[i].end && list.items[i].end <= text.len);
        found = found || (list.items[i].start == at && list.items[i].end == at + strlen(SECRET));
    }
    assert_true(found);
}

static void found_beside(void **state) {
    static const struct {
        const char *s;
        size_t len, times;
    } odd[] = {
#define ODD(s, times) {s, sizeof(s) - 1, times}
        ODD("\0", 1000), ODD("\\u0000", 1000), ODD("\\ud800", 1000), ODD("\\udc00\\ud800x", 1000), ODD("\\", MIB),
        ODD("\\\\u", MIB / 4), ODD("[", MIB), ODD("{\"a\":", MIB / 8), ODD("\xff\xfe", 1000), ODD("\xed\xa0\x80", 1000),
        ODD("p\0a\0s\0s\0w\0o\0r\0d\0=\0", 1000), ODD("\xf0\x9d\x9f", 1000), ODD("\xef\xbc", 1000), ODD("]]", 100000),
        ODD("[[secret:", 20000), ODD("=\"", 100000), ODD("\n", MIB), ODD("A", MIB), ODD("QUtJ", MIB / 4),
    };
    (void)state;
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        for (int form = 0; form < 2; form++) {
            buf_clear(&text);
            puts_("key " SECRET " ");
            put(odd[i].s, odd[i].len, odd[i].times);
            puts_(" ! key ");
            size_t at = text.len;
            puts_(SECRET " ");
            expect_at(form ? DETECT_JSON : DETECT_TEXT, 4);
            expect_at(form ? DETECT_JSON : DETECT_TEXT, at);
        }
    }
}

/* What ends in the middle of an escape or a character. */
static void cut_off(void **state) {
    static const char *const ends[] = {"\\", "\\u", "\\u00", "\\ud83d", "\\ud83d\\", "\\ud83d\\ude0", "\xef", "\xef\xbc", "\xf0\x9d\x9f"};
    (void)state;
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        buf_clear(&text);
        puts_("\\n" SECRET " ");
        puts_(ends[i]);
        expect_at(DETECT_TEXT, 2);
        expect_at(DETECT_JSON, 2);
    }
}

static void of_64_mib(void **state) {
    (void)state;
    buf_clear(&text);
    puts_("{\"messages\":[{\"content\":\"\\n" SECRET " ");
    while (text.len < 64 * MIB)
        puts_("so the model answers a question about limits, and how to use this function.\\n\\n");
    size_t at = text.len;
    puts_(SECRET "\"}]}");
    expect_at(DETECT_JSON, 27);
    expect_at(DETECT_JSON, at);
}

static void base64_in_one_long_line(void **state) {
    struct buf plain;
    (void)state;
    buf_init(&plain, MIB);
    while (plain.len < 400000)
        assert_int_equal(buf_append_str(&plain, "a line of a file of settings\n"), 0);
    assert_int_equal(buf_append_str(&plain, "key: " SECRET "\n"), 0);
    buf_clear(&text);
    puts_("data: ");
    assert_int_equal(buf_reserve(&text, B64_LEN(plain.len)), 0);
    text.len += b64_encode((char *)text.p + text.len, plain.p, plain.len);
    assert_int_equal(detect_scan(d, w, text.p, text.len, DETECT_TEXT, &list), 0);
    assert_int_equal(list.count, 1);
    assert_true(list.items[0].start > 500000);
    buf_wipe(&plain);
}

static void assert_empty(const struct view *v) {
    assert_true(v->text.cap <= 4 * MIB && v->cap * sizeof *v->segments <= 4 * MIB);
    static const char *const said[] = {"AKIAQ3EG", "in base64", "end of it", "what stands"};
    for (size_t i = 0; v->text.p && i < sizeof said / sizeof said[0]; i++)
        assert_null(memmem(v->text.p, v->text.cap, said[i], strlen(said[i])));
}

/* Nothing of an input stays, whether it was scanned to its end or not. */
static void nothing_stays(void **state) {
    (void)state;
    for (int round = 0; round < 3; round++) {
        buf_clear(&text);
        puts_("{\"a\":\"\\\\n" SECRET " \\uff11 and, in base64, a2V5OiBBS0lBUTNFR1JUNVhZWjdMTU4yUCBlbmQgb2YgaXQu\\n");
        put("\\n\\\"x ", 6, round == 1 ? 4 * MIB : 1);
        /* the copy goes in steps that are longer than what is decoded here to nothing */
        puts_("abc\\u200b\\u200b\\u200b\\u200b\\u200b\\u200b\\u200b\\u200bwhat stands last");
        detect_work_time(w, round == 2 ? 1 : 0);
        assert_int_equal(detect_scan(d, w, text.p, text.len, DETECT_JSON, &list), round == 2 ? ERR_LIMIT : 0);
        for (int level = 0; level < DETECT_LEVELS; level++)
            assert_empty(&w->views[level]);
        assert_empty(&w->base64);
        assert_empty(&w->unescaped);
        assert_true(w->hits_cap * sizeof *w->hits <= 4 * MIB && w->runs_cap * sizeof *w->runs <= 4 * MIB);
    }
    detect_work_time(w, 0);
}

/* Each beginning of a match is tried once, not for each of those that follow it. */
static void steps_are_few(void **state) {
    static const char *const beginnings[] = {"PuTTY-User-Key-File-3: ssh-ed25519\n", "user = joe\n", "-----BEGIN PRIVATE KEY-----\n"};
    (void)state;
    for (size_t i = 0; i < sizeof beginnings / sizeof beginnings[0]; i++) {
        buf_clear(&text);
        put(beginnings[i], strlen(beginnings[i]), 2000);
        w->matches = 0;
        assert_int_equal(detect_scan(d, w, text.p, text.len, DETECT_TEXT, &list), 0);
        if (w->matches > 3 * 2000)
            fail_msg("%u tries for 2000 of %s", w->matches, beginnings[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(found_beside), cmocka_unit_test(cut_off),       cmocka_unit_test(of_64_mib),
        cmocka_unit_test(base64_in_one_long_line), cmocka_unit_test(nothing_stays), cmocka_unit_test(steps_are_few),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
