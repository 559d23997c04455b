/*
 * bench-bytes: what a conversation costs on disk, sealed, against the same exchanges in plain text.
 *
 *   bench-bytes [--columns] [CONVERSATIONS.jsonl]
 *
 * --columns lists the bytes of each column, in parts of one file a column (which makes small tables
 * larger than they are without it).
 *
 * Replays conversations as clients do, the whole history in every request, AT_ONCE of them
 * interleaved. Each exchange goes the sealer's way (turn, dictionary, padding, envelope, rows,
 * batches) into a fresh embedded store, and, request and answer as they are, into a table of that
 * engine with `String CODEC(ZSTD(1))`. Both are merged to one part; the figure is bytes_on_disk of
 * turns and data_keys together, all columns and padding in them, divided by that of the plain
 * table, which has content only.
 *
 * Three loads: dialogues and tool calls; single questions; sessions of SESSION turns, chained from
 * the dialogues. Each runs in a process of its own, because the engine serves one folder a process.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "codec/codec.h"
#include "store/store_int.h"
#include "write/seal/seal.h"
#include "write/turn/turn.h"

#define DEFAULT_SET "../shared/conversations/conversations.jsonl"
#define OWN_SET "test/scenario/data/conversations.jsonl"
#define AT_ONCE 200
#define PER_PERSON 10 /* conversations of one user */
#define SESSION 60    /* turns of an agent's session */
#define BATCH_EXCHANGES 500
#define GAP_US 150000 /* between two exchanges of the installation */
#define MONTH 24310   /* any: all is one partition */

struct conversation {
    json_t *messages, *tools; /* tools NULL: none */
};

struct load {
    const char *name, *what;
    struct conversation *list;
    size_t n;
};

struct bench {
    struct store *store;
    struct prefix *prefix;
    struct sealing *sealing;
    struct buf turn, packed, envelope, rows[ROWS_TABLE_LAST + 1], plain;
    struct rows_place place;
    uint64_t now_us;
    uint32_t sequence;
    size_t in_batch, exchanges;
};

#define MUST(what, rc) must(what, rc, __LINE__)
static void must(const char *what, int rc, int line) {
    if (rc) {
        fprintf(stderr, "bench-bytes: %s: %s (line %d)\n", what, err_text(rc), line);
        exit(1);
    }
}

/* ---- the provider's side ---- */

static void random_text(char *out, size_t n) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    for (size_t i = 0; i < n; i++)
        out[i] = letters[randombytes_uniform(sizeof letters - 1)];
    out[n] = 0;
}

/* A chat.completion as OpenAI's API writes it. */
static char *answer_of(json_t *message, size_t request_len, uint64_t now_us) {
    char id[40] = "chatcmpl-";
    random_text(id + 9, 29);
    json_t *m = json_copy(message);
    json_object_set_new(m, "refusal", json_null());
    json_object_set_new(m, "annotations", json_array());
    char *text = json_dumps(message, JSON_COMPACT);
    json_int_t asked = (json_int_t)(request_len / 4), said = (json_int_t)(strlen(text) / 4);
    free(text);
    json_t *answer = json_pack(
        "{s:s, s:s, s:I, s:s, s:[{s:i, s:o, s:n, s:s}],"
        " s:{s:I, s:I, s:I, s:{s:i, s:i}, s:{s:i, s:i, s:i, s:i}}, s:s, s:s}",
        "id", id, "object", "chat.completion", "created", (json_int_t)(now_us / 1000000), "model",
        "gpt-4o-mini-2024-07-18", "choices", "index", 0, "message", m, "logprobs", "finish_reason",
        json_object_get(message, "tool_calls") ? "tool_calls" : "stop", "usage", "prompt_tokens",
        asked, "completion_tokens", said, "total_tokens", asked + said, "prompt_tokens_details",
        "cached_tokens", 0, "audio_tokens", 0, "completion_tokens_details", "reasoning_tokens", 0,
        "audio_tokens", 0, "accepted_prediction_tokens", 0, "rejected_prediction_tokens", 0,
        "service_tier", "default", "system_fingerprint", "fp_44709d6fcb");
    char *out = json_dumps(answer, JSON_COMPACT);
    json_decref(answer);
    return out;
}

