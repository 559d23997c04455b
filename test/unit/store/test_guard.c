/* The statement guard: what passes, what is refused and with which words, and what the engine gets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/limits.h"
#include "store/guard.h"

static const struct guard_terms owner = {0};

static int check(const char *sql, char *why, size_t size) {
    struct guard g;
    int rc = guard_check(&g, &owner, sql, strlen(sql), why, size);
    guard_done(&g);
    return rc;
}

static void allowed_statements(void **state) {
    (void)state;
    static const char *const good[] = {
        "select 1",
        "SELECT count() FROM turns;",
        "  select *\n from safehouse.turns ;; \n",
        "(select 1) union all (select 2)",
        "with x as (select id from turns) select count() from x",
        "select 'system.tables', \"a b\", `c` from turns",
        "select format('{}-{}', 'a', 'b')",
        "select system from turns", /* no dot: a column, if there were one */
        "select arrayMap(x -> x + 1, [1, 2]), t.1, 1.5e-3, m['a'] from turns as t",
        "select a ? b : c, a::UInt8, x <=> y, not a != b, s like '%--%' from turns",
        "explain select 1",
        "explain query tree select 1",
        "EXPLAIN PLAN SELECT 1",
        "show tables",
        "SHOW CREATE TABLE turns",
        "show columns from interactions",
        "describe table safehouse.data_keys",
        "desc turns;",
        "select '\xe4\xb8\xad\xe6\x96\x87' as `\xe5\x90\x8d`",
        "select '\\'; drop table turns; --'",
        "select 'it''s'",
    };
    char why[256];
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        if (check(good[i], why, sizeof why))
            fail_msg("refused: %s: %s", good[i], why);
}

