/*
 * The detector on labelled lines, in every form in which a text reaches it: as it is, as JSON, as a
 * streamed answer of one event a character, in a tool's arguments, with full-width digits, with
 * characters without width, in base64 of one line and of many. Recall and clean lines have bars, and the result of a line may
 * not depend on its form.
 *
 * test/detect/ has the project's own lines (make.mjs says how they are made). ../shared/detect/ has
 * those of public rule sets, if it is there; how their labels are read is said at `enum reading`.
 */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
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

/* What was found in a text: a bit for each class; of the plain text the secret values as well, borrowed of it. */
#define VALUES_MAX 32
struct value {
    const char *p;
    size_t len, class;
};
struct found {
    bool class[CLASSES_MAX];
    bool any, secret;
    struct value values[VALUES_MAX];
    size_t count;
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
        const struct detect_finding *f = &list.items[i];
        ret->class[class_of(f->rule)] = ret->any = true;
        if (detect_rule(d, f->rule).personal)
            continue;
        ret->secret = true;
        if (form == PLAIN) {
            assert_in_range(ret->count, 0, VALUES_MAX - 1);
            ret->values[ret->count++] = (struct value){l->text + f->start, f->end - f->start, class_of(f->rule)};
        }
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

/* ---- how negatives of these sets are read ---- */

/*
 * They label a line for one of their rules: 1, its expression matches; 0, it does not. So a line of label 0 may hold a
 * secret in plain sight, and then the file contradicts itself. A finding in it is no false alarm when, in this order,
 */
enum reading {
    READ_CLASS, /* it is of a class under which none of the rule's positives is found: a secret of another kind */
    READ_VALUE, /* the same value, of six bytes at least, is found in a line of label 1 */
    READ_FORM,  /* in a positive of the same rule a value of this form, by length and characters, is found under
                   the same name: the line differs in its quotes */
    READINGS,
};

static size_t of_class(const struct line *l, const struct found *each, size_t n, const struct line *lines, size_t class) {
    size_t found = 0;
    for (size_t k = 0; k < n; k++)
        found += lines[k].label && !strcmp(lines[k].class, l->class) && each[k].class[class];
    return found;
}

#define SAME_MIN 6

static bool is_labelled(struct value v, const struct found *each, size_t n, const struct line *lines) {
    for (size_t k = 0; v.len >= SAME_MIN && k < n; k++)
        for (size_t i = 0; lines[k].label && i < each[k].count; i++)
            if (memmem(each[k].values[i].p, each[k].values[i].len, v.p, v.len))
                return true;
    return false;
}

/* The identifier before a value of `text`, and the signs between. */
static size_t name_before(const char *text, const char *value, const char **ret) {
    const char *end = value, *at;
    while (end > text && !isalnum((unsigned char)end[-1]))
        end--;
    for (at = end; at > text && (isalnum((unsigned char)at[-1]) || at[-1] == '_' || at[-1] == '-');)
        at--;
    *ret = at;
    return (size_t)(end - at);
}

static unsigned signs_of(struct value v) {
    unsigned signs = 0;
    for (size_t i = 0; i < v.len; i++) {
        char c = v.p[i];
        signs |= isdigit((unsigned char)c) ? 1 : c >= 'a' && c <= 'f' ? 2 : islower((unsigned char)c) ? 4
                 : isupper((unsigned char)c) ? 8 : 16;
    }
    return signs;
}

static bool has_form(const struct line *l, struct value v, const struct found *each, size_t n, const struct line *lines) {
    const char *name, *other;
    size_t len = name_before(l->text, v.p, &name);
    for (size_t k = 0; len && k < n; k++) {
        if (!lines[k].label || strcmp(lines[k].class, l->class) != 0)
            continue;
        for (size_t i = 0; i < each[k].count; i++) {
            const struct value it = each[k].values[i];
            if (it.len == v.len && !(signs_of(v) & ~signs_of(it) & ~3u) && name_before(lines[k].text, it.p, &other) == len &&
                strncasecmp(name, other, len) == 0)
                return true;
        }
    }
    return false;
}

/* How a line without label has to be read to be clean; READINGS: it holds a false alarm. */
static enum reading reading_of(const struct line *l, const struct found *f, const struct found *each, size_t n,
                               const struct line *lines) {
    enum reading most = READ_CLASS;
    for (size_t i = 0; i < f->count; i++) {
        struct value v = f->values[i];
        enum reading one = !of_class(l, each, n, lines, v.class) ? READ_CLASS
                           : is_labelled(v, each, n, lines)      ? READ_VALUE
                           : has_form(l, v, each, n, lines)      ? READ_FORM
                                                                 : READINGS;
        if (one > most)
            most = one;
    }
    return most;
}

struct publics {
    struct line *lines;
    struct found *each, *now; /* as plain text, and in the form at hand */
    size_t n, supported, positives;
};

static void free_publics(struct publics *s) {
    free(s->each);
    free(s->now);
    free_lines(s->lines, s->n);
}

/* One form: are its bars met? `differ`: lines of another result than as plain text. */
static bool judge_form(const struct publics *s, enum form form, size_t *differ) {
    size_t found = 0, silent = 0, read[READINGS + 1] = {0};
    for (size_t i = 0; i < s->n; i++) {
        const struct line *l = &s->lines[i];
        scan(&s->now[i], l, form);
        bool supported = l->label && is_supported(l), other = s->each[i].secret != s->now[i].secret;
        found += supported && s->now[i].secret;
        if (supported && !s->now[i].secret)
            complain(l, form, &s->now[i]);
        *differ += other;
        if (other && talks)
            print_message("%s differs: %s: %s\n", form_words[form], l->class, l->text);
    }
    for (size_t i = 0; i < s->n; i++) {
        const struct line *l = &s->lines[i];
        if (l->label)
            continue;
        silent += !s->now[i].secret;
        /* the values are those of the plain text: another form must find something where it did, and under its classes */
        enum reading r = !s->now[i].secret ? READ_CLASS : reading_of(l, &s->each[i], s->each, s->n, s->lines);
        for (size_t c = 0; c < CLASSES_MAX; c++)
            if (s->now[i].class[c] && !s->each[i].class[c] && !detect_rule(d, c).personal)
                r = READINGS;
        read[r] += s->now[i].secret;
        if (r >= READ_FORM)
            complain(l, form, &s->now[i]);
    }
    size_t negatives = s->n - s->positives, clean = negatives - read[READINGS];
    print_message("public %-10s recall %.2f %%, clean %.2f %% (literally %.2f %%: %zu lines contradict the file, %zu by "
                  "class, %zu by value, %zu by form)\n",
                  form_words[form], percent(found, s->supported), percent(clean, negatives), percent(silent, negatives),
                  negatives - silent - read[READINGS], read[READ_CLASS], read[READ_VALUE], read[READ_FORM]);
    return percent(found, s->supported) >= BAR_PERCENT && percent(clean, negatives) >= BAR_PERCENT;
}

static void public_lines(void **state) {
    struct publics s = {.lines = calloc(LINES_MAX, sizeof *s.lines)};
    size_t differ = 0, bad = 0;
    (void)state;
    assert_non_null(s.lines);
    s.n = read_lines(PUBLIC, s.lines);
    s.each = calloc(s.n + 1, sizeof *s.each);
    s.now = calloc(s.n + 1, sizeof *s.now);
    assert_true(s.each && s.now);
    if (!s.n) {
        free_publics(&s);
        print_message("%s is not there: skipped\n", PUBLIC);
        skip();
    }
    for (size_t i = 0; i < s.n; i++) {
        s.positives += s.lines[i].label;
        s.supported += s.lines[i].label && is_supported(&s.lines[i]);
        scan(&s.each[i], &s.lines[i], PLAIN);
    }
    print_message("%zu of %zu positives are of supported classes (%.2f %%)\n", s.supported, s.positives,
                  percent(s.supported, s.positives));
    assert_true(percent(s.supported, s.positives) >= 95);
    for (enum form form = 0; form < FORMS; form++)
        bad += !judge_form(&s, form, &differ);
    print_message("%zu results differ by the form\n", differ);
    free_publics(&s);
    assert_int_equal(differ, 0);
    assert_int_equal(bad, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(china), cmocka_unit_test(people), cmocka_unit_test(public_lines)};
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, setup, teardown);
}