/* The first `n` messages, as the openai client of JavaScript writes them. */
static char *request_of(const struct conversation *c, size_t n, const char *user) {
    json_t *messages = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append(messages, json_array_get(c->messages, i));
    json_t *request = json_pack("{s:s, s:s, s:f, s:o}", "model", "gpt-4o-mini", "user", user,
                                "temperature", 0.7, "messages", messages);
    if (c->tools)
        json_object_set(request, "tools", c->tools);
    char *out = json_dumps(request, JSON_COMPACT | JSON_REAL_PRECISION(6));
    json_decref(request);
    return out;
}

/* ---- the sealer's way (src/proc/sealer/exchange.c) ---- */

static void ship(struct bench *b) {
    for (int t = ROWS_DATA_KEYS; t <= ROWS_TABLE_LAST; t++) {
        struct store_piece piece = {b->rows[t].p, b->rows[t].len};
        if (piece.len)
            MUST("inserting", store_insert(b->store, (enum rows_table)t, b->place.sealer,
                                           b->place.batch, &piece, 1));
        buf_clear(&b->rows[t]);
    }
    const char *sql = "INSERT INTO plain";
    chdb_insert_stream in = chdb_stream_insert_n(*b->store->conn, sql, strlen(sql), "RowBinary", 9);
    MUST("inserting plain text", chdb_stream_append(in, b->plain.p, b->plain.len));
    chdb_result *r = chdb_stream_done(in);
    MUST("inserting plain text", chdb_result_error(r) ? ERR_IO : 0);
    chdb_destroy_query_result(r);
    chdb_destroy_insert_stream(in);
    buf_clear(&b->plain);
    b->place.batch++;
    b->place.index = 0;
    b->in_batch = 0;
}

static void fill_context(struct context *c, const struct turn_match *m,
                         const uint8_t id[UUID_BYTES], const uint8_t subject[UUID_BYTES]) {
    *c = (struct context){.tenant = "default",
                          .project = "default",
                          .dialect = "openai.chat",
                          .field = CONTEXT_FIELD_TURN,
                          .schema = CONTEXT_SCHEMA_TURN};
    memcpy(c->subject, subject, UUID_BYTES);
    memcpy(c->record, id, UUID_BYTES);
    memcpy(c->conversation, m->found ? m->parent.conversation : id, UUID_BYTES);
    if (m->found) {
        memcpy(c->parent, m->parent.turn, UUID_BYTES);
        memcpy(c->parent_hash, m->parent.hash, CONTEXT_HASH_BYTES);
        c->kept = m->kept;
    }
}

static void add_rows(struct bench *b, const struct context *ctx, const struct data_key_row *key,
                     bool fresh) {
    if (fresh) {
        MUST("a row", rows_encode_data_key(&b->rows[ROWS_DATA_KEYS], key, &b->place));
        b->place.index++;
    }
    const struct turn_row row = {*ctx, b->now_us, b->envelope.p, b->envelope.len};
    MUST("a row", rows_encode_turn(&b->rows[ROWS_TURNS], &row, &b->place));
    b->place.index += 2; /* its interaction's row has an index too; that table is not counted */
}

