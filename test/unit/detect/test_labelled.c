/*
 * The detector on labelled lines, in every form in which a text reaches it: as it is, as JSON, as a
 * streamed answer of one event a character, in a tool's arguments, with full-width digits, with
 * characters without width, in base64 of one line and of many. Recall and clean lines have bars, and the result of a line may
 * not depend on its form.
 *
 * test/detect/ has the project's own lines (make.mjs says how they are made). ../shared/detect/ has
 * those of public rule sets, if it is there; how their labels are read is said at `public_lines`.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <jansson.h>
#include <sodium.h>

#include "base/err.h"
#include "llm/answer.h"
#include "write/detect/detect.h"
#include "write/turn/turn.h"

#define TEXT_MAX (1u << 20)
#define LINES_MAX 4096
#define CLASSES_MAX 1024
#define BAR_PERCENT 99.0

enum form { PLAIN, ESCAPED, STREAMED, ARGUMENTS, WIDE, WIDTHLESS, BASE64, WRAPPED, FORMS };
static const char *const form_words[FORMS] = {"plain",      "json",      "stream", "arguments",
                                              "full-width", "widthless", "base64", "wrapped"};

struct line {
    json_t *json;
    const char *class, *text, *value; /* borrowed of json */
    bool label;
};

static struct detect *d;
static struct detect_work *w;
static bool talks; /* prints each line that is judged wrongly */

static int setup(void **state) {
    char why[256];
    (void)state;
    talks = getenv("DETECT_TALKS") != NULL;
    if (detect_new(&d, NULL, why, sizeof why)) {
        print_error("%s\n", why);
        return -1;
    }
    return detect_work_new(&w, d);
}

static int teardown(void **state) {
    (void)state;
    detect_work_free(w);
    detect_free(d);
    return 0;
}

/* ---- forms ---- */

static void append(struct buf *b, const char *s) {
    assert_int_equal(buf_append_str(b, s), 0);
}

/* What Python's json.dumps gives (all but ASCII escaped), or what most others do. */
static void append_quoted(struct buf *b, const void *p, size_t len, bool ascii) {
    json_t *s = json_stringn(p, len);
    char *text = s ? json_dumps(s, JSON_ENCODE_ANY | (ascii ? JSON_ENSURE_ASCII : 0)) : NULL;
    assert_non_null(text);
    append(b, text);
    free(text);
    json_decref(s);
}

static size_t character(const char *s) {
    size_t n = 1;
    while (((uint8_t)s[n] & 0xc0) == 0x80)
        n++;
    return n;
}

