/* Reminders of reports that nobody answers: not before their days are over, once a day from then on,
 * and no more when they were answered; and the lines of security.txt. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/err.h"
#include "proc/supervisor/supervisor_int.h"

#define DAY_US 86400000000ull
#define DAY_NS (DAY_US * 1000u)

static struct supervisor s;
static struct settings settings;

static int set_up(void **state) {
    (void)state;
    memset(&s, 0, sizeof s);
    settings.config = config_new();
    s.settings = &settings;
    return settings.config && metrics_create(&s.metrics) == 0 ? 0 : -1;
}
static int tear_down(void **state) {
    (void)state;
    metrics_close(s.metrics);
    config_free(settings.config);
    return 0;
}

static void waiting(uint32_t count, uint64_t age_us) {
    uint8_t p[12];
    put_u32(p, count);
    put_u64(p + 4, count ? clock_wall_us() - age_us : 0);
    const struct frame f = {.msg = MSG_REPORTS_WAIT, .p = p, .len = sizeof p, .fd = -1};
    assert_int_equal(disclosure_frame(&s, &f), 0);
}

/* How many lines the tick at that time wrote to standard error. */
static unsigned said(uint64_t now, uint64_t *ret_due) {
    char text[4096];
    int ends[2], before = dup(2);
    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], 2);
    *ret_due = UINT64_MAX;
    disclosure_tick(&s, now, ret_due);
    dup2(before, 2);
    close(before);
    close(ends[1]);
    ssize_t n = read(ends[0], text, sizeof text - 1);
    close(ends[0]);
    text[n > 0 ? n : 0] = 0;
    unsigned lines = 0;
    for (const char *at = text; (at = strstr(at, "reports-wait")); at++)
        lines++;
    return lines;
}

static void reminds_once_a_day(void **state) {
    (void)state;
    uint64_t due, now = DAY_NS;
    assert_int_equal(said(now, &due), 0);
    assert_true(due == UINT64_MAX);
    waiting(2, DAY_US);
    assert_int_equal(said(now, &due), 0);
    assert_true(due > now + DAY_NS && due <= now + 2 * DAY_NS); /* three days are the default */
    waiting(2, 4 * DAY_US);
    assert_int_equal(said(now, &due), 1);
    assert_int_equal(said(now + DAY_NS / 2, &due), 0);
    assert_true(due == now + DAY_NS);
    assert_int_equal(said(now + DAY_NS, &due), 1);
    waiting(0, 0);
    assert_int_equal(said(now + 2 * DAY_NS, &due), 0);
    settings.config->reports.remind_days = 0;
    waiting(1, 400 * DAY_US);
    assert_int_equal(said(now, &due), 0);
}

static void refuses_another_length(void **state) {
    (void)state;
    const uint8_t p[11] = {0};
    const struct frame f = {.msg = MSG_REPORTS_WAIT, .p = p, .len = sizeof p, .fd = -1};
    assert_int_equal(disclosure_frame(&s, &f), ERR_SYNTAX);
}

static void writes_lines(void **state) {
    (void)state;
    struct buf b;
    struct why why;
    buf_init(&b, 4096);
    assert_int_equal(disclosure_text(settings.config, true, &b, &why), 0);
    assert_int_equal(buf_append_u8(&b, 0), 0);
    assert_string_equal((char *)b.p, "Contact: @https\nExpires: @\n");
    buf_clear(&b);
    settings.config->reports.enabled = false;
    assert_int_equal(disclosure_text(settings.config, true, &b, &why), 0);
    assert_int_equal(b.len, 0);
    buf_wipe(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reminds_once_a_day, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_another_length, set_up, tear_down),
        cmocka_unit_test_setup_teardown(writes_lines, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