static void seal(struct bench *b, const char *request, const char *answer,
                 const uint8_t subject[UUID_BYTES], const uint8_t public_key[32]) {
    static struct llm_answer answered;
    struct llm_request asked;
    struct turn_match match;
    struct context ctx;
    struct data_key_row key;
    uint8_t scope[PREFIX_DIGEST], id[UUID_BYTES], hash[CONTEXT_HASH_BYTES], dictionary;
    bool fresh;
    uuid_v7(id, b->now_us, 0x2b1d6e5a, b->sequence++);
    MUST("the request",
         llm_request_parse(&asked, dialect_named("openai.chat"), request, strlen(request)));
    prefix_start(b->prefix, "default", "default", "key", subject, MONTH, scope);
    MUST("matching", turn_match(b->prefix, scope, &asked, &match));
    MUST("the answer",
         llm_answer_parse(&answered, dialect_named("openai.chat"), answer, strlen(answer), false));
    const struct turn_parts parts = {
        .request = &asked,
        .request_text = {(const uint8_t *)request, strlen(request)},
        .match = &match,
        .answer = &answered,
        .answer_text = {(const uint8_t *)answer, strlen(answer)},
        .status = 200,
    };
    MUST("the turn", turn_build(&b->turn, &parts));
    fill_context(&ctx, &match, id, subject);
    MUST("compressing", codec_compress(&b->packed, b->turn.p, b->turn.len, &dictionary));
    MUST("sealing", sealing_record(b->sealing, &ctx, public_key, dictionary, &b->packed,
                                   &b->envelope, &key, &fresh));
    add_rows(b, &ctx, &key, fresh);
    envelope_hash(hash, b->envelope.p, b->envelope.len);
    MUST("learning", turn_learn(b->prefix, &match, &answered, ctx.subject, ctx.conversation, id, hash));
    turn_done(&match);
    llm_answer_done(&answered);
    llm_request_done(&asked);
    buf_clear(&b->turn);
    buf_clear(&b->packed);
    buf_clear(&b->envelope);
}

static void put_plain(struct buf *out, const char *text) {
    uint8_t leb[10];
    size_t n = 0, left = strlen(text);
    do {
        leb[n++] = (uint8_t)((left & 0x7f) | (left > 0x7f ? 0x80 : 0));
        left >>= 7;
    } while (left);
    MUST("a row", buf_append(out, leb, n));
    MUST("a row", buf_append_str(out, text));
}

/* ---- replay ---- */

struct active {
    size_t conversation, at; /* at: messages that were sent or answered */
};

/* The next answer's place, or the end. */
static size_t next_answer(const struct conversation *c, size_t at) {
    size_t n = json_array_size(c->messages);
    for (; at < n; at++) {
        const char *role =
            json_string_value(json_object_get(json_array_get(c->messages, at), "role"));
        if (role && strcmp(role, "assistant") == 0)
            break;
    }
    return at;
}

static void exchange(struct bench *b, const struct load *l, const struct active *a) {
    const struct conversation *c = &l->list[a->conversation];
    char user[32];
    uint8_t subject[UUID_BYTES], seed[crypto_box_SEEDBYTES] = {0}, public_key[32], secret[32];
    snprintf(user, sizeof user, "user-%zu", a->conversation / PER_PERSON);
    memcpy(seed, user, sizeof user);
    crypto_generichash(subject, sizeof subject, seed, sizeof seed, NULL, 0);
    uuid_v4_stamp(subject);
    crypto_box_seed_keypair(public_key, secret, seed);
    char *request = request_of(c, a->at, user);
    char *answer = answer_of(json_array_get(c->messages, a->at), strlen(request), b->now_us);
    seal(b, request, answer, subject, public_key);
    put_plain(&b->plain, request);
    put_plain(&b->plain, answer);
    free(request);
    free(answer);
    b->now_us += GAP_US / 2 + randombytes_uniform(GAP_US);
    b->exchanges++;
    if (++b->in_batch == BATCH_EXCHANGES)
        ship(b);
}

static void replay(struct bench *b, const struct load *l) {
    struct active active[AT_ONCE];
    size_t n = 0, next = 0;
    while (n < AT_ONCE && next < l->n)
        active[n++] = (struct active){next++, 0};
    while (n > 0) {
        struct active *a = &active[randombytes_uniform((uint32_t)n)];
        const struct conversation *c = &l->list[a->conversation];
        a->at = next_answer(c, a->at);
        if (a->at < json_array_size(c->messages)) {
            exchange(b, l, a);
            a->at++;
        } else if (next < l->n) {
            *a = (struct active){next++, 0};
        } else {
            *a = active[--n];
        }
    }
    if (b->in_batch)
        ship(b);
}

