/*
 * `make bench-sealer`: how much new content one core seals a second, in CPU time.
 *
 *   sealer [CONVERSATIONS.jsonl]
 *
 * Each exchange goes the sealer's way but for ring and disk: request and answer are parsed, matched
 * against the histories known, what is new becomes a turn, goes through the detector, is compressed, padded, sealed, written
 * as rows and hashed into its batch. Conversations are replayed as clients do, the whole history in
 * every request; counted is only what is new (the turn's bytes).
 *
 * Two loads: made-up dialogues, whose words come from the dictionary's corpus in random order (so
 * that the dictionary knows the words and not the sentences), and the conversations of the file, if
 * it is there.
 */
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "codec/codec.h"
#include "record/batch.h"
#include "record/rows.h"
#include "write/detect/detect.h"
#include "write/seal/seal.h"
#include "write/turn/turn.h"

#define DEFAULT_SET "../shared/conversations/conversations.jsonl"
#define CORPUS "src/codec/dictionary/corpus/"
#define MADE_UP 1000 /* dialogues */
#define MADE_UP_TURNS 3
#define PIECES_MAX 65536
#define PER_PERSON 10 /* conversations of one user */
#define SECONDS 3.0   /* of CPU, at least */
#define MONTH 24310   /* any: all is one partition */

struct exchange {
    char *request, *answer;
    size_t person;
};

struct load {
    struct exchange *list;
    size_t n, room;
};

struct bench {
    struct prefix *prefix;
    struct sealing *sealing;
    struct buf turn, clean, packed, envelope, row;
    struct detect *detect;
    struct detect_work *work;
    struct detect_findings found;
    struct batch_tree tree;
    struct rows_place place;
    double turn_bytes, sealed_bytes;
};

static void must(const char *what, int rc) {
    if (rc) {
        fprintf(stderr, "bench sealer: %s: %s\n", what, err_text(rc));
        exit(1);
    }
}

/* ---- the loads ---- */

static uint64_t seed = 88172645463325252ull;
static size_t rnd(size_t n) {
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (size_t)(seed % n);
}

static void add_exchange(struct load *l, json_t *messages, json_t *tools, json_t *answered,
                         size_t person) {
    char user[32];
    if (l->n == l->room) {
        l->room = l->room ? 2 * l->room : 1024;
        l->list = realloc(l->list, l->room * sizeof *l->list);
        must("memory", l->list ? 0 : ERR_NOMEM);
    }
    snprintf(user, sizeof user, "user-%u", (unsigned)person);
    json_t *request =
        json_pack("{s:s, s:s, s:O}", "model", "gpt-4o-mini", "user", user, "messages", messages);
    if (tools)
        json_object_set(request, "tools", tools);
    json_t *answer = json_pack("{s:s, s:s, s:i, s:s, s:[{s:i, s:O, s:n, s:s}], s:{s:i, s:i, s:i}}",
                               "id", "chatcmpl-1", "object", "chat.completion", "created",
                               1764000000, "model", "gpt-4o-mini", "choices", "index", 0, "message",
                               answered, "logprobs", "finish_reason", "stop", "usage",
                               "prompt_tokens", 9, "completion_tokens", 12, "total_tokens", 21);
    l->list[l->n++] = (struct exchange){json_dumps(request, JSON_COMPACT),
                                        json_dumps(answer, JSON_COMPACT), person};
    json_decref(request);
    json_decref(answer);
}

/* One request for every message of the assistant, with all that is before it. */
static void add_conversation(struct load *l, json_t *messages, json_t *tools, size_t person) {
    json_t *before = json_array();
    for (size_t i = 0; i < json_array_size(messages); i++) {
        json_t *m = json_array_get(messages, i);
        const char *role = json_string_value(json_object_get(m, "role"));
        if (role && strcmp(role, "assistant") == 0)
            add_exchange(l, before, tools, m, person);
        json_array_append(before, m);
    }
    json_decref(before);
}

static void read_set(struct load *l, FILE *f) {
    char *line = NULL;
    size_t size = 0;
    for (size_t n = 0; getline(&line, &size, f) > 0; n++) {
        json_t *c = json_loads(line, 0, NULL);
        must("reading conversations", c ? 0 : ERR_SYNTAX);
        add_conversation(l, json_object_get(c, "messages"), json_object_get(c, "tools"),
                         n / PER_PERSON);
        json_decref(c);
    }
    free(line);
}

/* Words of English; of Chinese, what stands between punctuation marks. */
static size_t read_pieces(char **piece) {
    static const char *const files[] = {CORPUS "en_chat.txt", CORPUS "en_more.txt",
                                        CORPUS "zh_chat.txt", CORPUS "zh_more.txt"};
    static char text[1 << 18];
    size_t n = 0;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        FILE *f = fopen(files[i], "r");
        must(files[i], f ? 0 : ERR_NOTFOUND);
        text[fread(text, 1, sizeof text - 1, f)] = 0;
        fclose(f);
        for (char *p = text, *end; *p && n < PIECES_MAX; p = end) {
            end = p + strcspn(p, " \n");
            char *mark = strstr(p, "，");
            if (mark && mark < end)
                end = mark + strlen("，");
            end += *end == ' ' || *end == '\n';
            piece[n++] = strndup(p, (size_t)(end - p));
        }
    }
    return n;
}

