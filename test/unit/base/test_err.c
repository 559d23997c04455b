/* The table of errors is whole, CHECK ends the process, an event is one line of JSON. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/err.h"
#include "base/log.h"

static const int codes[] = {
#define CODE(name, status, retry, text) name,
    ERR_TABLE(CODE)
#undef CODE
};
#define CODES (sizeof codes / sizeof codes[0])

static void every_code_has_its_row(void **state) {
    (void)state;
    for (size_t i = 0; i < CODES; i++) {
        assert_true(codes[i] < 0);
        assert_memory_equal(err_name(codes[i]), "ERR_", 4);
        assert_string_not_equal(err_name(codes[i]), "ERR_UNKNOWN");
        assert_string_not_equal(err_text(codes[i]), "unknown error");
        int status = err_http_status(codes[i]);
        assert_true(status >= 400 && status < 600);
        for (size_t k = 0; k < i; k++) {
            assert_int_not_equal(codes[i], codes[k]);
            assert_string_not_equal(err_name(codes[i]), err_name(codes[k]));
        }
    }
}

static void what_is_no_code_is_said_so(void **state) {
    (void)state;
    assert_int_equal(err_http_status(0), 200);
    assert_string_equal(err_text(0), "done");
    assert_false(err_retryable(0));
    assert_string_equal(err_text(-1), "unknown error");
    assert_string_equal(err_name(17), "ERR_UNKNOWN");
    assert_int_equal(err_http_status(-1), 500);
    assert_false(err_retryable(-1));
}

static void errno_is_translated(void **state) {
    (void)state;
    assert_int_equal(err_from_errno(0), 0);
    assert_int_equal(err_from_errno(EINTR), ERR_AGAIN);
    assert_int_equal(err_from_errno(ENOSPC), ERR_FULL);
    assert_int_equal(err_from_errno(ENOENT), ERR_NOTFOUND);
    assert_int_equal(err_from_errno(EACCES), ERR_DENIED);
    assert_int_equal(err_from_errno(ECONNREFUSED), ERR_PEER);
    assert_int_equal(err_from_errno(EIO), ERR_IO);
    assert_int_equal(err_from_errno(99999), ERR_IO);
}

/* Runs `does` in a child whose standard error comes back in `text`. */
static int child(void (*does)(void), char *text, size_t size) {
    int pipes[2], status;
    assert_int_equal(pipe(pipes), 0);
    pid_t p = fork();
    if (p == 0) {
        const struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        signal(SIGABRT, SIG_DFL);
        dup2(pipes[1], STDERR_FILENO);
        close(pipes[0]);
        does();
        _exit(0);
    }
    close(pipes[1]);
    size_t n = 0;
    for (ssize_t got; n < size - 1 && (got = read(pipes[0], text + n, size - 1 - n)) > 0;)
        n += (size_t)got;
    text[n] = 0;
    close(pipes[0]);
    assert_int_equal(waitpid(p, &status, 0), p);
    return status;
}

static void breaks_an_invariant(void) {
    CHECK(1 + 1 == 2);
    CHECK(1 + 1 == 3);
}

static void a_broken_invariant_ends_the_process(void **state) {
    (void)state;
    char text[256];
    int status = child(breaks_an_invariant, text, sizeof text);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_non_null(strstr(text, "1 + 1 == 3"));
    assert_null(strstr(text, "1 + 1 == 2"));
}

static void logs(void) {
    log_program("tester");
    log_event("happened", LOG_U64("rows", UINT64_MAX), LOG_WORD("kind", "open"), LOG_ERR(ERR_FULL),
              LOG_END);
}

static void logs_too_much(void) {
    static char word[800];
    memset(word, 'w', sizeof word - 1);
    log_event("long", LOG_WORD("a", word), LOG_WORD("b", word), LOG_U64("c", 1), LOG_END);
}

static void an_event_is_one_line(void **state) {
    (void)state;
    char text[4096];
    assert_int_equal(child(logs, text, sizeof text), 0);
    assert_memory_equal(text, "{\"time_us\":", 11);
    assert_non_null(strstr(text,
                           ",\"program\":\"tester\",\"event\":\"happened\",\"rows\":"
                           "18446744073709551615,\"kind\":\"open\",\"error\":\"ERR_FULL\"}\n"));
    assert_int_equal(child(logs_too_much, text, sizeof text), 0);
    size_t len = strlen(text);
    assert_true(len > 900 && len <= 1024);
    assert_ptr_equal(strchr(text, '\n'), text + len - 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_its_row),
        cmocka_unit_test(what_is_no_code_is_said_so),
        cmocka_unit_test(errno_is_translated),
        cmocka_unit_test(a_broken_invariant_ends_the_process),
        cmocka_unit_test(an_event_is_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
