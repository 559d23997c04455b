/*
 * Rules from YAML, the built-in ones and the user's (doc/detect.md has the fields). A list of maps; a
 * rule without an example that must match and one that must not is refused, as is an unknown field: a
 * typing error would otherwise make a rule that never finds anything.
 *
 * Rules come from the installation's owner, so a wrong one is an error with its line, no more.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/err.h"
#include "write/detect/detect_int.h"

#define RULES_MAX 4096
#define TAIL_MAX 16 /* repetitions that the first stage counts at a match's end */

static const char *const kinds[RULE_KINDS] = {
    "pattern", "assign", "password", "vendor", "placeholder", "card", "cn-id",
    "cn-mobile", "phone", "iban", "email", "ip", "wallet"};
static const char *const checks[] = {"none", "github", "jwt", "random", "likely", "secret",
                                     "weak", "basic", "wallet", "mnemonic"};

struct reader {
    yaml_document_t doc;
    char *why;
    size_t why_size;
};

static int wrong(struct reader *r, const yaml_node_t *at, const char *what) {
    snprintf(r->why, r->why_size, "line %zu: %s", at ? at->start_mark.line + 1 : 0, what);
    return ERR_SYNTAX;
}

static const char *scalar(const yaml_node_t *n, size_t *ret_len) {
    if (!n || n->type != YAML_SCALAR_NODE)
        return NULL;
    *ret_len = n->data.scalar.length;
    return (const char *)n->data.scalar.value;
}

static int read_name(struct reader *r, const yaml_node_t *n, char out[DETECT_ID_MAX]) {
    size_t len;
    const char *s = scalar(n, &len);
    if (!s || len == 0 || len >= DETECT_ID_MAX)
        return wrong(r, n, "a name of 1 to 47 characters is needed");
    for (size_t i = 0; i < len; i++)
        if (!is_lower((uint8_t)s[i]) && !is_digit((uint8_t)s[i]) && s[i] != '-')
            return wrong(r, n, "names are of a-z, 0-9 and -");
    memcpy(out, s, len + 1);
    return 0;
}

static int read_word(struct reader *r, const yaml_node_t *n, const char *const *words, size_t count,
                     unsigned *ret) {
    size_t len;
    const char *s = scalar(n, &len);
    for (size_t i = 0; s && i < count; i++) {
        if (strcmp(words[i], s) == 0) {
            *ret = (unsigned)i;
            return 0;
        }
    }
    return wrong(r, n, "unknown word");
}

static int read_number(struct reader *r, const yaml_node_t *n, unsigned long max, unsigned long *ret) {
    size_t len;
    char *end = NULL;
    const char *s = scalar(n, &len);
    *ret = s && len && is_digit((uint8_t)s[0]) ? strtoul(s, &end, 10) : 0;
    return end && *end == 0 && *ret <= max ? 0 : wrong(r, n, "a number is needed");
}

typedef int take_text(void *to, const char *s, size_t line);

/* A list of texts that are not empty, one by one. */
static int each_text(struct reader *r, const yaml_node_t *n, take_text *take, void *to) {
    if (!n || n->type != YAML_SEQUENCE_NODE)
        return wrong(r, n, "a list of texts is needed");
    for (yaml_node_item_t *i = n->data.sequence.items.start; i < n->data.sequence.items.top; i++) {
        size_t len;
        const yaml_node_t *item = yaml_document_get_node(&r->doc, *i);
        const char *s = scalar(item, &len);
        if (!s || !len)
            return wrong(r, item, "a text is needed");
        int rc = take(to, s, item->start_mark.line + 1);
        if (rc)
            return rc;
    }
    return 0;
}

struct texts {
    char ***list;
    size_t *count;
};

static int take_item(void *to, const char *s, size_t line) {
    const struct texts *t = to;
    (void)line;
    char **more = realloc(*t->list, (*t->count + 1) * sizeof **t->list);
    if (!more)
        return ERR_NOMEM;
    *t->list = more;
    if (!(more[*t->count] = strdup(s)))
        return ERR_NOMEM;
    ++*t->count;
    return 0;
}

static int read_texts(struct reader *r, const yaml_node_t *n, char ***list, size_t *count) {
    int rc = each_text(r, n, take_item, &(struct texts){list, count});
    return rc ? rc : *count < UINT16_MAX ? 0 : ERR_LIMIT;
}

struct examples {
    struct rule *rule;
    bool match;
};

static int take_example(void *to, const char *s, size_t line) {
    const struct examples *e = to;
    struct rule *rule = e->rule;
    struct rule_example *more = realloc(rule->examples, (rule->examples_count + 1) * sizeof *more);
    if (!more)
        return ERR_NOMEM;
    rule->examples = more;
    struct rule_example example = {strdup(s), line, e->match};
    if (!example.text)
        return ERR_NOMEM;
    more[rule->examples_count++] = example;
    return 0;
}

