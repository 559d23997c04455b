/*
 * The console's end of the store, over the real engine and the real channels: whose rows a session sees,
 * whatever it writes; what it may not write; parameters; what a client's browsing is told; limits, and what
 * the worst statements do to batches.
 *
 * That a filter holds is shown by comparison: the same statements, over a log of two projects seen with one
 * of them, and over a log that has that one only, have the same answers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <ftw.h>
#include <pthread.h>
#include <sodium.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/err.h"
#include "ipc/peer.h"
#include "proc/store/console.h"
#include "store/catalogue.h"
#include "store/dash.h"
#include "store/store_int.h"

#define MUST(cond)                                                                                 \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fprintf(stderr, "line %d: not so: %s\n", __LINE__, #cond);                             \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

/* ---- a store, its console, a channel ---- */

struct house {
    char folder[64];
    struct store *store;
    struct console *console;
};

static void run_sql(struct house *h, const char *sql) {
    chdb_result *r = chdb_query_n(*h->store->conn, sql, strlen(sql), "Null", 4);
    if (!r || chdb_result_error(r)) {
        fprintf(stderr, "%s: %s\n", sql, r ? chdb_result_error(r) : "out of memory");
        _exit(1);
    }
    chdb_destroy_query_result(r);
}

/* Interactions, turns and findings of two projects, every third row alpha's; or alpha's rows alone. */
static void fill(struct house *h, const char *condition) {
    static const char *const rows[] = {
        "INSERT INTO interactions (tenant, project, time, id, key, subject, conversation, dialect, provider, model,"
        " status, outcome, error, streamed, tokens_input, tokens_output, cost_nano, ttft_us, duration_us,"
        " attempts, findings, tags, stored, sealer, batch, `index`)"
        " SELECT 'default', if(number % 3 = 0, 'alpha', 'beta') AS p, toDateTime64(1763000000 + number * 7000, 6),"
        " toUUID(concat('00000000-0000-7000-8000-', leftPad(toString(number), 12, '0'))) AS i, concat('key-', p),"
        " i, i, 'openai.chat', 'mock', concat('model-', toString(number % 5)), if(number % 7 = 0, 500, 200),"
        " 'complete', if(number % 7 = 0, 'server', ''), number % 2, number, number * 2, number * 1000, number * 100,"
        " number * 1000, 1, number % 4, map('who', p), 'turn', 1, 1, number",
        "INSERT INTO turns (tenant, project, time, id, dialect, subject, envelope, sealer, batch, `index`)"
        " SELECT 'default', if(number % 3 = 0, 'alpha', 'beta') AS p, toDateTime64(1763000000 + number * 7000, 6),"
        " toUUID(concat('00000000-0000-7000-8000-', leftPad(toString(number), 12, '0'))), 'openai.chat',"
        " toUUID('00000000-0000-0000-0000-000000000001'), concat('sealed-', p, toString(number)), 1, 1, number",
        "INSERT INTO findings (tenant, project, time, interaction, class, rule, place, count, fingerprint,"
        " sealer, batch, `index`)"
        " SELECT 'default', if(number % 3 = 0, 'alpha', 'beta') AS p, toDateTime64(1763000000 + number * 7000, 6),"
        " toUUID(concat('00000000-0000-7000-8000-', leftPad(toString(number), 12, '0'))), concat('class-', p), 'r',"
        " 'prompt', 1, concat('print-', p), 1, 1, number",
        "INSERT INTO held_turns SELECT * FROM turns",
        "INSERT INTO leaves (time, sealer, batch) SELECT toDateTime64(1763000000, 6), 1, number",
    };
    char sql[2048];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const bool made = strstr(rows[i], "number") != NULL;
        snprintf(sql, sizeof sql, made ? "%s FROM system.numbers WHERE %s LIMIT 900" : "%s", rows[i],
                 i < 3 ? condition : "1");
        run_sql(h, sql);
    }
}

static void open_house(struct house *h) {
    strcpy(h->folder, "/tmp/safehouse-console-XXXXXX");
    MUST(mkdtemp(h->folder) && !store_open(h->folder, &h->store) && !console_start(&h->console, h->store));
}

static int drop(const char *path, const struct stat *st, int type, struct FTW *f) {
    (void)st, (void)type, (void)f;
    return remove(path);
}

static void close_house(struct house *h) {
    MUST(console_stop(h->console) == 0);
    store_close(h->store);
    nftw(h->folder, drop, 16, FTW_DEPTH | FTW_PHYS);
}