static void refused_statements(void **state) {
    (void)state;
    static const char *const bad[][2] = {
        {"", "no statement"},
        {"-- only a comment", "no statement"},
        {"drop table turns", "only SELECT"},
        {"insert into turns select 1", "only SELECT"},
        {"set readonly = 0", "only SELECT"},
        {"1 + 1", "only SELECT"},
        {"explain drop table turns", "only SELECT"},
        {"explain explain select 1", "only SELECT"},
        {"explain header = 1 select 1", "only SELECT"},
        {"select 1; select 2", "one statement"},
        {"select 1;--\nselect 2", "one statement"},
        {"select * from system.tables", "system"},
        {"select * from system /* x */ . tables", "system"},
        {"select * from \"system\".tables", "system"},
        {"select * from `SYSTEM`.`tables`", "SYSTEM"},
        {"select 1 where 'a' in information_schema.tables", "information_schema"},
        {"select * from default.t", "default"},
        {"select 1 settings readonly = 0", "settings"},
        {"select 1 format JSON", "FORMAT"},
        {"select 1 into outfile '/tmp/x'", "into"},
        {"select 1 parallel with select 2", "parallel"},
        {"select file('/etc/passwd')", "file"},
        {"select \"file\" ('/etc/passwd')", "file"},
        {"select * from FiLe('/etc/passwd')", "FiLe"},
        {"select dictGetString('a', 'b', 1)", "dictGetString"},
        {"select getServerSetting('x')", "getServerSetting"},
        {"select AIGenerate('x')", "AIGenerate"},
        {"select sleepEachRow(3)", "sleepEachRow"},
        {"select * apply(hostName) from turns", "hostName"},
        {"select * apply hostName from turns", "hostName"},
        {"select arrayMap(file, ['/etc/passwd'])", "file"},
        {"select arrayMap(`FILE`, ['/etc/passwd'])", "FILE"},
        {"select arrayCount(\"file\", ['/etc/passwd'])", "file"},
        {"select 1 as url", "url"},
        {"with file as f select f('/etc/passwd')", "file"},
        {"select arrayMap(x -> file(x), ['/etc/passwd'])", "file"},
        {"select * except(id) apply(x -> file(x)) from turns", "file"},
        {"select * from executable('id', 'TSV', 'a String')", "executable"},
        {"select (select count() from url('http://127.0.0.1/', 'LineAsString'))", "url"},
        {"select 1 where exists (select 1 from s3('http://127.0.0.1/b/k'))", "s3"},
        {"with x as (select * from remote('127.0.0.1', turns)) select * from x", "remote"},
        {"select * from turns join file('/etc/passwd', 'LineAsString') as f on 1 = 1", "file"},
        {"select dictGetOrDefault('a', 'b', 1, 2)", "dictGetOrDefault"},
        {"select joinGet('a', 'b', 1)", "joinGet"},
        {"select hasColumnInTable('system', 'tables', 'name')", "hasColumnInTable"},
        {"select formatRow('Template', 1)", "formatRow"},
        {"select showCertificate()", "showCertificate"},
        {"select serverUUID(), tcpPort()", "serverUUID"},
        {"select filesystemAvailable()", "filesystemAvailable"},
        {"select zookeeperSessionUptime()", "zookeeperSessionUptime"},
        {"select * from default . turns", "default"},
        {"select * from/**/system/**/./**/one", "system"},
        {"select * from system\t.\none", "system"},
        {"select * from _temporary_and_external_tables.x", "_temporary"},
        {"select (select 1 settings max_threads = 1)", "settings"},
        {"select 1 from turns\nSETTINGS\nreadonly=0", "SETTINGS"},
        {"select 1 format/**/JSON", "FORMAT"},
        {"select 1 into/**/outfile '/tmp/x' truncate", "into"},
        {"select 1 from infile '/etc/passwd'", "infile"},
        {"with x as (select 1) insert into turns select * from x", "into"},
        {"from turns select 1", "only SELECT"},
        {"exists table turns", "only SELECT"},
        {"check table turns", "only SELECT"},
        {"use system", "only SELECT"},
        {"system flush logs", "only SELECT"},
        {"explain syntax drop table turns", "only SELECT"},
        {"explain current transaction", "only SELECT"},
        {"explain table override mysql('a') columns (a Int)", "only SELECT"},
        {"select 1;/* x */ drop table turns", "one statement"},
        {";select 1", "one statement"},
        {"select 1 \\g", "\\"},
        {"select $1", "$"},
        {"select {a:String}", "parameters"},
        {"select * from {t:Identifier}", "parameters"},
        {"select $heredoc$x$heredoc$", "$"},
        {"select\xc2\xa0""1", "0xc2"},
        {"\xef\xbb\xbfselect 1", "0xef"},
        {"select \xef\xbc\x87x\xef\xbc\x87", "0xef"},
        {"select \x01", "0x01"},
        {"select \x7f", "0x7f"},
        {"select * from sys\\tem.one", "\\"},
        {"select `a\\`b`", "printable"},
        {"select \"\x1b[2J\"", "printable"},
        {"describe (select 1)", "tables are"},
        {"describe turns settings a = 1", "tables are"},
        {"show columns from turns from system", "tables are"},
        {"show create database safehouse", "tables are"},
        {"show tables like '%'", "SHOW"},
        {"show full columns from turns", "SHOW"},
        {"select __getScalar('x')", "__getScalar"},
        {"select {x:Identifier}", "parameters"},
        {"select $$x$$", "$"},
        {"select 1 # x", "#"},
        {"select @@version", "@"},
        {"select \xe2\x80\x98x\xe2\x80\x99", "0xe2"},
        {"select 'x", "not closed"},
        {"select 'x\\'", "not closed"},
        {"select /* x", "not closed"},
        {"select \"a\nb\"", "printable"},
        {"select `a\\nb`", "printable"},
        {"show processlist", "SHOW"},
        {"show create table system.tables", "tables are"},
        {"show tables from system", "SHOW"},
        {"describe file('/etc/passwd')", "tables are"},
        {"describe turns union", "tables are"},
    };
    char why[256];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int rc = check(bad[i][0], why, sizeof why);
        if (rc != ERR_DENIED && rc != ERR_SYNTAX)
            fail_msg("allowed: %s", bad[i][0]);
        if (!strstr(why, bad[i][1]))
            fail_msg("%s: said \"%s\"", bad[i][0], why);
    }
}