static int read_examples(struct reader *r, const yaml_node_t *n, struct rule *rule, bool match) {
    return each_text(r, n, take_example, &(struct examples){rule, match});
}

static int read_pattern(struct reader *r, const yaml_node_t *n, char **ret) {
    size_t len;
    const char *s = scalar(n, &len);
    if (!s || !len || len > 4000)
        return wrong(r, n, "a pattern is needed");
    free(*ret);
    *ret = strdup(s);
    return *ret ? 0 : ERR_NOMEM;
}

static int read_field(struct reader *r, struct rule *rule, const char *name, const yaml_node_t *n) {
    unsigned word = 0;
    unsigned long number = 0;
    int rc;
    if (strcmp(name, "id") == 0)
        return read_name(r, n, rule->id);
    if (strcmp(name, "class") == 0)
        return read_name(r, n, rule->class);
    if (strcmp(name, "family") == 0)
        return read_name(r, n, rule->family);
    if (strcmp(name, "pattern") == 0)
        return read_pattern(r, n, &rule->pattern);
    if (strcmp(name, "find") == 0)
        return read_pattern(r, n, &rule->find);
    if (strcmp(name, "keywords") == 0)
        return read_texts(r, n, &rule->keywords, &rule->keywords_count);
    if (strcmp(name, "match") == 0 || strcmp(name, "clean") == 0)
        return read_examples(r, n, rule, name[0] == 'm');
    if (strcmp(name, "kind") == 0) {
        rc = read_word(r, n, kinds, RULE_KINDS, &word);
        rule->kind = (enum rule_kind)word;
    } else if (strcmp(name, "check") == 0) {
        rc = read_word(r, n, checks, sizeof checks / sizeof checks[0], &word);
        rule->check = (enum rule_check)word;
    } else if (strcmp(name, "bits") == 0) {
        rc = read_number(r, n, 100000, &number);
        rule->bits = (unsigned)number;
    } else if (strcmp(name, "rank") == 0) {
        rc = read_number(r, n, 20, &number);
        rule->rank = (unsigned)number;
    } else if (strcmp(name, "entropy") == 0) { /* tenths of a bit a character */
        rc = read_number(r, n, 80, &number);
        rule->entropy = (uint32_t)(number * 256 / 10);
    } else if (strcmp(name, "before") == 0) {
        rc = read_number(r, n, 65536, &number);
        rule->before = (uint32_t)number;
    } else if (strcmp(name, "after") == 0) {
        rc = read_number(r, n, 65536, &number);
        rule->after = (uint32_t)number;
    } else if (strcmp(name, "personal") == 0 || strcmp(name, "glued") == 0 ||
               strcmp(name, "caseless") == 0 || strcmp(name, "run") == 0) {
        static const char *const truth[] = {"false", "true"};
        rc = read_word(r, n, truth, 2, &word);
        *(name[0] == 'p'   ? &rule->personal
          : name[0] == 'g' ? &rule->glued
          : name[0] == 'r' ? &rule->run
                           : &rule->caseless) = word;
    } else {
        rc = wrong(r, n, "unknown field");
    }
    return rc;
}

/* ---- what the first stage looks for ---- */

/* Where the last item of an expression begins (a class, a group, an escape or a character). */
static size_t last_item(const char *s, size_t len) {
    size_t at = 0, item = 0;
    while (at < len) {
        item = at;
        if (s[at] == '\\') {
            at += 2;
        } else if (s[at] == '[') {
            for (at += s[at + 1] == '^' ? 3 : 2; at < len && s[at] != ']'; at++)
                if (s[at] == '\\')
                    at++;
            at++;
        } else if (s[at] == '(') {
            int depth = 0;
            do {
                if (s[at] == '\\') {
                    at++;
                } else if (s[at] == '[') {
                    for (at += s[at + 1] == '^' ? 3 : 2; at < len && s[at] != ']'; at++)
                        if (s[at] == '\\')
                            at++;
                } else {
                    depth += s[at] == '(' ? 1 : s[at] == ')' ? -1 : 0;
                }
                at++;
            } while (at < len && depth > 0);
        } else {
            at++;
        }
        if (at < len && (s[at] == '{' || s[at] == '+' || s[at] == '*' || s[at] == '?')) {
            if (s[at] == '{')
                while (at < len && s[at] != '}')
                    at++;
            at++;
        }
    }
    return item;
}

