/* What the sealer makes of the detector's findings: places, rows, policy, and what it does when the
 * detector dies of an input. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <signal.h>
#include <sodium.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "proc/sealer/sealer.h"

#define TOKEN(n) "github_pat_OcvBSWyy1Q52iqsHZFG49K4hO640B7ZGOpM1yGS_g1sd0VtoWoODXqPjR2i" n

static int ring_fd = -1;
static struct ring *ring;
static struct ring_region *region;
static struct ring_slot *slot;
static const struct buf no_request;

static int setup(void **state) {
    struct ring_slot *s;
    (void)state;
    if (ring_create(1 << 20, 1, &ring_fd) || ring_map(ring_fd, &ring) ||
        ring_claim(ring, &region) || ring_admit(region, 1, clock_mono_ns(), &s))
        return -1;
    ring_close(region, s, RING_COMPLETE, clock_mono_ns());
    return ring_collect(ring, &slot, 1) == 1 ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    ring_release(slot);
    ring_unclaim(region);
    ring_unmap(ring);
    close(ring_fd);
    return 0;
}

static int policy_of(const char *text) {
    int fd = memfd_create("policy", MFD_CLOEXEC);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    return fd;
}

static struct findings *make(const char *policy) {
    static const uint8_t key[FINGERPRINT_KEY_BYTES] = {1};
    struct findings *f;
    char on[4096];
    snprintf(on, sizeof on, "on\n%s", policy);
    int fd = policy_of(on);
    assert_int_equal(findings_new(&f, fd), 0);
    close(fd);
    findings_key(f, 7, key);
    findings_begin(f, slot, "chat");
    return f;
}

/* Judges a turn; *ret_text is what is stored of it, to be freed. */
static void judge(struct findings *f, const char *turn, char **ret_text) {
    struct buf b;
    buf_init(&b, 1 << 24);
    assert_int_equal(buf_append_str(&b, turn), 0);
    assert_int_equal(findings_turn(f, slot, &no_request, &b), 0);
    assert_int_equal(ring_tries(slot), 0);
    *ret_text = strndup((const char *)b.p, b.len);
    buf_wipe(&b);
}

static void expect_row(const struct findings *f, size_t i, const char *class, const char *place,
                       unsigned count, bool clear) {
    struct finding_row r = {0};
    assert_true(findings_row(f, i, &r));
    assert_string_equal(r.class, class);
    assert_string_equal(r.place, place);
    assert_int_equal(r.count, count);
    assert_int_equal(strlen(r.fingerprint), clear ? FINGERPRINT_TEXT : 0);
    assert_int_equal(r.fingerprint_key, clear ? 7 : 0);
}

static void places(void **state) {
    static const char turn[] =
        "{\"messages\":[{\"role\":\"user\",\"content\":\"" TOKEN("1") " " TOKEN("1") "\"},"
        "{\"role\":\"tool\",\"content\":\"" TOKEN("2") "\"},"
        "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"content\":\"" TOKEN("2") "\"}]},"
        "{\"type\":\"function_call_output\",\"output\":\"" TOKEN("2") "\"}],"
        "\"tools\":[{\"x\":\"" TOKEN("3") "\"}],\"params\":{\"" TOKEN("4") "\":1},"
        "\"answer\":{\"choices\":[{\"message\":{\"content\":\"" TOKEN("5") "\",\"tool_calls\":"
        "[{\"function\":{\"arguments\":\"{\\\"a\\\":\\\"" TOKEN("6") "\\\"}\"}}]}}]},"
        "\"more\":\"" TOKEN("7") "\"}";
    struct findings *f = make("");
    char *text;
    (void)state;
    judge(f, turn, &text);
    assert_null(strstr(text, "OcvBSWyy1Q52"));
    assert_non_null(strstr(text, "[[secret:github-fine-grained-pat:k7:"));
    assert_int_equal(findings_total(f), 10);
    expect_row(f, 0, "github-fine-grained-pat", "prompt", 2, true);
    expect_row(f, 1, "github-fine-grained-pat", "tool", 3, true);
    expect_row(f, 2, "github-fine-grained-pat", "tool", 1, true);
    expect_row(f, 3, "github-fine-grained-pat", "prompt", 1, true);
    expect_row(f, 4, "github-fine-grained-pat", "answer", 1, true);
    expect_row(f, 5, "github-fine-grained-pat", "tool", 1, true);
    expect_row(f, 6, "github-fine-grained-pat", "other", 1, true);
    assert_false(findings_row(f, 7, &(struct finding_row){0}));
    findings_withheld(f);
    assert_int_equal(findings_total(f), 0);
    assert_false(findings_row(f, 0, &(struct finding_row){0}));
    free(text);
}