static struct peer *new_channel(struct house *h) {
    int pair[2];
    struct peer *p;
    MUST(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
    MUST(!console_add(h->console, pair[1]) && !peer_new(pair[0], IPC_CONSOLE, IPC_STORE, &p));
    return p;
}

struct asked {
    const char *projects; /* one name; NULL: all */
    const char *format, *sql;
    const char *name, *value; /* one parameter; NULL: none */
    const char *database;
    uint32_t seconds;
    uint64_t rows;
};

struct answered {
    int rc;
    uint32_t exception;
    uint64_t read_rows, read_bytes, rows, bytes, ns;
    size_t data_bytes; /* of the whole result; `data` has the first */
    char why[2100];
    struct buf data;
};

static void put_string(struct buf *b, size_t head, const char *s) {
    uint8_t h[4];
    put_u32(h, (uint32_t)strlen(s));
    MUST(!buf_append(b, h, head) && !buf_append_str(b, s));
}

static void send_query(struct peer *p, const struct asked *q) {
    struct buf b;
    uint8_t head[13] = {0}, n[2];
    buf_init(&b, LIMIT_CONSOLE_QUERY);
    put_u32(head + 1, q->seconds);
    put_u64(head + 5, q->rows);
    MUST(!buf_append(&b, head, sizeof head));
    put_string(&b, 2, q->database ? q->database : "");
    put_string(&b, 2, q->format ? q->format : "TabSeparated");
    put_u16(n, q->projects ? 1 : 0xffff);
    MUST(!buf_append(&b, n, 2));
    if (q->projects)
        put_string(&b, 1, q->projects);
    put_u16(n, q->name ? 1 : 0);
    MUST(!buf_append(&b, n, 2));
    if (q->name) {
        put_string(&b, 2, q->name);
        put_string(&b, 4, q->value);
    }
    put_string(&b, 4, q->sql);
    MUST(!peer_send(p, MSG_CONSOLE_QUERY, b.p, b.len, -1) && !peer_flush_wait(p, 5000));
    buf_wipe(&b);
}

static void receive(struct peer *p, struct answered *a) {
    struct frame f;
    *a = (struct answered){0};
    buf_init(&a->data, 16u << 20);
    for (;;) {
        MUST(!peer_recv_wait(p, &f, 90000));
        if (f.msg == MSG_RESULT)
            break;
        MUST(f.msg == MSG_DATA);
        a->data_bytes += f.len;
        (void)buf_append(&a->data, f.p, f.len);
    }
    MUST(f.len >= 50 && f.len == 50u + get_u16(f.p + 48) && f.len - 50 < sizeof a->why);
    a->rc = (int)get_u32(f.p);
    a->exception = get_u32(f.p + 4);
    a->read_rows = get_u64(f.p + 8);
    a->read_bytes = get_u64(f.p + 16);
    a->rows = get_u64(f.p + 24);
    a->bytes = get_u64(f.p + 32);
    a->ns = get_u64(f.p + 40);
    memcpy(a->why, f.p + 50, f.len - 50);
    MUST(!buf_append(&a->data, "", 1));
    a->data.len--;
}

static void ask(struct peer *p, const struct asked *q, struct answered *a) {
    send_query(p, q);
    receive(p, a);
}

static void expect(struct peer *p, struct asked q, const char *text) {
    struct answered a;
    ask(p, &q, &a);
    if (a.rc || strcmp((const char *)a.data.p, text) != 0) {
        fprintf(stderr, "%s: %s \"%s\", not \"%s\"; %u %s\n", q.sql, err_name(a.rc), (const char *)a.data.p, text,
                a.exception, a.why);
        _exit(1);
    }
    buf_wipe(&a.data);
}

static void in_child(void (*fn)(void)) {
    int status = 0;
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        fn();
        fflush(stdout);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* ---- whose rows ---- */

/* One statement a line. The answer may be an error: then of both. */
static const char *const reads[] = {
#include "filter.inc"
};
#define READS (sizeof reads / sizeof reads[0])

/* Answers of all of them, each in a slot of a shared memory. */
#define SLOT 16384
static char *answers[2]; /* filtered, alone */

static void answer_all(int which, const char *condition, const char *projects) {
    struct house h;
    struct answered a;
    open_house(&h);
    fill(&h, condition);
    struct peer *p = new_channel(&h);
    for (size_t i = 0; i < READS; i++) {
        ask(p, &(struct asked){.projects = projects, .sql = reads[i]}, &a);
        snprintf(answers[which] + i * SLOT, SLOT, "%d %u %.*s%s", a.rc, a.exception, 12000, (const char *)a.data.p,
                 a.rc ? a.why : "");
        buf_wipe(&a.data);
    }
    for (unsigned i = 0; i < dash_views_n; i++) {
        char sql[256];
        snprintf(sql, sizeof sql, "SELECT cityHash64(groupArray(toString(tuple(*)))) FROM (SELECT * FROM %s ORDER BY ALL)",
                 dash_views[i].name);
        ask(p, &(struct asked){.projects = projects, .sql = sql}, &a);
        snprintf(answers[which] + (READS + i) * SLOT, SLOT, "%d %s %s", a.rc, (const char *)a.data.p, a.why);
        if (a.rc)
            fprintf(stderr, "%s: %s\n", dash_views[i].name, a.why);
        MUST(a.rc == 0);
        buf_wipe(&a.data);
    }
    peer_free(p);
    close_house(&h);
}

static void answer_filtered(void) {
    answer_all(0, "1", "alpha");
}

static void answer_alone(void) {
    answer_all(1, "number % 3 = 0 AND number < 900", NULL);
}

static void nobody_sees_another_projects_rows(void **state) {
    (void)state;
    const size_t size = (READS + dash_views_n) * SLOT;
    for (int i = 0; i < 2; i++)
        answers[i] = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    in_child(answer_filtered);
    in_child(answer_alone);
    size_t errors = 0;
    for (size_t i = 0; i < READS + dash_views_n; i++) {
        const char *got = answers[0] + i * SLOT, *want = answers[1] + i * SLOT;
        errors += got[0] != '0';
        if (strcmp(got, want) != 0)
            fail_msg("%s\n  filtered: %.300s\n  alone:    %.300s", i < READS ? reads[i] : "a view", got, want);
        if (strstr(got, "beta"))
            fail_msg("%s tells of beta: %.300s", i < READS ? reads[i] : "a view", got);
    }
    assert_true(errors < READS / 5); /* most of them say something */
}

/* Whatever is not a list of projects shows nothing. */
static void lists(void) {
    static const char *const bad[] = {"", "\t", "al\tpha", "alpha\nbeta", "\x01"};
    static const char *const none[] = {"*", "'", "alpha' OR 1 OR '", "alph", "ALPHA", "%", "alpha ", "alpha\\nbeta", "\\t"};
    struct house h;
    struct answered a;
    open_house(&h);
    fill(&h, "1");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct peer *p = new_channel(&h);
        struct frame f;
        send_query(p, &(struct asked){.projects = bad[i], .sql = "SELECT count() FROM turns"});
        int rc = peer_recv_wait(p, &f, 30000);
        MUST(rc == ERR_PEER || (f.msg == MSG_RESULT && (int)get_u32(f.p) == ERR_USAGE));
        peer_free(p);
    }
    struct peer *p = new_channel(&h);
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
        expect(p, (struct asked){.projects = none[i], .sql = "SELECT count() FROM turns"}, "0\n");
    expect(p, (struct asked){.sql = "SELECT count() FROM turns"}, "900\n");
    expect(p, (struct asked){.projects = "alpha", .sql = "SELECT count() FROM turns"}, "300\n");
    expect(p, (struct asked){.projects = "alpha", .sql = "SELECT count() FROM leaves"}, "0\n");
    expect(p, (struct asked){.sql = "SELECT count() FROM leaves"}, "900\n");
    ask(p, &(struct asked){.projects = "alpha", .sql = "EXPLAIN ESTIMATE SELECT * FROM turns"}, &a);
    MUST(a.rc == ERR_DENIED && a.exception == 497);
    /* Without a list, too: it is not the guard that filters. */
    chdb_connection *bare;
    MUST(!store_connect(h.store, NULL, 0, &bare));
    chdb_result *r = chdb_query_n(*bare, "SELECT count() FROM safehouse.turns", 35, "TabSeparated", 12);
    MUST(r && !chdb_result_error(r) && memcmp(chdb_result_buffer(r), "0\n", 2) == 0);
    chdb_destroy_query_result(r);
    chdb_close_conn(bare);
    peer_free(p);
    close_house(&h);
}

static void a_list_is_a_list(void **state) {
    (void)state;
    in_child(lists);
}

/* ---- what is refused ---- */

static const struct {
    uint32_t exception; /* 0: any */
    const char *sql;
} refused[] = {
#include "refused.inc"
};

static void refuse(void) {
    struct house h;
    struct answered a;
    open_house(&h);
    fill(&h, "1");
    struct peer *p = new_channel(&h);
    for (int who = 0; who < 2; who++)
        for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
            ask(p, &(struct asked){.projects = who ? "alpha" : NULL, .sql = refused[i].sql}, &a);
            const bool known = !refused[i].exception || refused[i].exception == a.exception;
            if (!a.rc || a.data.len || !known || !a.why[0] || strstr(a.why, "root:x") || strstr(a.why, h.folder)) {
                fprintf(stderr, "%s: %s %u \"%s\" %s\n", refused[i].sql, a.rc ? err_name(a.rc) : "allowed", a.exception,
                        (const char *)a.data.p, a.why);
                _exit(1);
            }
            buf_wipe(&a.data);
        }
    peer_free(p);
    close_house(&h);
}

