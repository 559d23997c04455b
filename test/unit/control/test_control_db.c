/* Control data: keys come, go, and leave nothing of their secrets in the file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include <sqlite3.h>

#include "base/err.h"
#include "control/control_db.h"

static char folder[64], path[128];

static int setup(void **state) {
    (void)state;
    strcpy(folder, "/tmp/control-db-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/control.db", folder);
    return control_db_create(path);
}

static int teardown(void **state) {
    (void)state;
    unlink(path);
    char journal[160];
    snprintf(journal, sizeof journal, "%s-journal", path);
    unlink(journal);
    return rmdir(folder);
}

static int collect(void *arg, const struct control_key *key) {
    char *out = arg;
    sprintf(out + strlen(out), "%s:%s:%llu ", key->id, key->project,
            (unsigned long long)key->revoked_us);
    return 0;
}

static void keeps_keys(void **state) {
    (void)state;
    struct control_db *db;
    uint8_t hash[32] = {1, 2, 3};
    char list[1024] = "";
    struct stat st;
    assert_int_equal(control_db_create(path), ERR_EXISTS);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(control_db_open(path, true, &db), 0);
    assert_int_equal(control_db_key_add(db, "bbbbbbbbbbbb", hash, "shop", 10, 0), 0);
    assert_int_equal(control_db_key_add(db, "aaaaaaaaaaaa", hash, "shop", 20, 1000), 0);
    assert_int_equal(control_db_key_add(db, "cccccccccccc", hash, "default", 30, 0), 0);
    assert_int_equal(control_db_key_add(db, "aaaaaaaaaaaa", hash, "shop", 20, 0), ERR_EXISTS);
    assert_int_equal(control_db_key_add(db, "dddddddddddd", hash, "a b", 20, 0), ERR_USAGE);
    assert_int_equal(control_db_key_revoke(db, "cccccccccccc", 40), 0);
    assert_int_equal(control_db_key_revoke(db, "cccccccccccc", 50), 0);
    assert_int_equal(control_db_key_revoke(db, "zzzzzzzzzzzz", 50), ERR_NOTFOUND);
    assert_int_equal(control_db_keys(db, NULL, collect, list), 0);
    assert_string_equal(list, "bbbbbbbbbbbb:shop:0 aaaaaaaaaaaa:shop:0 cccccccccccc:default:40 ");
    list[0] = 0;
    assert_int_equal(control_db_keys(db, "default", collect, list), 0);
    assert_string_equal(list, "cccccccccccc:default:40 ");
    control_db_close(db);
}

/* What was given last, and how many before it. */
struct live {
    struct control_key first, last;
    int count;
};

static int take_live(void *arg, const struct control_key *key) {
    struct live *l = arg;
    assert_true(l->count == 0 || strcmp(l->last.id, key->id) < 0); /* sorted */
    if (l->count++ == 0)
        l->first = *key;
    l->last = *key;
    return 0;
}

static void gives_the_live_ones(void **state) {
    (void)state;
    struct control_db *db;
    struct live live = {.count = 0};
    uint8_t hash[32];
    assert_int_equal(control_db_open(path, false, &db), 0);
    assert_int_equal(control_db_each_live_key(db, 999, take_live, &live), 0);
    assert_int_equal(live.count, 2);
    assert_string_equal(live.first.id, "aaaaaaaaaaaa");
    assert_string_equal(live.first.tenant, "default");
    assert_int_equal(live.first.expires_us, 1000);
    assert_int_equal(live.last.hash[2], 3);
    live.count = 0;
    assert_int_equal(control_db_each_live_key(db, 1000, take_live, &live), 0);
    assert_int_equal(live.count, 1);
    memset(hash, 0, sizeof hash);
    assert_int_equal(control_db_key_add(db, "eeeeeeeeeeee", hash, "shop", 1, 0), ERR_DENIED);
    control_db_close(db);
    assert_int_equal(control_db_open(path, true, &db), 0);
    char id[16];
    for (int i = 0; i < 200; i++) {
        snprintf(id, sizeof id, "f%011d", i);
        assert_int_equal(control_db_key_add(db, id, hash, "shop", 1, 0), 0);
    }
    live.count = 0;
    assert_int_equal(control_db_each_live_key(db, 1, take_live, &live), 0);
    assert_int_equal(live.count, 202);
    control_db_close(db);
}

static void refuses_other_files(void **state) {
    (void)state;
    struct control_db *db;
    char other[160];
    snprintf(other, sizeof other, "%s/other", folder);
    assert_int_equal(control_db_open(other, false, &db), ERR_NOTFOUND);
    FILE *f = fopen(other, "w");
    for (int i = 0; i < 4096; i++)
        fputc('x', f);
    fclose(f);
    assert_int_equal(control_db_open(other, false, &db), ERR_CORRUPT);
    f = fopen(other, "w");
    fclose(f);
    assert_int_equal(control_db_open(other, false, &db), ERR_CORRUPT);
    unlink(other);
}