static void rows_have_a_limit(void **state) {
    struct findings *f = make("");
    struct buf b;
    struct finding_row r = {0};
    char *text;
    size_t rows = 0;
    (void)state;
    buf_init(&b, 1 << 20);
    assert_int_equal(buf_append_str(&b, "{\"messages\":[\"x\""), 0);
    for (int i = 0; i < 400; i++)
        assert_int_equal(buf_printf(&b, ",\"github_pat_OcvBSWyy1Q52iqsHZFG49K4hO640B7ZGOpM1yGS"
                                        "_g1sd0VtoWoODXqPjR2%03d\"", i), 0);
    assert_int_equal(buf_append(&b, "]}", 3), 0);
    judge(f, (const char *)b.p, &text);
    assert_null(strstr(text, "OcvBSWyy"));
    while (findings_row(f, rows, &r))
        rows++;
    assert_int_equal(rows, LIMIT_FINDING_ROWS);
    assert_int_equal(findings_total(f), 400);
    free(text);
    buf_wipe(&b);
}

static void policies(void **state) {
    static const char turn[] = "{\"messages\":[\"" TOKEN("1") "\",\"ada@example.org\",\"BADGE-12345\"]}";
    static const char rules[] = "rules\n- id: badge\n  pattern: 'BADGE-[0-9]{5}'\n"
                                "  match: ['BADGE-00001']\n  clean: ['BADGE-1']\n";
    char policy[512], *text;
    struct findings *f;
    (void)state;
    snprintf(policy, sizeof policy, "class github-token seal\nproject chat email fingerprint\n"
                                    "project else github-token allow\n%s", rules);
    f = make(policy);
    judge(f, turn, &text);
    assert_non_null(strstr(text, TOKEN("1")));
    assert_non_null(strstr(text, "[[secret:email:k7:"));
    assert_non_null(strstr(text, "[[secret:badge:k7:"));
    expect_row(f, 0, "github-fine-grained-pat", "prompt", 1, true);
    expect_row(f, 1, "email", "prompt", 1, false);
    expect_row(f, 2, "badge", "prompt", 1, false);
    free(text);
    f = make("mute email\nclass github-token seal\nproject chat github-token allow\n");
    judge(f, turn, &text);
    assert_string_equal(text, turn);
    assert_int_equal(findings_total(f), 0);
    free(text);
    static const char *const wrong[] = {"class x\n", "class x hide\n", "project p x\n", "x\n",
                                        "project p x seal more\n", "other p x seal\n", "\n"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        int fd = policy_of(wrong[i]);
        assert_int_equal(findings_new(&f, fd), ERR_SYNTAX);
        close(fd);
    }
    /* Nothing is said: nothing is looked for. */
    assert_int_equal(findings_new(&f, -1), 0);
    findings_begin(f, slot, "chat");
    judge(f, turn, &text);
    assert_string_equal(text, turn);
    free(text);
}

