#ifndef WRITE_DETECT_DETECT_INT_H
#define WRITE_DETECT_DETECT_INT_H
/* What the detector's files share. A "view" is text that is scanned: the input, or a decoded form. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <hs/hs.h>
#include <pcre2.h>

#include "base/buf.h"
#include "write/detect/detect.h"

/* ---- rules (rules.c) ---- */

enum rule_kind {
    RULE_PATTERN, /* a regular expression */
    RULE_ASSIGN,  /* the name says that the value is secret: KEY = "..." */
    RULE_PASSWORD,
    RULE_VENDOR, /* a service's name, a word like key, a random value */
    RULE_PLACEHOLDER,
    RULE_CARD,
    RULE_CN_ID,
    RULE_CN_MOBILE,
    RULE_PHONE,
    RULE_IBAN,
    RULE_EMAIL,
    RULE_IP,
    RULE_WALLET,
    RULE_KINDS,
};

enum rule_check {
    CHECK_NONE,
    CHECK_GITHUB,  /* CRC-32 in the last six characters; labels, never rejects */
    CHECK_JWT,     /* the header is JSON with "alg"; rejects */
    CHECK_RANDOM,  /* looks random, not like words; rejects */
    CHECK_LIKELY,  /* the same with less asked; rejects */
    CHECK_SECRET,  /* no placeholder, variable, code or word; rejects */
    CHECK_WEAK,    /* no placeholder, variable or code; rejects */
    CHECK_BASIC, /* base64 of user:password; rejects */
    CHECK_WALLET,
    CHECK_MNEMONIC,
};

struct rule_example {
    char *text;
    size_t line;
    bool match;
};

struct rule {
    char id[DETECT_ID_MAX], class[DETECT_ID_MAX];
    char family[DETECT_ID_MAX]; /* what several classes are called together; empty: none */
    enum rule_kind kind;
    enum rule_check check;
    char *pattern;
    char *find; /* what the first stage looks for: ends at the shortest match */
    char **keywords;
    size_t keywords_count;
    unsigned bits, rank;
    uint32_t before, after; /* how far a match reaches before and after what the first stage saw */
    bool personal, caseless;
    bool glued;            /* letters may stand around a match */
    bool run;              /* not for the first stage: begins where a run does */
    size_t value_run;      /* bytes of a run that every value has at least; 0: not known */
    const uint8_t *starts; /* set of the bytes that a match may begin with; NULL: not known */
    uint32_t entropy;                     /* in 1/256 bit a byte */
    struct rule_example *examples;
    size_t examples_count;
    size_t line; /* of its file */
    pcre2_code *code;
    char literal[24]; /* what every match begins with, if anything */
    size_t literal_len;
    unsigned group; /* of the expression, that holds the value */
};

struct rules {
    struct rule *list;
    size_t count, cap;
};

int rules_load(struct rules *r, const char *yaml, size_t len, char *why, size_t why_size);
int rules_load_builtin(struct rules *r, char *why, size_t why_size);
void rules_done(struct rules *r);

/* ---- the compiled detector (detect.c) ---- */

struct names;

struct detect {
    struct rules rules;
    size_t builtin_count;   /* of the rules: the rest is the user's */
    bool *muted;            /* per rule */
    hs_database_t *db[2];   /* of the built-in rules and of the user's; NULL: nothing for it to do */
    uint16_t by_kind[RULE_KINDS]; /* 1 + rule of a kind that is no expression; 0: muted */
    uint16_t *run_rules;          /* expressions that begin where runs do */
    size_t run_rules_count;
    struct names *names; /* of RULE_VENDOR; NULL: muted */
};

/* ---- the first stage (compile.c) ---- */

/* The database of the rules from `from` up to `to`; NULL in *ret: none of them has an expression. */
int compile_rules(hs_database_t **ret, const struct rules *rules, size_t from, size_t to,
                  const hs_platform_info_t *platform, char *why, size_t why_size);
/* Of the built-in rules; NULL: for this processor. */
int detect_compile_builtin(hs_database_t **ret, const hs_platform_info_t *platform, char *why,
                           size_t why_size);

struct hit {
    uint32_t id, end;
};

struct run {
    uint32_t start, end;
};

