/* Making and opening an installation, as far as it goes without the other programs; starting a
 * program with what it is given; the pauses between restarts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "proc/supervisor/install.h"
#include "proc/supervisor/spawn.h"
#include "proc/supervisor/supervisor_int.h"

static char home[64];

static int make_home(void **state) {
    (void)state;
    strcpy(home, "/tmp/safehouse-test-XXXXXX");
    return mkdtemp(home) ? chmod(home, 0711) : -1;
}
static int remove_home(void **state) {
    (void)state;
    return rmdir(home); /* fails when a test, or what it tests, left something behind */
}

static const char *in_home(const char *name) {
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", home, name);
    return path;
}

static const struct install_secret secret = {"passphrase", 10, LIMIT_PASSPHRASE_MIB_MIN};

/* There is no safehouse-vault beside this test: all goes well up to that point. */
static void a_failed_init_leaves_nothing(void **state) {
    (void)state;
    struct install in;
    struct why why = {""};
    assert_int_not_equal(install_create(in_home("D"), &secret, &in, &why), 0);
    assert_non_null(strstr(why.text, "safehouse-vault"));
    assert_int_not_equal(access(in_home("D"), F_OK), 0);

    assert_int_equal(mkdir(in_home("D"), 0755), 0); /* one that was there stays, and stays empty */
    assert_int_not_equal(install_create(in_home("D"), &secret, &in, &why), 0);
    assert_int_equal(rmdir(in_home("D")), 0);
}

static void refuses_what_is_there(void **state) {
    (void)state;
    struct install in;
    struct why why;
    char file[160], dir[128];
    snprintf(dir, sizeof dir, "%s", in_home("D"));
    assert_int_equal(mkdir(dir, 0755), 0);
    snprintf(file, sizeof file, "%s/control", dir);
    assert_int_equal(mkdir(file, 0700), 0); /* an init that was killed */
    assert_int_equal(install_create(dir, &secret, &in, &why), ERR_EXISTS);
    assert_non_null(strstr(why.text, "did not end"));
    assert_int_equal(rmdir(file), 0);
    snprintf(file, sizeof file, "%s/mine", dir);
    assert_int_equal(mkdir(file, 0700), 0);
    assert_int_equal(install_create(dir, &secret, &in, &why), ERR_EXISTS);
    assert_non_null(strstr(why.text, "not empty"));
    assert_int_equal(rmdir(file), 0);
    assert_int_equal(rmdir(dir), 0);
}

static void sees_through_links(void **state) {
    (void)state;
    char dir[128], link[128];
    snprintf(dir, sizeof dir, "%s", in_home("D"));
    snprintf(link, sizeof link, "%s", in_home("link"));
    assert_int_equal(mkdir(dir, 0700), 0);
    assert_int_equal(symlink(dir, link), 0);
    assert_true(!install_contains(dir, dir)); /* the folder is not inside itself */
    assert_true(install_contains(home, dir));
    assert_true(install_contains(home, link));
    assert_false(install_contains(dir, "/dev/null"));
    assert_false(install_contains("/tmp/no such folder", "/dev/null"));
    assert_int_equal(unlink(link), 0);
    assert_int_equal(rmdir(dir), 0);
}

/* A shell tells what it has: it is started like any program of an installation. */
static void gives_what_is_given(void **state) {
    (void)state;
    enum { CARELESS = 200 }; /* a descriptor that nobody made close-on-exec */
    int out[2], passed[2], status = 0;
    char text[512] = "";
    struct spawn_gifts g = {0};
    struct why why;
    pid_t pid;
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    assert_int_equal(pipe2(passed, O_CLOEXEC), 0);
    assert_int_equal(dup2(passed[0], CARELESS), CARELESS);
    spawn_give_fd(&g, passed[0], "PASSED");
    spawn_give_env(&g, "NUMBER=%d", 7);
    g.fds[g.fd_count++] = (struct spawn_fd){out[1], STDOUT_FILENO};
    const char *const argv[] = {"sh", "-c",
                                "echo $PASSED $NUMBER $HOME-; pwd; umask; "
                                "for n in 3 200; do [ -e /proc/$$/fd/$n ] && echo $n; done; true",
                                NULL};
    const struct spawn_spec spec = {.file = "/bin/sh",
                                    .argv = argv,
                                    .env = g.env,
                                    .dir = "/",
                                    .uid = geteuid(),
                                    .fds = g.fds,
                                    .fd_count = g.fd_count};
    setenv("HOME", "/root", 1);
    assert_int_equal(spawn(&spec, &pid, &why), 0);
    close(out[1]);
    for (size_t n = 0; n < sizeof text - 1;) {
        ssize_t got = read(out[0], text + n, sizeof text - 1 - n);
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_string_equal(text, "3 7 -\n/\n0077\n3\n");
    close(out[0]);
    close(passed[0]);
    close(passed[1]);
    close(CARELESS);
}

static void says_why_it_did_not_start(void **state) {
    (void)state;
    struct why why;
    pid_t pid;
    const char *const argv[] = {"x", NULL}, *const env[] = {NULL};
    struct spawn_spec spec = {.file = "/nowhere/x", .argv = argv, .env = env, .dir = "/"};
    spec.uid = geteuid();
    assert_int_not_equal(spawn(&spec, &pid, &why), 0);
    assert_non_null(strstr(why.text, "/nowhere/x"));
    spec.file = "/bin/true";
    spec.dir = "/nowhere";
    assert_int_not_equal(spawn(&spec, &pid, &why), 0);
    assert_non_null(strstr(why.text, "enter /nowhere"));
}

static void pauses_grow(void **state) {
    (void)state;
    uint64_t before = 0;
    assert_int_equal(programs_pause_ms(1), 0);
    for (unsigned quick = 2; quick < 100; quick++) {
        uint64_t ms = programs_pause_ms(quick);
        assert_true(ms > before || ms == 5000);
        before = ms;
    }
    assert_int_equal(before, 5000);
    assert_int_equal(programs_pause_ms(4000000000u), 5000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_failed_init_leaves_nothing, make_home, remove_home),
        cmocka_unit_test_setup_teardown(refuses_what_is_there, make_home, remove_home),
        cmocka_unit_test_setup_teardown(sees_through_links, make_home, remove_home),
        cmocka_unit_test(gives_what_is_given),
        cmocka_unit_test(says_why_it_did_not_start),
        cmocka_unit_test(pauses_grow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