static void what_is_refused(void **state) {
    (void)state;
    in_child(refuse);
}

/* The engine refuses what a hole in the guard would let through. */
static void engine(void) {
    static const char *const bad[] = {
        "SELECT * FROM file('/etc/passwd', 'LineAsString')",
        "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')",
        "SELECT * FROM remote('127.0.0.1', system.one)",
        "SELECT * FROM s3('http://127.0.0.1:1/a/b')",
        "SELECT * FROM default.`/etc/passwd`",
        "CREATE TABLE x (a Int8) ENGINE = Memory",
        "CREATE TABLE safehouse.x (a String) ENGINE = URL('http://127.0.0.1:1/', 'CSV')",
        "CREATE FUNCTION f AS x -> x",
        "CREATE USER u",
        "CREATE ROW POLICY q ON safehouse.turns USING 1 TO ALL",
        "DROP ROW POLICY default ON safehouse.turns",
        "SYSTEM SHUTDOWN",
        "BACKUP DATABASE safehouse TO File('/tmp/x')",
        "SET log_comment = '\\t'",
        "SET readonly = 0",
        "SELECT 1 SETTINGS log_comment = '\\t'",
    };
    struct house h;
    struct store_reader *r;
    open_house(&h);
    MUST(!store_reader_open(h.store, &(struct store_terms){.projects = "alpha", .projects_len = 5}, &r));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        chdb_result *x = chdb_query_n(*r->conn, bad[i], strlen(bad[i]), "TabSeparated", 12);
        if (!x || !chdb_result_error(x)) {
            fprintf(stderr, "the engine allows: %s\n", bad[i]);
            _exit(1);
        }
        chdb_destroy_query_result(x);
    }
    store_reader_close(r);
    close_house(&h);
}