/* From offset `view` on: `made` bytes that all come from the `wide` bytes of the source at `raw`, then bytes
 * that stand one for one in the source behind them. */
struct segment {
    uint32_t view, raw;
    uint16_t wide, made;
};
#define SEGMENT_BASE64 UINT16_MAX /* `wide`: three bytes stand for four, to the next segment */

struct view {
    struct buf text;
    struct segment *segments;
    size_t count, cap;
    bool escaped; /* may there be a backslash in it? */
};

struct detect_work {
    const struct detect *d;
    hs_scratch_t *scratch; /* serves both databases */
    pcre2_match_data *match;
    pcre2_match_context *context;
    struct hit *hits;
    uint32_t *done; /* per rule: where its last finding ended; or farther, if none begins before that */
    uint32_t matches; /* how often an expression was tried */
    uint32_t *tried; /* per rule: the sign after the name that was looked at last */
    size_t hits_count, hits_cap;
    struct run *runs; /* of the view at hand, RUN_SHORT bytes and more */
    size_t runs_count, runs_cap;
    struct detect_findings found; /* of the view at hand */
    struct view views[DETECT_LEVELS];
    struct view base64, unescaped; /* unescaped: what has escapes in base64 */
    int failed;
    uint64_t time_ns, until_ns; /* of a scan; when this one gives up, 0: never */
};

/* Is the scan's time over? Then it has failed. To be asked every few hundred steps. */
bool work_is_late(struct detect_work *w);
#define LOOK_EVERY 64 /* steps that may cost some microseconds each */

/* A finding in the view at hand; `check` is an enum detect_check. */
void work_found(struct detect_work *w, size_t rule, size_t start, size_t end, uint8_t check);

/* ---- one view (scan.c) ---- */
struct text {
    const uint8_t *p;
    size_t len;
};
int scan_view(const struct detect *d, struct detect_work *w, struct text t);
/* The first stage: fills w->hits. 0 or an error. */
int scan_first_stage(const struct detect *d, struct detect_work *w, struct text t);

/* Is there a match that the first stage saw the end of at `hit`, or, of a rule with `run`, that begins
 * there? Then the finding is noted. */
void pattern_confirm(const struct detect *d, struct detect_work *w, struct text t, size_t rule,
                     size_t hit);

/* ---- what rules cost (trial.c) ---- */
/* How much longer, in percent, the scan of ordinary text takes with `one` than with `none`. */
int trial_slower(const struct detect *none, const struct detect *one, struct detect_work *w, uint64_t *ret);

/* ---- placeholders (scan.c) ---- */
#define PLACEHOLDER_OPEN "[[secret:"
#define PLACEHOLDER_MIN (9 + 3 + 1 + DETECT_TAG_TEXT + 2)                      /* a class of no letters, a key of one */
#define PLACEHOLDER_MAX (9 + DETECT_ID_MAX + 2 + 10 + 1 + DETECT_TAG_TEXT + 2) /* bytes */
/* Where the placeholder ends that begins at `at`; 0: none does. */
size_t placeholder_end(struct text t, size_t at);

/* ---- what names say about values (assign.c) ---- */
/* A word like "key" ends at `word`. */
void assign_confirm(const struct detect *d, struct detect_work *w, struct text t, size_t rule,
                    size_t word);

/* ---- long stretches of letters and digits (runs.c) ---- */
#define RUN_SHORT 12 /* 8 to 16 */
#define RUN_NOTED 16 /* without a digit no shorter value is likely; such runs are left out */
struct names;
int names_new(struct names **ret, const struct rule *rule);
void names_free(struct names *n);
/* Finds the runs of a text, and looks at people's data on the same way. */
void runs_find(const struct detect *d, struct detect_work *w, struct text t);
/* Does a run of `len` bytes reach into [from, to)? */
bool runs_have(const struct detect_work *w, size_t from, size_t to, size_t len);
void runs_scan(const struct detect *d, struct detect_work *w, struct text t);

/* ---- people's data (personal.c) ---- */
struct person {
    const struct detect *d;
    struct detect_work *w;
    struct text t;
    size_t done; /* bytes before this were looked at */
};
/* The first digit of a number; bit i of `digits`: is the i-th byte from it a digit? */
void personal_number(struct person *s, size_t start, uint64_t digits);
void personal_sign(struct person *s, size_t sign); /* an @ */
void personal_colon(struct person *s, size_t colon);