/* ---- measuring ---- */

static void run_sql(struct store *s, const char *sql, const char *format, FILE *out) {
    chdb_result *r = chdb_query_n(*s->conn, sql, strlen(sql), format, strlen(format));
    if (chdb_result_error(r)) {
        fprintf(stderr, "bench-bytes: %s\n", chdb_result_error(r));
        exit(1);
    }
    if (out)
        fwrite(chdb_result_buffer(r), 1, chdb_result_length(r), out);
    chdb_destroy_query_result(r);
}

static double bytes_of(struct store *s, const char *tables) {
    char sql[256];
    snprintf(
        sql, sizeof sql,
        "SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = '" STORE_DATABASE
        "' AND table IN (%s)",
        tables);
    chdb_result *r = chdb_query_n(*s->conn, sql, strlen(sql), "RowBinary", 9);
    uint64_t n = 0;
    MUST("reading sizes", chdb_result_length(r) == sizeof n ? 0 : ERR_IO);
    memcpy(&n, chdb_result_buffer(r), sizeof n);
    chdb_destroy_query_result(r);
    return (double)n;
}

static void report(struct bench *b, const struct load *l, bool columns) {
    static const char *const merge[] = {"OPTIMIZE TABLE turns FINAL",
                                        "OPTIMIZE TABLE data_keys FINAL",
                                        "OPTIMIZE TABLE plain FINAL"};
    for (size_t i = 0; i < sizeof merge / sizeof merge[0]; i++)
        run_sql(b->store, merge[i], "Null", NULL);
    double turns = bytes_of(b->store, "'turns'"), keys = bytes_of(b->store, "'data_keys'");
    double plain = bytes_of(b->store, "'plain'"), n = (double)b->exchanges;
    if (columns)
        run_sql(b->store,
                "SELECT table, column, sum(column_bytes_on_disk) AS bytes,"
                " round(bytes / sum(rows), 1) AS a_row FROM system.parts_columns WHERE active"
                " AND database = '" STORE_DATABASE "' AND table IN ('turns', 'data_keys')"
                " GROUP BY table, column ORDER BY table, bytes DESC",
                "TabSeparatedWithNames", stdout);
    printf("%s: %zu exchanges of %zu conversations, %zu people; bytes an exchange: plain %.0f,"
           " turns %.0f, data keys %.0f\n",
           l->what, b->exchanges, l->n, (l->n + PER_PERSON - 1) / PER_PERSON, plain / n, turns / n,
           keys / n);
    printf("bench store.bytes_%s.vs_plaintext %.3f ratio\n", l->name, (turns + keys) / plain);
    fflush(stdout);
}

/* Small parts hold all columns in one file, of which the engine tells no column's size. */
static void make_parts_wide(struct store *s) {
    static const char *const alter[] = {
        "ALTER TABLE turns MODIFY SETTING min_bytes_for_wide_part = 0",
        "ALTER TABLE data_keys MODIFY SETTING min_bytes_for_wide_part = 0",
    };
    for (size_t i = 0; i < sizeof alter / sizeof alter[0]; i++)
        run_sql(s, alter[i], "Null", NULL);
}

static void start(struct bench *b, const char *folder) {
    uint8_t mac[32];
    *b = (struct bench){.now_us = clock_wall_us(), .place = {.batch = 1}};
    randombytes_buf(&b->place.sealer, sizeof b->place.sealer);
    randombytes_buf(mac, sizeof mac);
    MUST("the prefix state", prefix_open(-1, &b->prefix));
    MUST("sealing", sealing_new(&b->sealing));
    MUST("sealing", sealing_writer(b->sealing, 1, mac));
    MUST("starting the engine", store_open(folder, &b->store));
    run_sql(b->store,
            "CREATE TABLE plain (request String CODEC(ZSTD(1)), answer String CODEC(ZSTD(1)))"
            " ENGINE = MergeTree ORDER BY tuple()",
            "Null", NULL);
    struct buf *bufs[] = {&b->turn, &b->packed, &b->envelope, &b->plain};
    for (size_t i = 0; i < sizeof bufs / sizeof bufs[0]; i++)
        buf_init(bufs[i], 1u << 30);
    for (int t = 0; t <= ROWS_TABLE_LAST; t++)
        buf_init(&b->rows[t], 1u << 30);
}