static void the_engine_refuses_too(void **state) {
    (void)state;
    in_child(engine);
}

/* ---- what clients send ---- */

static void clients(void) {
    static const struct {
        const char *sql, *answer;
    } browsing[] = {
        {"SELECT 1", "1\n"},
        {"SELECT 'ping'", "ping\n"},
        {"SELECT 1 \nFORMAT JSONEachRow", "{\"1\":1}\n"},
        {"SELECT 1 AS a SETTINGS max_threads = 1, max_execution_time = 5 FORMAT CSV;", "1\n"},
        {"SELECT 1 AS a FORMAT CSVWithNames SETTINGS max_block_size = 10", "\"a\"\n1\n"},
        {"/* a client */ SELECT count() -- all\nFROM default.interactions;", "900\n"},
        {"SELECT count() FROM \"default\".\"interactions\"", "900\n"},
        {"SELECT default.interactions.model FROM default.interactions LIMIT 0", ""},
        {"SHOW DATABASES", "default\nsafehouse\n"},
        {"SELECT name FROM system.databases ORDER BY name", "default\nsafehouse\n"},
        {"select count(*) > 0 from system.databases where name = 'default'", "1\n"},
        {"SELECT count() > 30 FROM system.tables WHERE database = 'safehouse'", "1\n"},
        {"SELECT count() FROM system.tables WHERE database NOT IN ('default', 'safehouse')", "0\n"},
        {"SHOW TABLES FROM \"default\" LIKE 'held%'", "held_findings\nheld_interactions\nheld_turns\n"},
        {"SHOW TABLES LIKE 'turn%'", "turns\n"},
        {"EXISTS TABLE default.turns", "1\n"},
        {"EXISTS safehouse.nothing", "0\n"},
        {"EXISTS system.processes", "0\n"},
        {"EXISTS DATABASE default", "1\n"},
        {"SELECT name, type, table FROM system.columns WHERE database IN ('default') AND table = 'turns' AND name = 'body'",
         "body\tString\tturns\n"},
        {"SELECT name FROM system.columns WHERE database = 'safehouse' AND table = 'leaves' ORDER BY position LIMIT 2",
         "time\nsealer\n"},
        {"SELECT value = '1' FROM system.settings WHERE name = 'cloud_mode'", "0\n"},
        {"SELECT t.name FROM system.tables t JOIN system.databases d ON system.tables.database = system.databases.name"
         " WHERE t.name = 'turns' AND system.tables.database = 'default'", "turns\n"},
        {"SELECT count() > 1000 FROM system.functions", "1\n"},
        {"SELECT alias_to FROM system.data_type_families WHERE name = 'BIGINT'", "Int64\n"},
        {"SELECT currentUser() AS user, timezone() AS timezone, currentDatabase() LIMIT 1", "default\tUTC\tsafehouse\n"},
        {"WITH s AS (SELECT version() AS ver, splitByChar('.', ver) AS v) SELECT toInt32(v[1]) >= 26 FROM s", "1\n"},
        {"SELECT sum(number) FROM (SELECT number FROM system.numbers LIMIT 100)", "4950\n"},
        {"SELECT comment FROM system.tables WHERE database = 'default' AND name = 'dash_cost'", "cost by hour\n"},
        {"SELECT count() FROM system.settings WHERE name = 'log_comment' AND value != ''", "0\n"},
    };
    struct house h;
    struct answered a;
    open_house(&h);
    fill(&h, "1");
    struct peer *p = new_channel(&h);
    for (size_t i = 0; i < sizeof browsing / sizeof browsing[0]; i++)
        expect(p, (struct asked){.sql = browsing[i].sql}, browsing[i].answer);
    for (unsigned i = 0; i < catalogue_views_n; i++) {
        char sql[128];
        snprintf(sql, sizeof sql, "SELECT * FROM system.%s LIMIT 5000", catalogue_views[i].name);
        ask(p, &(struct asked){.sql = sql, .projects = "alpha"}, &a);
        if (a.rc || memmem(a.data.p, a.data.len, h.folder, strlen(h.folder)) ||
            (strcmp(catalogue_views[i].name, "functions") && memmem(a.data.p, a.data.len, "/store/", 7))) {
            fprintf(stderr, "%s: %s\n", sql, a.why);
            _exit(1);
        }
        buf_wipe(&a.data);
    }
    ask(p, &(struct asked){.sql = "DESCRIBE TABLE default.turns FORMAT TSKV"}, &a);
    MUST(!a.rc && strstr((const char *)a.data.p, "name=body\ttype=String"));
    buf_wipe(&a.data);
    ask(p, &(struct asked){.sql = "SELECT 1", .database = "elsewhere"}, &a);
    MUST(a.rc == ERR_NOTFOUND && a.exception == 81);
    buf_wipe(&a.data);
    expect(p, (struct asked){.sql = "SELECT 1", .database = "default"}, "1\n");
    peer_free(p);
    close_house(&h);
}

