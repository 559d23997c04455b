#ifndef WRITE_DETECT_DETECT_H
#define WRITE_DETECT_DETECT_H
/*
 * Secrets and personal data in bytes: bytes in, findings out. No file, no key, no clock; doc/detect.md
 * says what is found and how rules are written.
 *
 *   struct detect *d;                        rules, compiled once at the start; not changed afterwards
 *   struct detect_work *w;                   what one scan at a time needs; holds plaintext, wiped
 *   detect_new(&d, &options, why, sizeof why);
 *   detect_work_new(&w, d);
 *   detect_scan(d, w, p, len, DETECT_JSON, &list);
 *   for (size_t i = 0; i < list.count; i++) list.items[i].start ...
 *
 * Findings are sorted, do not overlap, and their offsets are of the input as it was given, whatever
 * was decoded on the way: escapes of JSON at up to DETECT_LEVELS depths, full-width forms, characters
 * without width, one level of base64.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define DETECT_ID_MAX 48       /* of a rule or a class, with NUL */
#define DETECT_FINDINGS 16384  /* in one input; beyond it the scan fails with ERR_LIMIT */
#define DETECT_LEVELS 5        /* JSON in a string in JSON in a string, and so on */
#define DETECT_INPUT (1u << 31) /* bytes of one input */

struct detect;
struct detect_work;

enum detect_form {
    DETECT_TEXT, /* scanned as it is, and decoded where it has escapes */
    DETECT_JSON, /* escapes are decoded first: the text as such means nothing */
};

/* What an offline check said about the value. A value whose checksum is wrong is still reported where
 * the form alone is distinct: old tokens and documentation fail checksums, and leak all the same. */
enum detect_check { DETECT_UNCHECKED, DETECT_CHECKED, DETECT_CHECK_FAILED };

struct detect_finding {
    size_t start, end; /* of the value alone, [start, end) */
    uint16_t rule;
    uint8_t check; /* enum detect_check */
};

struct detect_findings {
    struct detect_finding *items;
    size_t count, cap;
};

struct detect_rule_info {
    const char *id, *class;
    const char *family; /* a name for its class and others, as policies may say it; NULL: none */
    bool personal; /* a person's data, not a secret of a machine */
    unsigned bits; /* random bits that a value has at least; 0: guessable */
};

struct detect_options {
    const char *rules; /* YAML of the user's own, beside the built-in ones; may be NULL */
    size_t rules_len;
    const char *const *mute; /* ids of rules, classes and families that are left out; NULL-ended */
};

/* `why` gets a sentence when it fails: ERR_SYNTAX and the line of a wrong rule, ERR_NOTFOUND for a
 * muted id that nothing has, ERR_NOMEM. */
int detect_new(struct detect **ret, const struct detect_options *options, char *why, size_t why_size);
/*
 * Tries the user's rules, where a file of them comes in: each finds its examples that match and not those that are
 * clean, and none of them makes the scan of ordinary text slower by more than DETECT_SLOWER percent.
 * ERR_SYNTAX, and in `why` the line, the rule and the example, or how much slower. Takes a few ms a rule.
 */
#define DETECT_SLOWER 20
int detect_try(const struct detect *d, char *why, size_t why_size);
void detect_free(struct detect *d);
int detect_work_new(struct detect_work **ret, const struct detect *d);
void detect_work_free(struct detect_work *w);
/* The processor time (ns) after which a scan gives up with ERR_LIMIT; 0, as at first: none. */
void detect_work_time(struct detect_work *w, uint64_t ns);

/* The findings stay until the next scan or detect_findings_done; `list` is zeroed before its first use.
 * ERR_LIMIT, ERR_NOMEM: nothing is known about the input, which then must not be kept in the clear. */
int detect_scan(const struct detect *d, struct detect_work *w, const void *p, size_t len,
                enum detect_form form, struct detect_findings *list);
void detect_findings_done(struct detect_findings *list);

size_t detect_rules(const struct detect *d);
struct detect_rule_info detect_rule(const struct detect *d, size_t rule);
/* Is a rule of a class or family of that name? */
bool detect_has_class(const struct detect *d, const char *name);
/* An example of a rule: `match` says whether the rule must find something in it. NULL after the last. */
const char *detect_example(const struct detect *d, size_t rule, size_t index, bool *ret_match);

/* ---- fingerprints ---- */

#define DETECT_KEY_BYTES 32
#define DETECT_TAG_TEXT 26 /* 128 bits in base32 */

struct detect_key {
    const uint8_t *key; /* DETECT_KEY_BYTES, borrowed; of one tenant */
    uint32_t id;
};

/*
 * The tag of a value: HMAC-SHA-256(key, "v1" | class | 0 | value), cut to 128 bits, in base32. The class
 * and not the rule goes in, so a rule may be edited; separators of numbers are left out of the value.
 */
void detect_tag(char out[static DETECT_TAG_TEXT + 1], const struct detect_key *key, const char *class,
                const void *value, size_t len);

/*
 * Appends the input to `out` with "[[secret:CLASS:kID:TAG]]" in place of every finding whose rule
 * `wanted` accepts (NULL: all). In JSON the result is JSON again: inside strings, at any nesting, the
 * placeholder needs no escape; a bare number becomes a string. A scan of the result finds nothing in
 * placeholders, so a second pass changes nothing.
 */
int detect_replace(struct buf *out, const struct detect *d, struct detect_work *w, const void *p,
                   size_t len, enum detect_form form, const struct detect_findings *list,
                   const struct detect_key *key, bool (*wanted)(struct detect_rule_info, void *arg),
                   void *arg);

/* ---- for measurements ---- */

/* The regex stage alone; returns how many times it fired. */
size_t detect_regex_only(const struct detect *d, struct detect_work *w, const void *p, size_t len);

#endif