static void keeps_terms(void **state) {
    (void)state;
    struct control_db *db;
    struct control_key key;
    struct control_terms terms;
    uint8_t hash[32] = {9};
    control_terms_init(&terms);
    terms.expires_us = 77;
    terms.models_set = true;
    strcpy(terms.models, "gpt-*,fast");
    terms.limits.requests_per_minute = 60;
    terms.limits.budget_month = 5000000000000;
    terms.limits.concurrency = 0;
    assert_int_equal(control_db_open(path, true, &db), 0);
    assert_int_equal(control_db_key_create(db, "terms2222222", hash, "shop", 5, &terms), 0);
    assert_int_equal(control_db_key(db, "terms2222222", &key), 0);
    assert_memory_equal(&key.terms, &terms, sizeof terms);
    assert_int_equal(key.expires_us, 77);
    assert_int_equal(key.hash[0], 9);
    assert_int_equal(control_db_key(db, "terms3333333", &key), ERR_NOTFOUND);

    control_terms_init(&terms);
    terms.limits.tokens_day = 3;
    assert_int_equal(control_db_key_update(db, "terms2222222", &terms), 0);
    assert_int_equal(control_db_key(db, "terms2222222", &key), 0);
    assert_memory_equal(&key.terms, &terms, sizeof terms);
    strcpy(terms.models, "a**");
    assert_int_equal(control_db_key_update(db, "terms2222222", &terms), ERR_USAGE);
    terms.models[0] = 0;
    assert_int_equal(control_db_key_update(db, "terms3333333", &terms), ERR_NOTFOUND);
    assert_int_equal(control_db_project_update(db, "new-one", 6, &terms), 0);
    assert_int_equal(control_db_project_update(db, "a b", 6, &terms), ERR_USAGE);
    assert_int_equal(control_db_key_revoke(db, "terms2222222", 7), 0);
    assert_int_equal(control_db_key_update(db, "terms2222222", &terms), ERR_NOTFOUND);
    control_db_close(db);

    assert_true(control_models_valid("") && control_models_valid("*") &&
                control_models_valid("a,b*,c/d:e"));
    static const char *const bad[] = {",", "a,", ",a", "a,,b", "*a", "a b", "a*,b**", "a\n"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(control_models_valid(bad[i]));
}

/* A file as version 1 made it. */
static void make_version_1(const char *file) {
    sqlite3 *sql;
    assert_int_equal(sqlite3_open(file, &sql), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(
            sql,
            "CREATE TABLE projects(tenant TEXT NOT NULL, name TEXT NOT NULL, created_us INTEGER "
            "NOT "
            "NULL, PRIMARY KEY(tenant, name)) WITHOUT ROWID, STRICT;"
            "CREATE TABLE keys(id TEXT PRIMARY KEY, hash BLOB NOT NULL, tenant TEXT NOT NULL,"
            " project TEXT NOT NULL, created_us INTEGER NOT NULL, expires_us INTEGER NOT NULL,"
            " revoked_us INTEGER NOT NULL, FOREIGN KEY(tenant, project)"
            " REFERENCES projects(tenant, name)) WITHOUT ROWID, STRICT;"
            "PRAGMA application_id = 1399350119; PRAGMA user_version = 1;"
            "INSERT INTO projects VALUES('default', 'old', 1);"
            "INSERT INTO keys VALUES('oldoldoldold', zeroblob(32), 'default', 'old', 2, 3, 0);",
            NULL, NULL, NULL),
        SQLITE_OK);
    sqlite3_close(sql);
}

static void migrates(void **state) {
    (void)state;
    char old[160];
    struct control_db *db;
    struct control_key key;
    snprintf(old, sizeof old, "%s/old", folder);
    for (int write = 0; write < 2; write++) { /* the supervisor opens it read-only */
        make_version_1(old);
        assert_int_equal(control_db_open(old, write, &db), 0);
        assert_int_equal(control_db_key(db, "oldoldoldold", &key), 0);
        assert_int_equal(key.created_us, 2);
        assert_int_equal(key.expires_us, 3);
        assert_false(key.terms.models_set);
        assert_true(key.terms.limits.concurrency == LIMITS_INHERIT);
        control_db_close(db);
        assert_int_equal(control_db_open(old, write, &db), 0);
        control_db_close(db);
        unlink(old);
        char journal[200];
        snprintf(journal, sizeof journal, "%s-journal", old);
        unlink(journal);
    }
}

static void names(void **state) {
    (void)state;
    assert_true(control_name_valid("shop-1.eu_west"));
    assert_false(control_name_valid(""));
    assert_false(control_name_valid(".."));
    assert_false(control_name_valid("a/b"));
    assert_false(control_name_valid("\xe5\xba\x97"));
    char name[80];
    memset(name, 'a', sizeof name);
    name[64] = 0;
    assert_false(control_name_valid(name));
    name[63] = 0;
    assert_true(control_name_valid(name));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_keys),
        cmocka_unit_test(gives_the_live_ones),
        cmocka_unit_test(refuses_other_files),
        cmocka_unit_test(keeps_terms),
        cmocka_unit_test(migrates),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