static void clients_are_answered(void **state) {
    (void)state;
    in_child(clients);
}

static void parameters(void) {
    struct house h;
    struct answered a;
    open_house(&h);
    fill(&h, "1");
    struct peer *p = new_channel(&h);
#define WITH_(s, v) (struct asked){.sql = s, .name = "x", .value = v}
    expect(p, WITH_("SELECT {x:UInt32} + 1", "41"), "42\n");
    expect(p, WITH_("SELECT { x : String }", "it's -- /* */ ; \\\\ {y:Int8}"), "it\\'s -- /* */ ; \\\\ {y:Int8}\n");
    expect(p, WITH_("SELECT {x:Array(String)}[2]", "['a','b']"), "b\n");
    expect(p, WITH_("SELECT {x:Map(String, UInt8)}['k']", "{'k':7}"), "7\n");
    expect(p, WITH_("SELECT {x:DateTime64(3, 'UTC')}", "2026-11-30 01:02:03.004"), "2026-11-30 01:02:03.004\n");
    expect(p, WITH_("SELECT {x:Enum8('a' = 1, 'b' = -2)}", "b"), "b\n");
    expect(p, WITH_("SELECT {x:Nullable(String)} IS NULL", "\\N"), "1\n");
    expect(p, WITH_("SELECT count() FROM interactions WHERE project = {x:String}", "alpha' OR '1' = '1"), "0\n");
    expect(p, WITH_("SELECT count() FROM interactions WHERE project = {x:String}", "alpha"), "300\n");
    expect(p, WITH_("SELECT count() FROM interactions LIMIT {x:UInt8}", "1"), "900\n");
    expect(p, WITH_("SELECT count() FROM (SELECT 1 FROM interactions WHERE 'file' = {x:String})", "file"), "900\n");
    ask(p, &WITH_("SELECT {y:UInt8}", "1"), &a);
    MUST(a.rc && a.exception == 456);
    ask(p, &WITH_("SELECT {x:UInt8}", "1; SELECT 2"), &a);
    MUST(a.rc && !a.data.len);
    static const char *const names[] = {
        "SELECT * FROM {x:Identifier}",       "SELECT {x:Identifier} FROM turns", "SELECT * FROM {x:identifier}",
        "SELECT * FROM turns AS {x:Identifier}", "SELECT * FROM {x: Identifier }", "SELECT {x:Array(Identifier)}",
        "SELECT * FROM safehouse.{x:Identifier}", "SELECT 1 IN {x:Identifier}",   "SELECT * FROM {x:String}",
        "SELECT {x:String}('/etc/passwd')",    "SELECT {x:Tuple(a `Identifier`)}", "SELECT {x:UInt8",
        "SELECT {x}",                          "SELECT {:UInt8}",                  "SELECT {x:UInt8}}",
        "SELECT {x:Ident/**/ifier}",           "SELECT {'x':String}",              "SELECT {x:Enum8('\\'Identifier' = 1)}",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        ask(p, &WITH_(names[i], "system.processes"), &a);
        if (!a.rc || a.data.len) {
            fprintf(stderr, "allowed: %s\n", names[i]);
            _exit(1);
        }
    }
    peer_free(p);
    close_house(&h);
}

static void parameters_are_values(void **state) {
    (void)state;
    in_child(parameters);
}

/* ---- errors ---- */

