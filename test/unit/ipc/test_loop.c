/* The event loop: callbacks, changes while it runs, ticks, numbers of descriptors that come back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/err.h"
#include "ipc/loop.h"

struct seen {
    struct loop *loop;
    int fd, calls, ticks, stop_after, next_ms;
    uint32_t events;
};

static void count(void *arg, uint32_t events) {
    struct seen *s = arg;
    uint64_t v;
    s->calls++;
    s->events = events;
    if (read(s->fd, &v, sizeof v) < 0 || s->calls == s->stop_after)
        loop_stop(s->loop);
}

static int tick(void *arg) {
    struct seen *s = arg;
    if (++s->ticks == s->stop_after)
        loop_stop(s->loop);
    return s->next_ms;
}

static int ready_event(void) {
    int fd = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static void a_ready_descriptor_is_told_once_a_round(void **state) {
    (void)state;
    struct seen s = {.stop_after = 1, .next_ms = -1};
    assert_int_equal(loop_new(&s.loop), 0);
    s.fd = ready_event();
    assert_int_equal(loop_watch(s.loop, s.fd, EPOLLIN, count, &s), 0);
    assert_int_equal(loop_run(s.loop, NULL, NULL, -1), 0);
    assert_int_equal(s.calls, 1);
    assert_int_equal(s.events, EPOLLIN);
    loop_free(s.loop);
    close(s.fd);
}

static void ticks_come_without_events(void **state) {
    (void)state;
    struct seen s = {.stop_after = 5, .next_ms = 10};
    assert_int_equal(loop_new(&s.loop), 0);
    uint64_t began = clock_mono_ns();
    assert_int_equal(loop_run(s.loop, tick, &s, 10), 0);
    assert_int_equal(s.ticks, 5);
    assert_true(clock_mono_ns() - began >= 45000000u);
    loop_free(s.loop);
}

static void the_first_tick_follows_the_first_events(void **state) {
    (void)state;
    struct seen s = {.stop_after = 1, .next_ms = -1}, t = {.stop_after = 1, .next_ms = -1};
    assert_int_equal(loop_new(&s.loop), 0);
    t.loop = s.loop;
    s.fd = ready_event();
    assert_int_equal(loop_watch(s.loop, s.fd, EPOLLIN, count, &s), 0);
    assert_int_equal(loop_run(s.loop, tick, &t, -1), 0);
    assert_int_equal(s.calls, 1);
    assert_int_equal(t.ticks, 1);
    loop_free(s.loop);
    close(s.fd);
}

static void what_is_watched_can_change(void **state) {
    (void)state;
    int fds[2];
    struct seen first = {.stop_after = 1}, second = {.stop_after = 1};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    assert_int_equal(loop_new(&first.loop), 0);
    second.loop = first.loop;
    first.fd = second.fd = fds[0];
    assert_int_equal(loop_watch(first.loop, fds[0], EPOLLIN, count, &first), 0);
    assert_int_equal(loop_watch(first.loop, fds[0], EPOLLOUT, count, &second), 0);
    assert_int_equal(loop_run(first.loop, NULL, NULL, -1), 0);
    assert_int_equal(first.calls, 0);
    assert_int_equal(second.calls, 1);
    assert_int_equal(second.events, EPOLLOUT);
    loop_free(first.loop);
    close(fds[0]);
    close(fds[1]);
}

/* Forgets the other one, whose event may already be in the same round. */
struct forgets {
    struct loop *loop;
    int other, *calls;
};

static void forget_other(void *arg, uint32_t events) {
    struct forgets *f = arg;
    (void)events;
    ++*f->calls;
    loop_forget(f->loop, f->other);
    loop_stop(f->loop);
}

static void a_forgotten_descriptor_is_not_called_again(void **state) {
    (void)state;
    int calls = 0;
    struct loop *l;
    assert_int_equal(loop_new(&l), 0);
    int a = ready_event(), b = ready_event();
    struct forgets fa = {l, b, &calls}, fb = {l, a, &calls};
    assert_int_equal(loop_watch(l, a, EPOLLIN, forget_other, &fa), 0);
    assert_int_equal(loop_watch(l, b, EPOLLIN, forget_other, &fb), 0);
    assert_int_equal(loop_run(l, NULL, NULL, -1), 0);
    assert_int_equal(calls, 1);
    loop_forget(l, a);
    loop_forget(l, a);
    loop_forget(l, -1);
    loop_forget(l, 100000);
    loop_free(l);
    close(a);
    close(b);
}

static void a_number_that_comes_back_is_watched_anew(void **state) {
    (void)state;
    struct seen s = {.stop_after = 1};
    assert_int_equal(loop_new(&s.loop), 0);
    s.fd = ready_event();
    assert_int_equal(loop_watch(s.loop, s.fd, EPOLLIN, count, &s), 0);
    close(s.fd); /* without loop_forget: the kernel forgot it by itself */
    int again = ready_event();
    assert_int_equal(again, s.fd);
    assert_int_equal(loop_watch(s.loop, again, EPOLLIN, count, &s), 0);
    assert_int_equal(loop_run(s.loop, NULL, NULL, -1), 0);
    assert_int_equal(s.calls, 1);
    loop_free(s.loop);
    close(again);
}

static void numbers_out_of_range_are_refused(void **state) {
    (void)state;
    struct seen s = {0};
    assert_int_equal(loop_new(&s.loop), 0);
    assert_int_equal(loop_watch(s.loop, -1, EPOLLIN, count, &s), ERR_LIMIT);
    assert_int_equal(loop_watch(s.loop, 1 << 20, EPOLLIN, count, &s), ERR_LIMIT);
    assert_true(loop_watch(s.loop, 1000, EPOLLIN, count, &s) < 0); /* not open */
    loop_free(s.loop);
    loop_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ready_descriptor_is_told_once_a_round),
        cmocka_unit_test(ticks_come_without_events),
        cmocka_unit_test(the_first_tick_follows_the_first_events),
        cmocka_unit_test(what_is_watched_can_change),
        cmocka_unit_test(a_forgotten_descriptor_is_not_called_again),
        cmocka_unit_test(a_number_that_comes_back_is_watched_anew),
        cmocka_unit_test(numbers_out_of_range_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
