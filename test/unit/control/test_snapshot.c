/* The control snapshot and API keys: what a worker sees of what the supervisor publishes. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include <sodium.h>

#include "base/clock.h"
#include "base/err.h"
#include "control/snapshot.h"

static void key_named(struct snapshot_key *k, unsigned i) {
    memset(k, 0, sizeof *k);
    snprintf(k->id, sizeof k->id, "key%09u", i);
    snprintf(k->project, sizeof k->project, "project%u", i);
    snprintf(k->tenant, sizeof k->tenant, "default");
    memset(k->hash, (int)i, sizeof k->hash);
}

static void publishes_and_finds(void **state) {
    (void)state;
    int fd, reader;
    const struct snapshot *s;
    struct snapshot_key keys[100], found;
    struct snapshot_provider provider;
    assert_int_equal(snapshot_create(&fd), 0);
    assert_int_equal(snapshot_reader_fd(fd, &reader), 0);
    assert_int_equal(snapshot_map(reader, &s), 0);
    assert_int_equal(snapshot_version(s), 0);
    assert_int_equal(snapshot_find_key(s, "key000000001", 12, &found), ERR_NOTFOUND);
    for (unsigned i = 0; i < 100; i++)
        key_named(&keys[i], i);
    struct snapshot_data data = {.keys = keys, .key_count = 100};
    strcpy(data.provider.name, "demo");
    strcpy(data.provider.credential, "Bearer abc");
    assert_int_equal(snapshot_publish(fd, &data), 0);
    assert_int_equal(snapshot_version(s), 1);
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(snapshot_find_key(s, keys[i].id, 12, &found), 0);
        assert_memory_equal(&found, &keys[i], sizeof found);
    }
    assert_int_equal(snapshot_find_key(s, "key00000000", 11, &found), ERR_NOTFOUND);
    assert_int_equal(snapshot_find_key(s, "", 0, &found), ERR_NOTFOUND);
    char long_id[200];
    memset(long_id, 'k', sizeof long_id);
    assert_int_equal(snapshot_find_key(s, long_id, sizeof long_id, &found), ERR_NOTFOUND);
    assert_int_equal(snapshot_provider(s, &provider), 0);
    assert_string_equal(provider.credential, "Bearer abc");

    /* Revoked: gone with the next version, which the grace delays. */
    uint64_t before = clock_mono_ns();
    data.keys = keys + 1;
    data.key_count = 99;
    assert_int_equal(snapshot_publish(fd, &data), 0);
    assert_true(clock_mono_ns() - before > 50 * 1000000ull);
    assert_int_equal(snapshot_find_key(s, keys[0].id, 12, &found), ERR_NOTFOUND);
    assert_int_equal(snapshot_find_key(s, keys[99].id, 12, &found), 0);
    close(fd);
    close(reader);
}

static void refuses_what_is_wrong(void **state) {
    (void)state;
    int fd, reader;
    const struct snapshot *s;
    struct snapshot_key keys[2];
    assert_int_equal(snapshot_create(&fd), 0);
    assert_int_equal(snapshot_reader_fd(fd, &reader), 0);
    key_named(&keys[0], 2);
    key_named(&keys[1], 1);
    struct snapshot_data data = {.keys = keys, .key_count = 2};
    assert_int_equal(snapshot_publish(fd, &data), ERR_USAGE);
    data.key_count = LIMIT_KEYS + 1;
    assert_int_equal(snapshot_publish(fd, &data), ERR_LIMIT);
    /* The reader's descriptor cannot write, and nobody can resize. */
    assert_int_equal(snapshot_publish(reader, &data), ERR_LIMIT);
    data.key_count = 0;
    assert_int_equal(snapshot_publish(reader, &data), ERR_DENIED);
    assert_int_equal(ftruncate(fd, 10), -1);
    close(reader);
    close(fd);
    fd = memfd_create("other", MFD_CLOEXEC);
    assert_int_equal(snapshot_map(fd, &s), ERR_VERSION);
    close(fd);
}

/* A writer in another process, a reader in this one: every copy is whole. */
static void copies_are_whole(void **state) {
    (void)state;
    int fd;
    const struct snapshot *s;
    struct snapshot_key key, found;
    assert_int_equal(snapshot_create(&fd), 0);
    assert_int_equal(snapshot_map(fd, &s), 0);
    pid_t writer = fork();
    if (writer == 0) {
        for (unsigned v = 0; v < 4; v++) {
            key_named(&key, 7);
            memset(key.hash, (int)v, sizeof key.hash);
            snprintf(key.project, sizeof key.project, "p%u", v);
            struct snapshot_data data = {.keys = &key, .key_count = 1};
            if (snapshot_publish(fd, &data))
                _exit(1);
        }
        _exit(0);
    }
    uint64_t seen = 0;
    while (seen < 4) {
        seen = snapshot_version(s);
        if (snapshot_find_key(s, "key000000007", 12, &found) == 0) {
            assert_int_equal(found.project[1] - '0', found.hash[0]);
            assert_int_equal(found.hash[31], found.hash[0]);
        }
    }
    int status;
    assert_int_equal(waitpid(writer, &status, 0), writer);
    assert_int_equal(status, 0);
    close(fd);
}

static void keys_split(void **state) {
    (void)state;
    char text[APIKEY_TEXT], id[LIMIT_NAME], other[APIKEY_TEXT];
    uint8_t hash[32], hash2[32];
    const char *i, *s;
    size_t in, sn;
    for (int n = 0; n < 1000; n++) {
        apikey_make(text, id, hash);
        assert_int_equal(strlen(text), APIKEY_LEN);
        assert_true(apikey_split(text, strlen(text), &i, &in, &s, &sn));
        assert_int_equal(in, 12);
        assert_memory_equal(i, id, 12);
        assert_true(apikey_matches(hash, s, sn));
        assert_false(apikey_matches(hash, s, sn - 1));
    }
    apikey_make(other, id, hash2);
    assert_string_not_equal(text, other);
    assert_false(apikey_matches(hash2, s, sn));
    for (size_t cut = 0; cut < APIKEY_LEN; cut++)
        assert_false(apikey_split(text, cut, &i, &in, &s, &sn));
    for (size_t at = 0; at < APIKEY_LEN; at++) {
        memcpy(other, text, APIKEY_TEXT);
        other[at] = '=';
        assert_false(apikey_split(other, APIKEY_LEN, &i, &in, &s, &sn));
    }
    assert_false(apikey_id_valid("ABCDEFGHIJKL", 12));
    assert_true(apikey_id_valid("abcdefgh2345", 12));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(publishes_and_finds),
        cmocka_unit_test(refuses_what_is_wrong),
        cmocka_unit_test(copies_are_whole),
        cmocka_unit_test(keys_split),
    };
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