static void rewritten(void **state) {
    (void)state;
    static const char *const pairs[][2] = {
        {"select/**/1--x\n,2 ;", "select 1 ,2"},
        {" select\t'a  b' ,\"c  d\"", "select 'a  b' ,\"c  d\""},
        {"select 1.5,t.a,1-/**/-1", "select 1.5,t.a,1- -1"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        struct guard g;
        char why[256];
        assert_int_equal(guard_check(&g, &owner, pairs[i][0], strlen(pairs[i][0]), why, sizeof why), 0);
        assert_int_equal(g.sql.len, strlen(pairs[i][1]));
        assert_memory_equal(g.sql.p, pairs[i][1], g.sql.len);
        guard_done(&g);
    }
}

static void explained_select_begins_where_said(void **state) {
    (void)state;
    struct guard g;
    char why[256];
    const char *sql = "explain plan (select 1)";
    assert_int_equal(guard_check(&g, &owner, sql, strlen(sql), why, sizeof why), 0);
    assert_true(g.select && !g.plain_select);
    assert_memory_equal(g.sql.p + g.select_at, "(select", 7);
    guard_done(&g);
}

static int tree(const char *sql, const char *text, char *why, size_t size) {
    struct guard g;
    assert_int_equal(guard_check(&g, &owner, sql, strlen(sql), why, size), 0);
    int rc = guard_check_tree(&g, text, strlen(text), why, size);
    guard_done(&g);
    return rc;
}

static void trees(void **state) {
    (void)state;
    char why[256];
    const char *cte = "with x as (select 1) select * from x";
    const char *head = "SelectWithUnionQuery (children 1)\n TableExpression (children 1)\n";
    char text[512];
    static const struct {
        const char *line;
        int rc;
    } cases[] = {
        {"  TableIdentifier turns", 0},
        {"  TableIdentifier safehouse.turns (alias t)", 0},
        {"  TableIdentifier x", 0},
        {"  Subquery (children 1)", 0},
        {"  TableIdentifier y", ERR_DENIED},
        {"  TableIdentifier system.one", ERR_DENIED},
        {"  TableIdentifier safehouse.x", ERR_DENIED},
        {"  TableIdentifier other.turns", ERR_DENIED},
        {"  Function numbers (children 1)", ERR_DENIED},
        {"  Identifier turns", ERR_DENIED},
        {"  Subquery (children 1)\n   Function file (children 1)", ERR_DENIED},
        {"  Subquery (children 1)\n   QueryParameter x", ERR_DENIED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        strcpy(text, head);
        strcat(text, cases[i].line);
        if (tree(cte, text, why, sizeof why) != cases[i].rc)
            fail_msg("%s: %s", cases[i].line, why);
    }
    assert_int_equal(tree(cte, "DropQuery", why, sizeof why), ERR_DENIED);
    assert_int_equal(tree(cte, "", why, sizeof why), ERR_DENIED);
}

static void formats(void **state) {
    (void)state;
    assert_string_equal(guard_format("jsoneachrow", 11), "JSONEachRow");
    assert_null(guard_format("Template", 8));
    assert_null(guard_format("JSON ", 5));
    assert_null(guard_format("", 0));
}

static void bounds(void **state) {
    (void)state;
    static char sql[LIMIT_SQL + 2];
    char why[256];
    memset(sql, ' ', sizeof sql - 1);
    memcpy(sql, "select 1", 8);
    assert_int_equal(check(sql, why, sizeof why), ERR_DENIED);
    sql[LIMIT_SQL] = 0;
    assert_int_equal(check(sql, why, sizeof why), 0);
    for (size_t i = 7; i < LIMIT_SQL; i++)
        sql[i] = i % 2 ? '1' : '+';
    assert_int_equal(check(sql, why, sizeof why), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allowed_statements), cmocka_unit_test(refused_statements),
        cmocka_unit_test(rewritten),          cmocka_unit_test(explained_select_begins_where_said),
        cmocka_unit_test(trees),              cmocka_unit_test(formats),
        cmocka_unit_test(bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