/* One event for each character, as slow models send them, joined as the sealer does it. */
static void streamed(struct buf *out, const char *text) {
    struct buf events;
    struct llm_answer answer;
    buf_init(&events, 64 * TEXT_MAX);
    for (size_t n; *text; text += n) {
        n = character(text);
        append(&events, "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":");
        append_quoted(&events, text, n, false);
        append(&events, "}}]}\n\n");
    }
    append(&events, "data: [DONE]\n\n");
    assert_int_equal(llm_answer_parse(&answer, dialect_named("openai.chat"), events.p, events.len, true), 0);
    const struct turn_parts parts = {.answer = &answer, .streamed = true, .status = 200,
                                     .answer_text = {events.p, events.len}};
    assert_int_equal(turn_build(out, &parts), 0);
    llm_answer_done(&answer);
    buf_wipe(&events);
}

/* An agent's call: the arguments are JSON in a string, and their text is a string in that. */
static void in_arguments(struct buf *out, const char *text) {
    struct buf inner;
    buf_init(&inner, 8 * TEXT_MAX);
    append(&inner, "{\"path\":\"notes.txt\",\"content\":");
    append_quoted(&inner, text, strlen(text), true);
    append(&inner, "}");
    append(out, "{\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"c1\",\"type\":"
                "\"function\",\"function\":{\"name\":\"write\",\"arguments\":");
    append_quoted(out, inner.p, inner.len, false);
    append(out, "}}]}]}");
    buf_wipe(&inner);
}

static void full_width(struct buf *out, const char *text) {
    for (; *text; text++) {
        if (*text >= '0' && *text <= '9') {
            const char wide[4] = {(char)0xef, (char)0xbc, (char)(0x90 + *text - '0'), 0};
            append(out, wide);
        } else {
            assert_int_equal(buf_append(out, text, 1), 0);
        }
    }
}

static void widthless(struct buf *out, const char *text) {
    static const char *const signs[] = {"\u200b", "\u2060", "\ufeff", "\u200d"};
    for (size_t n, i = 0; *text; text += n, i++) {
        n = character(text);
        assert_int_equal(buf_append(out, text, n), 0);
        if (i % 3 == 2)
            append(out, signs[i / 3 % 4]);
    }
}

/* In one line, or as in mails: in lines of 76. */
static void in_base64(struct buf *out, const char *text, size_t columns) {
    struct buf whole;
    buf_init(&whole, 8 * TEXT_MAX);
    append(&whole, "配置如下\n");
    append(&whole, text);
    append(&whole, "\nthat is all of it\n");
    size_t size = sodium_base64_encoded_len(whole.len, sodium_base64_VARIANT_ORIGINAL);
    char *encoded = malloc(size);
    assert_non_null(encoded);
    sodium_bin2base64(encoded, size, whole.p, whole.len, sodium_base64_VARIANT_ORIGINAL);
    append(out, "data:\r\n");
    for (size_t at = 0, n; at + 1 < size; at += n) {
        n = size - 1 - at < columns ? size - 1 - at : columns;
        assert_int_equal(buf_append(out, encoded + at, n), 0);
        append(out, "\r\n");
    }
    free(encoded);
    buf_wipe(&whole);
}

static enum detect_form put(struct buf *out, const char *text, enum form form) {
    switch (form) {
    case ESCAPED:
        append(out, "{\"messages\":[{\"role\":\"user\",\"content\":");
        append_quoted(out, text, strlen(text), true);
        append(out, "}]}");
        return DETECT_JSON;
    case STREAMED:
        streamed(out, text);
        return DETECT_JSON;
    case ARGUMENTS:
        in_arguments(out, text);
        return DETECT_JSON;
    case WIDE:
        full_width(out, text);
        return DETECT_TEXT;
    case WIDTHLESS:
        widthless(out, text);
        return DETECT_TEXT;
    case BASE64:
        in_base64(out, text, SIZE_MAX);
        return DETECT_TEXT;
    case WRAPPED:
        in_base64(out, text, 76);
        return DETECT_TEXT;
    default:
        append(out, text);
        return DETECT_TEXT;
    }
}

/* ---- lines ---- */

static size_t read_lines(const char *path, struct line *lines) {
    FILE *f = fopen(path, "r");
    char *row = NULL;
    size_t size = 0, n = 0;
    if (!f)
        return 0;
    while (getline(&row, &size, f) > 0) {
        assert_in_range(n, 0, LINES_MAX - 1);
        struct line *l = &lines[n++];
        l->json = json_loads(row, 0, NULL);
        assert_non_null(l->json);
        const char *class = json_string_value(json_object_get(l->json, "class"));
        l->class = class ? class : json_string_value(json_object_get(l->json, "rule"));
        l->text = json_string_value(json_object_get(l->json, "text"));
        l->value = json_string_value(json_object_get(l->json, "value"));
        l->label = json_integer_value(json_object_get(l->json, "label")) == 1;
        assert_non_null(l->text);
    }
    free(row);
    fclose(f);
    return n;
}

static void free_lines(struct line *lines, size_t n) {
    for (size_t i = 0; i < n; i++)
        json_decref(lines[i].json);
    free(lines);
}

/* What was found in a text: a bit for each class. */
struct found {
    bool class[CLASSES_MAX];
    bool any, secret;
};

/* A class is known by the first rule that has it. */
static size_t class_of(size_t rule) {
    size_t first = 0;
    while (strcmp(detect_rule(d, first).class, detect_rule(d, rule).class) != 0)
        first++;
    assert_in_range(first, 0, CLASSES_MAX - 1);
    return first;
}

/* Scans, and when all findings are replaced looks whether something of `value` is left. */
static void scan(struct found *ret, const struct line *l, enum form form) {
    static const uint8_t key[DETECT_KEY_BYTES] = {7};
    const struct detect_key k = {key, 1};
    struct detect_findings list = {0};
    struct buf text, clean;
    buf_init(&text, 64 * TEXT_MAX);
    buf_init(&clean, 64 * TEXT_MAX);
    enum detect_form as = put(&text, l->text, form);
    *ret = (struct found){0};
    assert_int_equal(detect_scan(d, w, text.p, text.len, as, &list), 0);
    for (size_t i = 0; i < list.count; i++) {
        assert_true(list.items[i].start < list.items[i].end && list.items[i].end <= text.len);
        ret->class[class_of(list.items[i].rule)] = ret->any = true;
        ret->secret = ret->secret || !detect_rule(d, list.items[i].rule).personal;
    }
    if (l->value && (form == PLAIN || form == ESCAPED || form == STREAMED)) {
        assert_int_equal(detect_replace(&clean, d, w, text.p, text.len, as, &list, &k, NULL, NULL), 0);
        if (ret->any && memmem(clean.p, clean.len, l->value, strlen(l->value)))
            *ret = (struct found){0}; /* something else was found */
    }
    detect_findings_done(&list);
    buf_wipe(&text);
    buf_wipe(&clean);
}

static bool has_class(const struct found *f, const char *class) {
    for (size_t i = 0; i < detect_rules(d); i++)
        if (f->class[class_of(i)] && strcmp(detect_rule(d, i).class, class) == 0)
            return true;
    return false;
}

static void complain(const struct line *l, enum form form, const struct found *f) {
    if (!talks)
        return;
    print_message("%s %s %s: %s\n   as", form_words[form], l->label ? "missed" : "not clean", l->class, l->text);
    for (size_t i = 0; i < detect_rules(d); i++)
        if (f->class[i])
            print_message(" %s", detect_rule(d, i).class);
    print_message("\n");
}

struct score {
    size_t lines[2], right[2], silent; /* by label; silent: near misses in which nothing at all is found */
};

static double percent(size_t part, size_t all) {
    return all ? 100.0 * (double)part / (double)all : 100;
}

/* ---- the project's own ---- */

static void own_file(const char *path) {
    struct line *lines = calloc(LINES_MAX, sizeof *lines);
    assert_non_null(lines);
    size_t n = read_lines(path, lines), differ = 0, bad = 0;
    bool *plain = calloc(n + 1, sizeof *plain);
    assert_true(n > 0 && plain);
    for (enum form form = 0; form < FORMS; form++) {
        struct score all = {0};
        for (size_t i = 0; i < n;) {
            struct score one = {0};
            const char *class = lines[i].class;
            /* lines of a class stand together */
            for (; i < n && strcmp(lines[i].class, class) == 0; i++) {
                const struct line *l = &lines[i];
                struct found f;
                scan(&f, l, form);
                bool is = has_class(&f, l->class), right = is == l->label;
                one.lines[l->label]++;
                one.right[l->label] += right;
                one.silent += !l->label && !f.any;
                if (!right || (talks && form == PLAIN && !l->label && f.any))
                    complain(l, form, &f);
                differ += form != PLAIN && plain[i] != is;
                plain[i] = form == PLAIN ? is : plain[i];
            }
            for (int label = 0; label < 2; label++) {
                assert_true(one.lines[label] >= 20);
                all.lines[label] += one.lines[label];
                all.right[label] += one.right[label];
            }
            all.silent += one.silent;
            if (form == PLAIN)
                print_message("%-18s recall %3zu of %3zu, clean %3zu of %3zu (nothing at all: %zu)\n", class,
                              one.right[1], one.lines[1], one.right[0], one.lines[0], one.silent);
            bad += percent(one.right[1], one.lines[1]) < BAR_PERCENT ||
                   percent(one.right[0], one.lines[0]) < BAR_PERCENT;
        }
        print_message("%s %-10s recall %.2f %%, clean %.2f %% (nothing at all: %.2f %%)\n", path, form_words[form],
                      percent(all.right[1], all.lines[1]), percent(all.right[0], all.lines[0]),
                      percent(all.silent, all.lines[0]));
    }
    print_message("%s: %zu results differ by the form\n", path, differ);
    free(plain);
    free_lines(lines, n);
    assert_int_equal(differ, 0);
    assert_int_equal(bad, 0);
}

static void china(void **state) {
    (void)state;
    own_file("test/detect/china.jsonl");
}

static void people(void **state) {
    (void)state;
    own_file("test/detect/people.jsonl");
}

/* ---- public rule sets ---- */

#define PUBLIC "../shared/detect/examples.jsonl"

/* Rules whose positives are no secrets, and are not looked for. */
static const char *const unsupported[][2] = {
    /* addresses that their owners publish */
    {"np.s3.1", "host"}, {"np.s3.2", "host"}, {"np.gcs.1", "host"}, {"np.gcs.2", "host"},
    {"np.shopify.1", "host"}, {"kingfisher.shopify.2", "host"}, {"kingfisher.artifactory.2", "host"},
    {"kingfisher.auth0.3", "host"}, {"kingfisher.azure.devops.2", "host"},
    {"kingfisher.azureopenai.host.1", "host"}, {"kingfisher.azuresearch.url.1", "host"},
    {"kingfisher.azurestorage.name.1", "host"}, {"kingfisher.databricks.3", "host"},
    {"kingfisher.jira.1", "host"}, {"kingfisher.okta.2", "host"}, {"kingfisher.salesforce.2", "host"},
    {"kingfisher.sonarqube.2", "host"},
    /* names and numbers of accounts and resources */
    {"np.aws.3", "number of an account"}, {"np.arn.1", "name of a resource"}, {"np.reactapp.1", "user name"},
    {"kingfisher.reactapp.1", "user name"}, {"kingfisher.planetscale.2", "user name"},
    {"kingfisher.snowflake.1", "account's name"}, {"kingfisher.snowflake.2", "user name"},
    {"kingfisher.algolia.2", "number of an application"}, {"kingfisher.facebook.1", "number of an application"},
    {"kingfisher.discord.3", "number of a bot"}, {"kingfisher.mongodb.2", "public half of a key"},
    /* the labelled text says nothing that a secret could be told by */
    {"kingfisher.weak_password.1", "a word alone, without a name before it"},
    {"kingfisher.gcp.1", "a service account's file without its private key"},
    {"np.linkedin.1", "words of a form"}, {"kingfisher.linkedin.1", "words of a form"},
    /* personal data here, and found as such */
    {"kingfisher.eagleeyenetworks.2", "e-mail address"},
};

static bool is_supported(const struct line *l) {
    for (size_t i = 0; i < sizeof unsupported / sizeof unsupported[0]; i++)
        if (strcmp(l->class, unsupported[i][0]) == 0)
            return false;
    return true;
}

/*
 * Lines of label 0 that hold a secret in plain sight: what is found there under this class is right. It
 * is of another kind than the rule is for, of another length, or in quotes that the rule's expression
 * does not expect.
 */
static const char *const plain_sight[][2] = {
    {"np.auth0.1", "service-key"},         /* AUTH0_CLIENT_SECRET="..." */
    {"np.aws.2", "api-key"},               /* AWS_SECRET_ACCESS_KEY=..., of another length */
    {"np.generic.1", "api-key"},           /* secret_access_key = '...' */
    {"np.generic.1", "azure-client-secret"},
    {"np.generic.4", "password"},          /* password = '...' */
    {"np.generic.5", "password"},
    {"np.generic.9", "password"},          /* ...;Password=...; */
    {"np.generic.9", "teamcity-token"},
    {"np.generic.10", "password"},         /* key="FromEmailPassword" value="..." */
    {"np.gitalk.1", "api-key"},            /* "clientSecret": "..." */
    {"np.gitalk.1", "github-oauth-secret"},
    {"np.hashicorp.1", "vault-token"},     /* hvs., hvb., hvr., s., b., r.: shorter than the rule's */
    {"np.hashicorp.2", "vault-token"}, {"np.hashicorp.3", "vault-token"}, {"np.hashicorp.4", "vault-token"},
    {"np.hashicorp.5", "vault-token"}, {"np.hashicorp.6", "vault-token"},
    {"np.jwt.1", "teamcity-token"},
    {"np.msteams.1", "msteams-webhook"},   /* without the host that the rule wants */
    {"np.newrelic.1", "newrelic-key"}, {"np.newrelic.2", "newrelic-key"}, {"np.newrelic.8", "newrelic-key"},
    {"np.newrelic.9", "newrelic-key"},     /* another of its kinds */
    {"np.npm.1", "npm-token"},             /* of the old form */
    {"np.okta.1", "okta-token"},
    {"np.postgres.1", "password"}, {"np.postgres.1", "url-password"}, /* postgresql://user:...@ */
    {"np.slack.2", "slack-token"}, {"np.slack.4", "slack-token"}, {"np.slack.6", "slack-token"},
    {"np.twitch.1", "service-key"},
    {"np.twitter.2", "service-key"}, {"kingfisher.twitter.2", "service-key"},
};

static bool is_false_alarm(const struct line *l, const struct found *f) {
    for (size_t c = 0; c < detect_rules(d); c++) {
        struct detect_rule_info rule = detect_rule(d, c);
        bool right = !f->class[c] || rule.personal;
        for (size_t i = 0; !right && i < sizeof plain_sight / sizeof plain_sight[0]; i++)
            right = strcmp(plain_sight[i][0], l->class) == 0 && strcmp(plain_sight[i][1], rule.class) == 0;
        if (!right)
            return true;
    }
    return false;
}

/*
 * These sets label a line for one of their rules: 1, its expression matches; 0, it does not. So a line
 * of label 0 may hold a secret in plain sight that another rule of the same set is for, or that differs
 * from the rule's form by a letter. Three readings are printed: literally, nothing secret is found in
 * the line; by class, nothing under a class under which the rule's own positives are found; without
 * false alarms, nothing but what `plain_sight` says is there. The last has the bar.
 */
static void public_lines(void **state) {
    struct line *lines = calloc(LINES_MAX, sizeof *lines);
    (void)state;
    assert_non_null(lines);
    size_t n = read_lines(PUBLIC, lines), differ = 0, supported = 0, positives = 0, bad = 0;
    if (!n) {
        free(lines);
        print_message("%s is not there: skipped\n", PUBLIC);
        skip();
    }
    bool *plain = calloc(n, sizeof *plain);
    struct found *each = calloc(n, sizeof *each);
    assert_true(plain && each);
    for (size_t i = 0; i < n; i++) {
        positives += lines[i].label;
        supported += lines[i].label && is_supported(&lines[i]);
    }
    print_message("%zu of %zu positives are of supported classes (%.2f %%)\n", supported, positives,
                  percent(supported, positives));
    assert_true(percent(supported, positives) >= 95);
    for (enum form form = 0; form < FORMS; form++) {
        size_t found = 0, clean[3] = {0};
        for (size_t i = 0; i < n; i++) {
            scan(&each[i], &lines[i], form);
            found += lines[i].label && is_supported(&lines[i]) && each[i].secret;
            if (lines[i].label && is_supported(&lines[i]) && !each[i].secret)
                complain(&lines[i], form, &each[i]);
            if (form != PLAIN && plain[i] != each[i].secret) {
                differ++;
                if (talks)
                    print_message("%s differs: %s: %s\n", form_words[form], lines[i].class, lines[i].text);
            }
            plain[i] = form == PLAIN ? each[i].secret : plain[i];
        }
        for (size_t i = 0; i < n; i++) {
            if (lines[i].label)
                continue;
            bool other = true;
            for (size_t k = 0; k < n; k++)
                for (size_t c = 0; lines[k].label && !strcmp(lines[k].class, lines[i].class) && c < CLASSES_MAX; c++)
                    other = other && !(each[i].class[c] && each[k].class[c]);
            clean[0] += !each[i].secret;
            clean[1] += other;
            clean[2] += !is_false_alarm(&lines[i], &each[i]);
            if (is_false_alarm(&lines[i], &each[i]))
                complain(&lines[i], form, &each[i]);
        }
        print_message("public %-10s recall %.2f %%, clean: literally %.2f %%, by class %.2f %%, without false "
                      "alarms %.2f %%\n", form_words[form], percent(found, supported),
                      percent(clean[0], n - positives), percent(clean[1], n - positives),
                      percent(clean[2], n - positives));
        bad += percent(found, supported) < BAR_PERCENT || percent(clean[2], n - positives) < BAR_PERCENT;
    }
    print_message("%zu results differ by the form\n", differ);
    free(plain);
    free(each);
    free_lines(lines, n);
    assert_int_equal(differ, 0);
    assert_int_equal(bad, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(china), cmocka_unit_test(people), cmocka_unit_test(public_lines)};
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, setup, teardown);
}