static json_t *made_up_message(char **piece, size_t pieces, const char *role, size_t words) {
    struct buf b;
    buf_init(&b, 1 << 20);
    size_t at = rnd(pieces);
    for (size_t i = 0; i < words; i++) {
        if (rnd(3) == 0)
            at = rnd(pieces);
        must("a message", buf_append_str(&b, piece[at++ % pieces]));
    }
    json_t *m = json_pack("{s:s, s:s#}", "role", role, "content", b.p, (int)b.len);
    must("a message", m ? 0 : ERR_SYNTAX);
    buf_wipe(&b);
    return m;
}

static void make_up(struct load *l) {
    static char *piece[PIECES_MAX];
    size_t pieces = read_pieces(piece);
    for (size_t i = 0; i < MADE_UP; i++) {
        json_t *messages = json_array();
        for (int turn = 0; turn < MADE_UP_TURNS; turn++) {
            json_array_append_new(messages, made_up_message(piece, pieces, "user", 5 + rnd(40)));
            json_array_append_new(messages,
                                  made_up_message(piece, pieces, "assistant", 20 + rnd(200)));
        }
        add_conversation(l, messages, NULL, i / PER_PERSON);
        json_decref(messages);
    }
    for (size_t i = 0; i < pieces; i++)
        free(piece[i]);
}

/* ---- the sealer's way (src/proc/sealer/exchange.c) ---- */

static void add_row(struct bench *b, enum rows_table table, int rc) {
    uint8_t leaf[BATCH_HASH_BYTES];
    must("a row", rc);
    batch_leaf(leaf, (uint8_t)table, b->row.p, b->row.len);
    batch_tree_add(&b->tree, leaf);
    b->place.index++;
    b->sealed_bytes += (double)b->row.len;
    buf_clear(&b->row);
}

static void add_rows(struct bench *b, const struct context *ctx, const struct llm_answer *a,
                     const struct data_key_row *key, bool fresh) {
    if (fresh)
        add_row(b, ROWS_DATA_KEYS, rows_encode_data_key(&b->row, key, &b->place));
    const struct turn_row turn = {*ctx, 1764000000000000u, b->envelope.p, b->envelope.len};
    add_row(b, ROWS_TURNS, rows_encode_turn(&b->row, &turn, &b->place));
    struct interaction_row r = {.tenant = "default",
                                .project = "default",
                                .dialect = "openai.chat",
                                .status = 200,
                                .outcome = "complete",
                                .tokens_input = a->usage.input,
                                .tokens_output = a->usage.output,
                                .usage = "reported",
                                .stored = "turn"};
    memcpy(r.id, ctx->record, UUID_BYTES);
    memcpy(r.subject, ctx->subject, UUID_BYTES);
    memcpy(r.conversation, ctx->conversation, UUID_BYTES);
    memcpy(r.parent, ctx->parent, UUID_BYTES);
    add_row(b, ROWS_INTERACTIONS, rows_encode_interaction(&b->row, &r, &b->place));
}

static void make_context(struct context *c, const struct turn_match *m, uint64_t number,
                         const uint8_t subject[UUID_BYTES]) {
    *c = (struct context){.tenant = "default",
                          .project = "default",
                          .dialect = "openai.chat",
                          .field = CONTEXT_FIELD_TURN,
                          .schema = CONTEXT_SCHEMA_TURN};
    uuid_v7(c->record, 1764000000000000u, 1, number);
    memcpy(c->subject, subject, UUID_BYTES);
    memcpy(c->conversation, m->found ? m->parent.conversation : c->record, UUID_BYTES);
    if (m->found) {
        memcpy(c->parent, m->parent.turn, UUID_BYTES);
        memcpy(c->parent_hash, m->parent.hash, CONTEXT_HASH_BYTES);
        c->kept = m->kept;
    }
}

struct person {
    uint8_t subject[UUID_BYTES], public_key[crypto_box_PUBLICKEYBYTES];
};

static bool is_secret(struct detect_rule_info rule, void *arg) {
    (void)arg;
    return !rule.personal;
}

static void detect(struct bench *b) {
    static const uint8_t bytes[DETECT_KEY_BYTES] = {1};
    const struct detect_key key = {bytes, 1};
    must("scanning",
         detect_scan(b->detect, b->work, b->turn.p, b->turn.len, DETECT_JSON, &b->found));
    buf_clear(&b->clean);
    must("replacing", detect_replace(&b->clean, b->detect, b->work, b->turn.p, b->turn.len,
                                     DETECT_JSON, &b->found, &key, is_secret, NULL));
}