/* Cuts `s`, of *len characters, to its shortest match: what may be absent at its end goes, and what is
 * repeated there is repeated as seldom as allowed, TAIL_MAX times at most. */
static void shorten(char *s, size_t *len) {
    for (bool optional = true; optional && *len;) {
        size_t at = last_item(s, *len), brace = *len - 1;
        unsigned low = 1;
        optional = false;
        if (s[brace] == '}') {
            while (brace > at && s[brace] != '{')
                brace--;
            if (sscanf(s + brace, "{%u", &low) != 1)
                return;
        } else if (s[brace] == '?' || s[brace] == '*') {
            low = 0;
        } else if (s[brace] != '+') {
            return;
        }
        if (brace <= at || (brace == at + 1 && s[at] == '\\'))
            return; /* the sign is a character of its own */
        if (low == 0) {
            *len = at;
            optional = true;
        } else if (low == 1) {
            *len = brace;
        } else {
            *len = brace + (size_t)sprintf(s + brace, "{%u}", low > TAIL_MAX ? TAIL_MAX : low);
        }
        s[*len] = 0;
    }
}

/*
 * An open end ("{20,}", "+") makes the first stage fire once for every further byte, and long counted
 * ends cost it memory. So it sees the pattern only up to the shortest match; the second stage looks at
 * the rest. In "...(value)" it is the value's end that is shortened.
 */
static char *shortest(const char *pattern) {
    size_t len = strlen(pattern), at = last_item(pattern, len);
    char *out = malloc(len + 32);
    if (!out)
        return NULL;
    memcpy(out, pattern, len + 1);
    bool group = pattern[at] == '(' && pattern[len - 1] == ')' && pattern[at + 1] != '?' &&
                 !memchr(pattern + at, '|', len - at);
    if (group) {
        out[--len] = 0;
        size_t inner = len - at - 1;
        shorten(out + at + 1, &inner);
        if (inner)
            memcpy(out + at + 1 + inner, ")", 2);
        else
            out[at] = 0;
    } else {
        shorten(out, &len);
    }
    return out;
}

/* Has the expression alternatives at its top level? */
static bool has_branches(const char *s) {
    int depth = 0;
    bool set = false;
    for (; *s; s++) {
        if (*s == '\\' && s[1])
            s++;
        else if (set)
            set = *s != ']';
        else if (*s == '[')
            set = true;
        else if (*s == '(' || *s == ')')
            depth += *s == '(' ? 1 : -1;
        else if (*s == '|' && depth == 0)
            return true;
    }
    return false;
}

/* The characters that every match begins with, so that the second stage need not look for a start. */
static void take_literal(struct rule *rule) {
    size_t n = 0;
    if (rule->caseless || has_branches(rule->pattern))
        return;
    for (const char *s = rule->pattern; n < sizeof rule->literal - 1; n++) {
        const char *next = s + 1;
        if (*s == '\\' && s[1] && !is_alnum((uint8_t)s[1]))
            next++;
        else if (!*s || strchr("\\[](){}.*+?^$|", *s))
            break;
        if (*next == '{' || *next == '?' || *next == '*' || *next == '+')
            break;
        rule->literal[n] = next[-1];
        s = next;
    }
    rule->literal_len = n;
}

/* What ends in "([A-Za-z0-9]{32})" finds nothing where no such run is; this is far cheaper to ask. */
static size_t run_of_value(const char *pattern) {
    const char *open = strrchr(pattern, '('), *c = open + 2;
    unsigned low = 0;
    if (!open || open[1] != '[')
        return 0;
    for (; *c && *c != ']'; c++)
        if (!is_alnum((uint8_t)*c) && !strchr("+/_-", *c))
            return 0;
    return sscanf(c, "]{%u", &low) == 1 && low >= RUN_NOTED ? low : 0;
}

static int compile_pattern(struct reader *r, const yaml_node_t *at, struct rule *rule) {
    int code;
    PCRE2_SIZE offset;
    if (!rule->pattern)
        return wrong(r, at, "a pattern is needed");
    if (!rule->find && !(rule->find = shortest(rule->pattern)))
        return ERR_NOMEM;
    uint32_t options = PCRE2_NEVER_UTF | PCRE2_NEVER_UCP | PCRE2_USE_OFFSET_LIMIT;
    rule->code = pcre2_compile((PCRE2_SPTR)rule->pattern, PCRE2_ZERO_TERMINATED,
                               options | (rule->caseless ? PCRE2_CASELESS : 0), &code, &offset, NULL);
    if (!rule->code)
        return wrong(r, at, "the pattern is no regular expression");
    uint32_t groups = 0;
    pcre2_pattern_info(rule->code, PCRE2_INFO_CAPTURECOUNT, &groups);
    if (groups > 1)
        return wrong(r, at, "at most one group (...) may be the value; write (?:...) for others");
    rule->group = groups;
    pcre2_pattern_info(rule->code, PCRE2_INFO_FIRSTBITMAP, &rule->starts);
    take_literal(rule);
    rule->value_run = rule->group && !rule->literal_len ? run_of_value(rule->pattern) : 0;
    return 0;
}