/* ---- values (value.c) ---- */
#define WORDS_EACH 16 /* words that begin with the same character, in a set of words */
bool value_has_any(const char *const words[128][WORDS_EACH], const uint8_t *p, size_t len);
uint32_t value_entropy(const uint8_t *p, size_t len); /* 1/256 bit a byte */
bool value_is_placeholder(const uint8_t *p, size_t len);
/* The least of it: is a part of the value nothing but x, zeros, dots or stars? */
bool value_is_filler(const uint8_t *p, size_t len);
bool value_is_random(const uint8_t *p, size_t len);
/* The same with less asked, for where the surroundings say clearly that a secret stands there. */
bool value_is_likely(const uint8_t *p, size_t len);
bool value_is_password(const uint8_t *p, size_t len, bool quoted);
bool value_is_file(const uint8_t *p, size_t len);
/* "abcdefg", "a1b2c3d4": what people type where a secret is to stand. */
bool value_is_sequence(const uint8_t *p, size_t len);
/* A name in code, with a number in it: "Uint8Array", "crypto_box_curve25519". */
bool value_is_name(const uint8_t *p, size_t len);
/* May it be a password at all, however weak? */
bool value_is_weak(const uint8_t *p, size_t len);

/* ---- checks (validators.c) ---- */
bool check_luhn(const uint8_t *digits, size_t len);
bool check_card(const uint8_t *digits, size_t len);
bool check_cn_id(const uint8_t *p); /* 18 characters */
bool check_iban(const uint8_t *p, size_t len);
bool check_github(const uint8_t *p, size_t len);
bool check_jwt(const uint8_t *p, size_t len);
bool check_basic(const uint8_t *p, size_t len);
/* 12, 15, 18, 21 or 24 different words, a few repeated at most. */
bool check_mnemonic(const uint8_t *p, size_t len);
bool check_base58(const uint8_t *p, size_t len);
bool check_bech32(const uint8_t *p, size_t len);
/* Base64 of either alphabet, padding allowed; the number of bytes, or -1. */
long check_base64(uint8_t *out, size_t size, const uint8_t *p, size_t len);

/* ---- views (decode.c) ---- */
/* What stands between parts of a view that are apart in its source. */
#define VIEW_GAP "\0\0\0\0"
#define VIEW_GAP_BYTES 4
void view_wipe(struct view *v);
/* Decodes escapes and folds characters of `t`. `parts`: only around them; `deep`: `t` is a view itself.
 * The view is empty if nothing had to be decoded. */
int view_decode(struct view *v, struct text t, bool parts, bool deep);
/* Decoded base64 of the runs in `t`, as far as it is text. */
int view_base64(struct view *v, struct text t, const struct run *runs, size_t count);
/* The bytes of the source that view bytes [start, end) come from. */
void view_source(const struct view *v, size_t start, size_t end, size_t *ret_start, size_t *ret_end);

/* How many bits are set. Not every processor counts them itself. */
static inline unsigned bits_count(uint64_t x) {
    x -= x >> 1 & 0x5555555555555555;
    x = (x & 0x3333333333333333) + (x >> 2 & 0x3333333333333333);
    return (unsigned)(((x + (x >> 4)) & 0x0f0f0f0f0f0f0f0f) * 0x0101010101010101 >> 56);
}

static inline bool is_digit(uint8_t c) {
    return c >= '0' && c <= '9';
}
static inline bool is_upper(uint8_t c) {
    return c >= 'A' && c <= 'Z';
}
static inline bool is_lower(uint8_t c) {
    return c >= 'a' && c <= 'z';
}
static inline bool is_alpha(uint8_t c) {
    return is_upper(c) || is_lower(c);
}
static inline bool is_alnum(uint8_t c) {
    return is_alpha(c) || is_digit(c);
}
static inline bool is_space(uint8_t c) {
    return c == ' ' || (c >= 9 && c <= 13);
}
static inline bool is_word(uint8_t c) {
    return is_alnum(c) || c == '_';
}

#endif
