/*
 * The first stage's databases from rules. Vectorscan's speed is that of the set, not the sum of the rules; what is
 * known of it:
 *   - a set of more than about a hundred literals costs the same whatever they are, as long as one of them is of two
 *     bytes only (facebook-app-secret's "fb"): without such a one the library looks at every second place, in a
 *     table twice as large, which is not in the processor's first cache any more, and takes half as long again;
 *   - a name that is found often and has a repetition behind it ("user\s{0,16}[=:]") costs a fourth of all.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "write/detect/detect_int.h"

struct build {
    const char **patterns;
    unsigned *flags, *ids;
    unsigned count, cap;
    char **owned;
};

static int add(struct build *b, char *pattern, unsigned flags, unsigned id) {
    if (b->count == b->cap) {
        unsigned cap = b->cap ? b->cap * 2 : 256;
        const char **patterns = realloc(b->patterns, cap * sizeof *patterns);
        if (patterns)
            b->patterns = patterns;
        unsigned *f = realloc(b->flags, cap * sizeof *f), *ids = realloc(b->ids, cap * sizeof *ids);
        if (f)
            b->flags = f;
        if (ids)
            b->ids = ids;
        char **owned = realloc(b->owned, cap * sizeof *owned);
        if (owned)
            b->owned = owned;
        if (!patterns || !f || !ids || !owned) {
            free(pattern);
            return ERR_NOMEM;
        }
        b->cap = cap;
    }
    b->patterns[b->count] = b->owned[b->count] = pattern;
    b->flags[b->count] = flags;
    b->ids[b->count++] = id;
    return pattern ? 0 : ERR_NOMEM;
}

/* "(?:a|b|c)". Keywords are plain text, spaces in them any one of " _-". */
static char *either(char **words, size_t count) {
    struct buf b;
    buf_init(&b, 1u << 20);
    int rc = buf_append_str(&b, "(?:");
    for (size_t i = 0; !rc && i < count; i++) {
        if (i)
            rc = buf_append_u8(&b, '|');
        for (const char *s = words[i]; !rc && *s; s++)
            rc = *s == ' ' ? buf_append_str(&b, "[ _.-]?")
                           : buf_printf(&b, is_alnum((uint8_t)*s) ? "%c" : "\\%c", *s);
    }
    if (!rc)
        rc = buf_printf(&b, ")%c", 0);
    char *out = rc ? NULL : strdup((const char *)b.p);
    buf_wipe(&b);
    return out;
}

static int add_rule(const struct rules *rules, struct build *b, size_t i) {
    const struct rule *rule = &rules->list[i];
    const unsigned flags = HS_FLAG_DOTALL;
    switch (rule->kind) {
    case RULE_PATTERN:
        if (rule->run)
            return 0;
        return add(b, strdup(rule->find), flags | (rule->caseless ? HS_FLAG_CASELESS : 0), (unsigned)i);
    case RULE_ASSIGN:
    case RULE_PASSWORD:
        return add(b, either(rule->keywords, rule->keywords_count), flags | HS_FLAG_CASELESS, (unsigned)i);
    case RULE_PLACEHOLDER:
        return add(b, strdup("\\[\\[secret:"), flags, (unsigned)i);
    default:
        return 0; /* no expression */
    }
}

int compile_rules(hs_database_t **ret, const struct rules *rules, size_t from, size_t to,
                  const hs_platform_info_t *platform, char *why, size_t why_size) {
    struct build b = {0};
    hs_compile_error_t *error = NULL;
    int rc = 0;
    for (size_t i = from; !rc && i < to; i++)
        rc = add_rule(rules, &b, i);
    if (!rc && b.count && hs_compile_multi(b.patterns, b.flags, b.ids, b.count, HS_MODE_BLOCK, platform, ret,
                                           &error) != HS_SUCCESS) {
        unsigned n = error->expression >= 0 ? b.ids[error->expression] : 0;
        snprintf(why, why_size, "rule %s: %.100s", rules->list[n].id, error->message);
        hs_free_compile_error(error);
        rc = ERR_SYNTAX;
    }
    for (unsigned i = 0; i < b.count; i++)
        free(b.owned[i]);
    free(b.patterns);
    free(b.flags);
    free(b.ids);
    free(b.owned);
    return rc;
}

int detect_compile_builtin(hs_database_t **ret, const hs_platform_info_t *platform, char *why,
                           size_t why_size) {
    struct rules rules = {0};
    *ret = NULL;
    int rc = rules_load_builtin(&rules, why, why_size);
    if (!rc)
        rc = compile_rules(ret, &rules, 0, rules.count, platform, why, why_size);
    rules_done(&rules);
    return rc;
}