static void rule_done(struct rule *rule) {
    for (size_t i = 0; i < rule->keywords_count; i++)
        free(rule->keywords[i]);
    for (size_t i = 0; i < rule->examples_count; i++)
        free(rule->examples[i].text);
    free(rule->keywords);
    free(rule->examples);
    free(rule->pattern);
    free(rule->find);
    pcre2_code_free(rule->code);
    *rule = (struct rule){0};
}

static int check_rule(struct reader *r, const yaml_node_t *n, struct rule *rule) {
    size_t matches = 0;
    for (size_t i = 0; i < rule->examples_count; i++)
        matches += rule->examples[i].match;
    if (!rule->id[0])
        return wrong(r, n, "a rule needs an id");
    if (!rule->class[0])
        memcpy(rule->class, rule->id, sizeof rule->class);
    if (!matches || matches == rule->examples_count)
        return wrong(r, n, "a rule needs examples: match, and clean");
    return rule->kind == RULE_PATTERN ? compile_pattern(r, n, rule) : 0;
}

static int read_rule(struct reader *r, struct rules *rules, const yaml_node_t *n) {
    struct rule rule = {.before = 512, .after = 1024};
    size_t len;
    int rc = 0;
    if (n->type != YAML_MAPPING_NODE)
        return wrong(r, n, "a rule is a map");
    rule.line = n->start_mark.line + 1;
    for (yaml_node_pair_t *p = n->data.mapping.pairs.start; !rc && p < n->data.mapping.pairs.top; p++) {
        const char *name = scalar(yaml_document_get_node(&r->doc, p->key), &len);
        rc = name ? read_field(r, &rule, name, yaml_document_get_node(&r->doc, p->value))
                  : wrong(r, n, "unknown field");
    }
    if (!rc)
        rc = check_rule(r, n, &rule);
    for (size_t i = 0; !rc && i < rules->count; i++)
        if (strcmp(rules->list[i].id, rule.id) == 0)
            rc = wrong(r, n, "there is a rule of that id already");
    if (!rc && rules->count == rules->cap) {
        size_t cap = rules->cap ? rules->cap * 2 : 64;
        struct rule *more = cap > RULES_MAX ? NULL : realloc(rules->list, cap * sizeof *more);
        if (!more) {
            rc = ERR_NOMEM;
        } else {
            rules->list = more;
            rules->cap = cap;
        }
    }
    if (rc)
        rule_done(&rule);
    else
        rules->list[rules->count++] = rule;
    return rc;
}

int rules_load(struct rules *rules, const char *yaml, size_t len, char *why, size_t why_size) {
    struct reader r = {.why = why, .why_size = why_size};
    yaml_parser_t parser;
    int rc = 0;
    snprintf(why, why_size, "out of memory");
    if (!yaml_parser_initialize(&parser))
        return ERR_NOMEM;
    yaml_parser_set_input_string(&parser, (const unsigned char *)yaml, len);
    if (!yaml_parser_load(&parser, &r.doc)) {
        snprintf(why, why_size, "line %zu: %s", parser.problem_mark.line + 1,
                 parser.problem ? parser.problem : "no YAML");
        yaml_parser_delete(&parser);
        return ERR_SYNTAX;
    }
    const yaml_node_t *root = yaml_document_get_root_node(&r.doc);
    if (!root || root->type != YAML_SEQUENCE_NODE) {
        rc = wrong(&r, root, "rules are a list");
        goto out;
    }
    for (yaml_node_item_t *i = root->data.sequence.items.start;
         !rc && i < root->data.sequence.items.top; i++)
        rc = read_rule(&r, rules, yaml_document_get_node(&r.doc, *i));
out:
    yaml_document_delete(&r.doc);
    yaml_parser_delete(&parser);
    return rc;
}

void rules_done(struct rules *r) {
    for (size_t i = 0; i < r->count; i++)
        rule_done(&r->list[i]);
    free(r->list);
    *r = (struct rules){0};
}

extern const char detect_rules_builtin[], detect_rules_builtin_end[];

int rules_load_builtin(struct rules *rules, char *why, size_t why_size) {
    return rules_load(rules, detect_rules_builtin, (size_t)(detect_rules_builtin_end - detect_rules_builtin), why,
                      why_size);
}