static void errors(void) {
    static const struct {
        uint32_t exception;
        const char *sql;
    } wrong[] = {
        {62, "SELECT 1 +"},
        {62, "SELECT 'open"},
        {60, "SELECT * FROM nothing"},
        {60, "SELECT * FROM system.processes"},
        {47, "SELECT nothing FROM turns"},
        {46, "SELECT nosuchfunction(1)"},
        {6, "SELECT sum(toUInt8(project)) FROM interactions"},
        {6, "SELECT toUInt8(envelope) FROM turns"},
        {395, "SELECT throwIf(project = 'alpha', 'canary') FROM interactions"},
        {396, "SELECT * FROM interactions SETTINGS max_result_rows = 5"},
        {396, "SELECT arrayJoin(range(100)) SETTINGS max_result_rows = 5"},
        {396, "SELECT arrayJoin(range(100000)) AS a, arrayJoin(range(10)) AS b SETTINGS max_result_rows = 200000"},
        {159, "SELECT count() FROM system.numbers SETTINGS max_execution_time = 1"},
        {241, "SELECT length(groupArray(concat(toString(a.number), repeat('y', 100000)))) FROM"
              " (SELECT number FROM system.numbers LIMIT 100000) AS a"},
        {164, "SELECT 1 SETTINGS readonly = 0"},
        {497, "SELECT file('/etc/passwd')"},
        {73, "SELECT 1 FORMAT Template"},
        {62, "SELECT 1 SETTINGS max_execution_time = 'soon'"},
    };
    struct house h;
    struct answered a;
    open_house(&h);
    fill(&h, "1");
    struct peer *p = new_channel(&h);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        ask(p, &(struct asked){.sql = wrong[i].sql}, &a);
        if (!a.rc || a.exception != wrong[i].exception || !a.why[0] || strstr(a.why, "sealed-") ||
            strstr(a.why, "'alpha'") || strstr(a.why, "canary") || strstr(a.why, h.folder)) {
            fprintf(stderr, "%s: %s %u %s\n", wrong[i].sql, err_name(a.rc), a.exception, a.why);
            _exit(1);
        }
        buf_wipe(&a.data);
    }
    /* The channel has survived all that. What it cost comes with the answer. */
    ask(p, &(struct asked){.sql = "SELECT model, count() FROM interactions GROUP BY model"}, &a);
    MUST(!a.rc && !a.exception && a.rows == 5 && a.read_rows == 900 && a.read_bytes > 0 && a.bytes > 0 && a.ns > 0);
    buf_wipe(&a.data);
    peer_free(p);
    close_house(&h);
}

static void errors_have_numbers_and_no_content(void **state) {
    (void)state;
    in_child(errors);
}

/* ---- limits ---- */

static long resident_kib(void) {
    char line[256];
    long kib = 0;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f))
        sscanf(line, "VmRSS: %ld", &kib);
    fclose(f);
    return kib;
}

static void large(void) {
    struct house h;
    struct answered a;
    open_house(&h);
    struct peer *p = new_channel(&h);
    ask(p, &(struct asked){.sql = "SELECT number, 'row' FROM system.numbers LIMIT 100000"}, &a);
    MUST(!a.rc && a.rows == 100000);
    buf_wipe(&a.data);
    const long before = resident_kib();
    long most = 0;
    send_query(p, &(struct asked){.sql = "SELECT number, 'row' FROM system.numbers LIMIT 10000000"});
    struct frame f;
    size_t bytes = 0, pieces = 0;
    do {
        MUST(!peer_recv_wait(p, &f, 60000));
        bytes += f.msg == MSG_DATA ? f.len : 0;
        if (++pieces % 16 == 0 && resident_kib() > most)
            most = resident_kib();
    } while (f.msg == MSG_DATA);
    MUST(f.msg == MSG_RESULT && get_u32(f.p) == 0 && get_u64(f.p + 24) == 10000000);
    MUST(bytes == 118888890);
    printf("10^7 rows, %zu bytes: %ld KiB before, at most %ld KiB\n", bytes, before, most);
    MUST(most < before + 64 * 1024);
    peer_free(p);
    close_house(&h);
}

static void results_stream(void **state) {
    (void)state;
    in_child(large);
}

/* Threads of the engine that are at work: a statement that was cancelled leaves none. */
static bool runs(struct house *h) {
    static const char sql[] = "SELECT count() FROM system.processes WHERE query LIKE '%cancel-me%'"
                              " AND query NOT LIKE '%system.processes%'";
    chdb_result *r = chdb_query_n(*h->store->conn, sql, sizeof sql - 1, "TabSeparated", 12);
    MUST(r && !chdb_result_error(r));
    const bool yes = chdb_result_buffer(r)[0] != '0';
    chdb_destroy_query_result(r);
    return yes;
}

static void leave(void) {
    static const char *const endless[] = {
        "SELECT count(), 'cancel-me' FROM system.numbers",
        "SELECT number, 'cancel-me' FROM system.numbers",
        "SELECT max(n), 'cancel-me' FROM (SELECT number AS n FROM system.numbers ORDER BY cityHash64(n) LIMIT 5)",
        "SELECT count(), 'cancel-me' FROM interactions AS a, interactions AS b, interactions AS c, interactions AS d",
    };
    struct house h;
    open_house(&h);
    fill(&h, "1");
    for (size_t i = 0; i < sizeof endless / sizeof endless[0]; i++) {
        struct peer *p = new_channel(&h);
        send_query(p, &(struct asked){.sql = endless[i]});
        for (int k = 0; !runs(&h); k++) {
            MUST(k < 2000);
            usleep(5000);
        }
        const uint64_t from = clock_mono_ns();
        peer_free(p);
        while (runs(&h))
            usleep(5000);
        const double s = (double)(clock_mono_ns() - from) / 1e9;
        if (s > 1)
            fprintf(stderr, "%.2f s: %s\n", s, endless[i]);
        MUST(s < 2); /* 0.02 to 0.05 s when it was measured */
    }
    close_house(&h);
}