static void seal(struct bench *b, const struct exchange *e, const struct person *who) {
    static struct llm_answer answered;
    struct llm_request asked;
    struct turn_match match;
    struct context ctx;
    struct data_key_row key;
    uint8_t scope[PREFIX_DIGEST], hash[CONTEXT_HASH_BYTES], dictionary;
    bool fresh;
    must("the request",
         llm_request_parse(&asked, dialect_named("openai.chat"), e->request, strlen(e->request)));
    prefix_start(b->prefix, "default", "default", "key", who->subject, MONTH, scope);
    must("matching", turn_match(b->prefix, scope, &asked, &match));
    must("the answer", llm_answer_parse(&answered, dialect_named("openai.chat"), e->answer,
                                        strlen(e->answer), false));
    const struct turn_parts parts = {
        .request = &asked, .match = &match, .answer = &answered, .status = 200};
    must("the turn", turn_build(&b->turn, &parts));
    make_context(&ctx, &match, b->place.index, who->subject);
    detect(b);
    must("compressing", codec_compress(&b->packed, b->clean.p, b->clean.len, &dictionary));
    must("sealing", sealing_record(b->sealing, &ctx, who->public_key, dictionary, &b->packed,
                                   &b->envelope, &key, &fresh));
    add_rows(b, &ctx, &answered, &key, fresh);
    envelope_hash(hash, b->envelope.p, b->envelope.len);
    must("learning", turn_learn(b->prefix, &match, &answered, ctx.subject, ctx.conversation, ctx.record, hash));
    b->turn_bytes += (double)b->turn.len;
    turn_done(&match);
    llm_answer_done(&answered);
    llm_request_done(&asked);
    buf_clear(&b->turn);
    buf_clear(&b->packed);
    buf_clear(&b->envelope);
}

/* ---- measuring ---- */

static double cpu_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* All exchanges once, for a sealer that knows no history yet. Returns the CPU time of sealing. */
static double pass(struct bench *b, const struct load *l, const struct person *people) {
    static const uint8_t mac[32] = {1};
    batch_tree_init(&b->tree);
    must("starting", prefix_open(-1, &b->prefix));
    must("starting", sealing_new(&b->sealing));
    must("starting", sealing_writer(b->sealing, 1, mac));
    double start = cpu_seconds();
    for (size_t i = 0; i < l->n; i++)
        seal(b, &l->list[i], &people[l->list[i].person]);
    double took = cpu_seconds() - start;
    prefix_close(b->prefix);
    sealing_free(b->sealing);
    return took;
}

static void measure(const char *what, const char *name, struct load *l) {
    struct bench b = {0};
    uint8_t secret[crypto_box_SECRETKEYBYTES];
    size_t people = l->list[l->n - 1].person + 1;
    struct person *person = calloc(people, sizeof *person);
    must("memory", person ? 0 : ERR_NOMEM);
    for (size_t i = 0; i < people; i++) {
        randombytes_buf(person[i].subject, UUID_BYTES);
        crypto_box_keypair(person[i].public_key, secret);
    }
    const struct detect_options options = {0};
    char why[256];
    must("rules", detect_new(&b.detect, &options, why, sizeof why));
    must("rules", detect_work_new(&b.work, b.detect));
    buf_init(&b.turn, LIMIT_TURN_PLAIN);
    buf_init(&b.clean, LIMIT_TURN_PLAIN);
    buf_init(&b.packed, LIMIT_SPOOL_FRAME);
    buf_init(&b.envelope, LIMIT_SPOOL_FRAME);
    buf_init(&b.row, LIMIT_SPOOL_FRAME);
    double took = 0;
    size_t passes = 0;
    for (; took < SECONDS; passes++)
        took += pass(&b, l, person);
    double exchanges = (double)(passes * l->n);
    printf("%s: %zu exchanges, %zu times; bytes an exchange: new %.0f, rows %.0f; %.1f us each\n",
           what, l->n, passes, b.turn_bytes / exchanges, b.sealed_bytes / exchanges,
           took / exchanges * 1e6);
    printf("bench %s %.1f MB/s\n", name, b.turn_bytes / took / 1e6);
    free(person);
    for (size_t i = 0; i < l->n; i++) {
        free(l->list[i].request);
        free(l->list[i].answer);
    }
    free(l->list);
    detect_findings_done(&b.found);
    detect_work_free(b.work);
    detect_free(b.detect);
    buf_wipe(&b.turn);
    buf_wipe(&b.clean);
    buf_wipe(&b.packed);
    buf_wipe(&b.envelope);
    buf_wipe(&b.row);
}

int main(int argc, char **argv) {
    struct load made_up = {0}, set = {0};
    if (sodium_init() < 0)
        return 1;
    make_up(&made_up);
    measure("made-up dialogues", "sealer.mb_s", &made_up);
    FILE *f = fopen(argc > 1 ? argv[1] : DEFAULT_SET, "r");
    if (!f)
        return argc > 1;
    read_set(&set, f);
    fclose(f);
    measure("conversations of the file", "sealer.conversations_mb_s", &set);
    return 0;
}