static void labels(void **state) {
    struct findings *f = make("class github-token seal\nclass jwt allow\n");
    char text[LIMIT_LABEL + 1] = TOKEN("1");
    (void)state;
    assert_true(findings_label(f, slot, text, sizeof text)); /* nothing seals a label */
    assert_memory_equal(text, "[[secret:github-fine-grained-pat:k7:", 36);
    strcpy(text, "session-17");
    assert_true(findings_label(f, slot, text, sizeof text));
    assert_string_equal(text, "session-17");
    strcpy(text, "password = \"Hunter2!horse\"");
    assert_false(findings_label(f, slot, text, sizeof text));
    assert_string_equal(text, "");
    expect_row(f, 0, "github-fine-grained-pat", "header", 1, true);
    char tight[] = "ghs_8ctcTKtmhwvDW6FZ9qBr1fEiyQm43dGDF79Q"; /* no room for a placeholder */
    assert_false(findings_label(f, slot, tight, sizeof tight));
    assert_string_equal(tight, "");
}

/* An input that cannot even be read kills the detector, as a fault in it would. */
static int die_of(struct findings *f) {
    const struct rlimit none = {0, 0};
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        struct ring *again; /* as the next process has it */
        struct ring_slot *s;
        struct buf b;
        if (ring_map(ring_fd, &again) || ring_collect(again, &s, 1) != 1)
            _exit(2);
        buf_init(&b, 1 << 20);
        b.p = mmap(NULL, 1 << 16, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        b.len = b.cap = 1 << 16;
        setrlimit(RLIMIT_CORE, &none);
        signal(SIGSEGV, SIG_DFL); /* the test's own handler is not the sealer's */
        findings_begin(f, s, "chat");
        _exit(findings_turn(f, s, &no_request, &b) == ERR_DENIED ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void deaths_are_counted(void **state) {
    struct findings *f = make("");
    struct buf b;
    char text[LIMIT_LABEL + 1] = "session-17";
    (void)state;
    for (unsigned i = 1; i <= 2; i++) {
        int status = die_of(f);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGSEGV);
        assert_int_equal(ring_tries(slot), i);
    }
    int status = die_of(f); /* not looked at again */
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    findings_begin(f, slot, "chat");
    buf_init(&b, 64);
    assert_int_equal(buf_append_str(&b, "{}"), 0);
    assert_int_equal(findings_turn(f, slot, &no_request, &b), ERR_DENIED);
    assert_false(findings_label(f, slot, text, sizeof text));
    assert_string_equal(text, "");
    buf_wipe(&b);
}

/* What was masked towards the provider is a secret wherever it stands; personal data stays. */
static void masked_values_are_known(void **state) {
    static const char asked[] = "{\"messages\":[{\"content\":\"password = 'Qm2Xv9L\\\\z4Kp8' and pwd: \\\"hU7q\\\" of ada@example.org\"}]}";
    static const char turn[] = "{\"messages\":[\"-\"],\"answer\":{\"choices\":[\"use Qm2Xv9L\\\\z4Kp8, xQm2Xv9L\\\\z4Kp8x\","
                               "\"{\\\"k\\\":\\\"Qm2Xv9L\\\\\\\\z4Kp8\\\"}\",\"for ada@example.org\"]}}";
    struct findings *f = make("class password mask\nclass email mask\n");
    struct buf request, b;
    (void)state;
    for (int i = 0; i < 2; i++) {
        findings_begin(f, slot, "chat");
        buf_init(&request, 1 << 16);
        buf_init(&b, 1 << 16);
        assert_int_equal(buf_append_str(&request, i ? "no JSON" : asked), 0);
        assert_int_equal(buf_append(&b, turn, sizeof turn), 0);
        b.len--;
        assert_int_equal(findings_turn(f, slot, &request, &b), 0);
        b.p[b.len] = 0;
        assert_int_equal(strstr((char *)b.p, "z4Kp8") != NULL, i);
        assert_non_null(strstr((char *)b.p, "for ada@example.org"));
        if (!i)
            expect_row(f, 0, "password", "answer", 3, false);
        buf_wipe(&request);
        buf_wipe(&b);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(places), TEST(rows_have_a_limit), TEST(policies), TEST(labels), TEST(deaths_are_counted),
        TEST(masked_values_are_known),
    };
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