/* Functions that nothing interrupts, in as many statements as run at one time: the others are answered all the same. */
static void stuck(void) {
    static const char *const sql[CONSOLE_WORKERS] = {
        "SELECT position(repeat('a', 1000000), concat(repeat('a', 500000), 'b'))",
        "SELECT arrayCount(x -> has(range(1000000), x), range(1000000))",
        "SELECT countSubstrings(repeat('a', 1000000), concat(repeat('a', 500000), 'b'))",
        "SELECT position(repeat('b', 1000000), concat(repeat('b', 500000), 'a'))",
    };
    struct house h;
    struct answered a;
    open_house(&h);
    struct peer *left = new_channel(&h);
    for (size_t i = 0; i < CONSOLE_WORKERS; i++) {
        struct peer *p = new_channel(&h);
        send_query(p, &(struct asked){.sql = sql[i], .seconds = 1});
        if (i < 2)
            peer_free(p); /* some leave, of others the time is up */
    }
    const uint64_t from = clock_mono_ns();
    for (int i = 0; i < 3; i++) {
        ask(left, &(struct asked){.sql = "SELECT 41 + 1", .format = "TabSeparated"}, &a);
        if (a.rc || a.data.len != 3)
            fprintf(stderr, "%s %s\n", err_name(a.rc), a.why);
        MUST(!a.rc && a.data.len == 3 && !memcmp(a.data.p, "42\n", 3));
        buf_wipe(&a.data);
    }
    MUST(clock_mono_ns() - from < 20000000000ull); /* 1 s, 2 s of grace, 5 s until they are taken for stuck */
    nftw(h.folder, drop, 16, FTW_DEPTH | FTW_PHYS);
    _exit(0); /* as the store does at its stop then */
}

static void stuck_statements_hold_up_nobody(void **state) {
    (void)state;
    in_child(stuck);
}

static void who_leaves_cancels(void **state) {
    (void)state;
    in_child(leave);
}

/* ---- the worst statements, and batches ---- */

static char *deep(const char *open, const char *core, const char *close, size_t n) {
    char *s = calloc(1, 64 + strlen(core) + n * (strlen(open) + strlen(close)));
    strcpy(s, "SELECT ");
    char *p = s + 7;
    for (size_t i = 0; i < n; i++)
        p = stpcpy(p, open);
    p = stpcpy(p, core);
    for (size_t i = 0; i < n; i++)
        p = stpcpy(p, close);
    return s;
}

static const char *const worst[] = {
    "SELECT count() FROM system.numbers AS a CROSS JOIN system.numbers AS b",
    "SELECT number, count() FROM (SELECT number FROM system.numbers LIMIT 100000000) GROUP BY number ORDER BY number",
    "SELECT number FROM (SELECT number FROM system.numbers LIMIT 10000000) ORDER BY cityHash64(number) DESC",
    "SELECT arrayJoin(range(1000000000))",
    "SELECT length(arrayMap(x -> cityHash64(x), range(100000000)))",
    "SELECT arraySum(arrayMap(x -> cityHash64(x), range(20000000)))",
    "SELECT match(repeat('a', 1000000), '(a|a)*(a+)+b'), extractAll(repeat('ab', 400000), '(a|b)*?c')",
    "SELECT sum(length(replaceRegexpAll(concat(toString(number), repeat('ab', 40000)), '(a.*?b)', 'xx')))"
    " FROM (SELECT number FROM system.numbers LIMIT 100000)",
    "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT max(n) FROM r",
    "SELECT uniqExact(number, cityHash64(number)) FROM system.numbers",
    "SELECT groupArray(repeat('x', 1000)) FROM system.numbers",
    "SELECT repeat(repeat(repeat('x', 1000), 1000), 1000)",
    "SELECT * FROM interactions AS a, interactions AS b, interactions AS c ORDER BY a.id, b.id, c.id",
};
#define WORST (sizeof worst / sizeof worst[0])

struct misuse {
    struct house *h;
    size_t from;
    bool done;
};

static void *misuse(void *arg) {
    struct misuse *m = arg;
    struct answered a;
    struct peer *p = new_channel(m->h);
    for (size_t i = m->from; i < WORST; i += 4) {
        ask(p, &(struct asked){.sql = worst[i], .seconds = 2}, &a);
        MUST(a.rc == 0 || a.rc == ERR_LIMIT || a.rc == ERR_SYNTAX);
        buf_wipe(&a.data);
    }
    peer_free(p);
    __atomic_store_n(&m->done, true, __ATOMIC_RELEASE);
    return NULL;
}