static void measure(const struct load *l, bool columns) {
    char folder[] = "/tmp/bench-bytes-XXXXXX";
    char *const remove[] = {(char *)"rm", (char *)"-rf", folder, NULL};
    if (!mkdtemp(folder))
        MUST("a folder", ERR_IO);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        static struct bench b;
        start(&b, folder);
        if (columns)
            make_parts_wide(b.store);
        replay(&b, l);
        report(&b, l, columns);
        store_close(b.store);
        _exit(0);
    }
    int status = -1;
    waitpid(pid, &status, 0);
    if (fork() == 0) {
        execvp("rm", remove);
        _exit(127);
    }
    wait(NULL);
    if (status)
        exit(1);
}

/* ---- the set ---- */

static void add(struct load *l, json_t *messages, json_t *tools) {
    l->list = realloc(l->list, (l->n + 1) * sizeof *l->list);
    MUST("memory", l->list ? 0 : ERR_NOMEM);
    l->list[l->n++] = (struct conversation){messages, tools};
}

static size_t answers_in(json_t *messages) {
    const struct conversation c = {messages, NULL};
    size_t n = 0;
    for (size_t at = 0; (at = next_answer(&c, at)) < json_array_size(messages); at++)
        n++;
    return n;
}

/* Conversations one after the other in one session: its first instructions and tools are those of
 * all. */
static void chain(struct load *sessions, const struct load *chats) {
    json_t *messages = json_array(), *tools = NULL;
    for (size_t i = 0; i < chats->n; i++) {
        size_t k;
        json_t *m;
        json_array_foreach(chats->list[i].messages, k, m) {
            const char *role = json_string_value(json_object_get(m, "role"));
            if (json_array_size(messages) == 0 || (role && strcmp(role, "system") != 0))
                json_array_append(messages, m);
        }
        if (!tools && chats->list[i].tools)
            tools = chats->list[i].tools;
        if (answers_in(messages) >= SESSION || i + 1 == chats->n) {
            add(sessions, messages, tools);
            messages = json_array();
            tools = NULL;
        }
    }
}

static FILE *open_set(const char *path) {
    FILE *f = fopen(path ? path : DEFAULT_SET, "re");
    if (!f && !path)
        f = fopen(path = OWN_SET, "re");
    if (!f)
        perror(path);
    else
        printf("conversations of %s, %d at once, one person has %d of them; a data key a person\n",
               path ? path : DEFAULT_SET, AT_ONCE, PER_PERSON);
    return f;
}

int main(int argc, char **argv) {
    bool columns = argc > 1 && strcmp(argv[1], "--columns") == 0;
    struct load chat = {.name = "chat", .what = "dialogues and tool calls"};
    struct load single = {.name = "single", .what = "single questions"};
    struct load agent = {.name = "agent", .what = "sessions of 60 turns"};
    FILE *f = open_set(argc > 1 + columns ? argv[1 + columns] : NULL);
    if (!f || sodium_init() < 0)
        return 1;
    for (json_t *o; (o = json_loadf(f, JSON_DISABLE_EOF_CHECK, NULL));) {
        const char *kind = json_string_value(json_object_get(o, "kind"));
        json_t *tools = json_object_get(o, "tools");
        add(kind && strcmp(kind, "single") == 0 ? &single : &chat, json_object_get(o, "messages"),
            json_array_size(tools) ? tools : NULL);
    }
    fclose(f);
    chain(&agent, &chat);
    const struct load *loads[] = {&chat, &single, &agent};
    for (size_t i = 0; i < sizeof loads / sizeof loads[0]; i++)
        if (loads[i]->n)
            measure(loads[i], columns);
    return 0;
}