static void insert_one(struct house *h, uint64_t batch) {
    struct buf rows;
    struct interaction_row x = {.tenant = "default", .project = "alpha", .time_us = 1763000000000000ull};
    const struct rows_place place = {9, batch, 0};
    buf_init(&rows, 65536);
    MUST(!rows_encode_interaction(&rows, &x, &place));
    const struct store_piece piece = {rows.p, rows.len};
    MUST(!store_insert(h->store, ROWS_INTERACTIONS, 9, batch, &piece, 1));
    buf_wipe(&rows);
}

static void abuse(void) {
    struct house h;
    struct misuse m[4];
    pthread_t t[4];
    uint64_t batches = 0, longest = 0;
    struct answered a;
    open_house(&h);
    fill(&h, "1");
    for (size_t i = 0; i < 4; i++) {
        m[i] = (struct misuse){.h = &h, .from = i};
        MUST(!pthread_create(&t[i], NULL, misuse, &m[i]));
    }
    for (bool done = false; !done;) {
        const uint64_t from = clock_mono_ns();
        insert_one(&h, ++batches);
        if (clock_mono_ns() - from > longest)
            longest = clock_mono_ns() - from;
        done = true;
        for (size_t i = 0; i < 4; i++)
            done = done && __atomic_load_n(&m[i].done, __ATOMIC_ACQUIRE);
    }
    for (size_t i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    printf("%llu batches meanwhile, the longest took %llu ms\n", (unsigned long long)batches,
           (unsigned long long)longest / 1000000);
    MUST(batches > 10);
    struct peer *p = new_channel(&h);
    static const char *const nests[][3] = {
        {"(", "1", ")"}, {"[", "1", "]"}, {"-(", "1", ")"}, {"(SELECT ", "1", ")"}, {"toString(", "1", ")"},
        {"if(1, ", "1", ", 0)"}, {"NOT ", "1", ""}, {"1 + ", "1", ""},
    };
    for (size_t i = 0; i < sizeof nests / sizeof nests[0]; i++) {
        char *sql = deep(nests[i][0], nests[i][1], nests[i][2], 100000 / (strlen(nests[i][0]) + strlen(nests[i][2])));
        ask(p, &(struct asked){.sql = sql}, &a);
        MUST(a.rc);
        buf_wipe(&a.data);
        free(sql);
    }
    char *in = deep("1,", "1", "", 120000); /* 240 kB */
    memcpy(in, "SELECT ", 7);
    ask(p, &(struct asked){.sql = in}, &a);
    buf_wipe(&a.data);
    free(in);
    expect(p, (struct asked){.sql = "SELECT count() > 900 FROM interactions"}, "1\n");
    peer_free(p);
    close_house(&h);
}

static void the_worst_statements_stop_nothing(void **state) {
    (void)state;
    in_child(abuse);
}

/* ---- channels ---- */

static void channels(void) {
    struct house h;
    struct peer *many[CONSOLE_CHANNELS];
    struct frame f;
    int pair[2];
    open_house(&h);
    for (size_t i = 0; i < CONSOLE_CHANNELS; i++)
        many[i] = new_channel(&h);
    MUST(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
    MUST(console_add(h.console, pair[1]) == ERR_FULL);
    close(pair[0]);
    /* Idle ones keep nobody from being answered. */
    for (size_t i = 0; i < CONSOLE_CHANNELS; i += 17) {
        expect(many[i], (struct asked){.sql = "SELECT 1"}, "1\n");
        expect(many[i], (struct asked){.sql = "SELECT 2"}, "2\n");
    }
    /* What is no query ends the channel. */
    MUST(!peer_send(many[0], MSG_CONSOLE_QUERY, "x", 1, -1));
    MUST(peer_recv_wait(many[0], &f, 10000) == ERR_PEER);
    peer_free(many[0]);
    many[0] = new_channel(&h);
    expect(many[0], (struct asked){.sql = "SELECT 1"}, "1\n");
    for (size_t i = 0; i < CONSOLE_CHANNELS; i++)
        peer_free(many[i]);
    close_house(&h);
}

static void channels_come_and_go(void **state) {
    (void)state;
    in_child(channels);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_sees_another_projects_rows),
        cmocka_unit_test(a_list_is_a_list),
        cmocka_unit_test(what_is_refused),
        cmocka_unit_test(the_engine_refuses_too),
        cmocka_unit_test(clients_are_answered),
        cmocka_unit_test(parameters_are_values),
        cmocka_unit_test(errors_have_numbers_and_no_content),
        cmocka_unit_test(results_stream),
        cmocka_unit_test(who_leaves_cancels),
        cmocka_unit_test(stuck_statements_hold_up_nobody),
        cmocka_unit_test(the_worst_statements_stop_nothing),
        cmocka_unit_test(channels_come_and_go),
    };
    if (sodium_init() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
