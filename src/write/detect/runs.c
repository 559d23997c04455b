/*
 * Runs: stretches of letters, digits and the signs of base64 that are longer than words are. Text has
 * few of them and secrets are made of them, so what has no good literal to look for starts here: forms
 * without one (rules with `run`), wallets, and keys of services that only a name nearby tells.
 *
 * A service's key is: its name, a word like "key" or a sign of assignment, and at most a few words later
 * something random. Hundreds of names in the first stage would halve its speed; here they cost nothing
 * until a random value stands there. Names are found by the three letters that they begin with.
 */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "write/detect/detect_int.h"
#include "write/detect/sift.h"

#define RUN_RULE_MIN 24
#define RUN_RULE_MAX 8192 /* a JWT's header and body are runs; images are longer */
#define PARTS_MAX 64      /* between slashes of a run */
#define VALUE_MAX 4096    /* bytes of a service's key */
#define REACH 110         /* from a service's name to its key */
#define WORDS 5           /* other words between them */
#define BUCKETS 4096

/* ---- the names ---- */

static uint8_t lower(uint8_t c) {
    return is_upper(c) ? (uint8_t)(c | 0x20) : c;
}

static unsigned bucket_of(const uint8_t *p) {
    return (lower(p[0]) * 961u + lower(p[1]) * 31u + lower(p[2])) % BUCKETS;
}

struct names {
    const char **list; /* sorted by bucket, longer ones first */
    uint16_t first[BUCKETS + 1];
};

static const char *plain(const char *name) {
    return name[0] == '~' ? name + 1 : name;
}

static int by_bucket(const void *a, const void *b) {
    const char *x = plain(*(const char *const *)a), *y = plain(*(const char *const *)b);
    unsigned bx = bucket_of((const uint8_t *)x), by = bucket_of((const uint8_t *)y);
    if (bx != by)
        return bx < by ? -1 : 1;
    return strlen(x) > strlen(y) ? -1 : strlen(x) < strlen(y);
}

int names_new(struct names **ret, const struct rule *rule) {
    struct names *n = calloc(1, sizeof *n);
    if (!n || !(n->list = calloc(rule->keywords_count + 1, sizeof *n->list))) {
        free(n);
        return ERR_NOMEM;
    }
    for (size_t i = 0; i < rule->keywords_count; i++)
        n->list[i] = rule->keywords[i];
    qsort(n->list, rule->keywords_count, sizeof *n->list, by_bucket);
    size_t at = 0;
    for (unsigned b = 0; b <= BUCKETS; b++) {
        while (at < rule->keywords_count && bucket_of((const uint8_t *)plain(n->list[at])) < b)
            at++;
        n->first[b] = (uint16_t)at;
    }
    n->first[BUCKETS] = (uint16_t)rule->keywords_count;
    *ret = n;
    return 0;
}

void names_free(struct names *n) {
    if (n)
        free(n->list);
    free(n);
}

static bool starts_word(const uint8_t *p, size_t len, const char *word) {
    for (size_t i = 0; word[i]; i++)
        if (i >= len || lower(p[i]) != (uint8_t)word[i])
            return false;
    return true;
}

/* The longest name that stands at `p`; NULL: none. */
static const char *name_at(const struct names *n, const uint8_t *p, size_t len) {
    if (len < 3)
        return NULL;
    unsigned b = bucket_of(p);
    for (size_t i = n->first[b]; i < n->first[b + 1]; i++)
        if (starts_word(p, len, plain(n->list[i])))
            return n->list[i];
    return NULL;
}

/* ---- what stands between a name and a value ---- */

/* The first ten say that something is secret; the others only go along with them. */
static const char *const key_words[] = {"secret", "private", "access",  "token", "api",     "key",
                                        "auth",   "pat",     "password", "pass", "client",  "app",
                                        "license", "bearer", "service", "account", "oauth", "project",
                                        "user",   "live",    "test",    "id",    "basic",   "code"};
#define SAYING 10

static bool is_token_char(uint8_t c) {
    static const bool signs[256] = {['_'] = true, ['-'] = true, ['.'] = true, ['+'] = true, ['/'] = true,
                                    ['='] = true, ['~'] = true, ['%'] = true, ['!'] = true, ['@'] = true};
    return is_alnum(c) || signs[c];
}

struct between {
    bool said, sign;
    size_t words;
};

static bool starts_key_word(const uint8_t *p, size_t len) {
    for (size_t k = 0; k < SAYING; k++)
        if (starts_word(p, len, key_words[k]))
            return true;
    return false;
}

/* How much of the beginning is words like "secret" and signs between them. */
static size_t skip_key_words(const uint8_t *p, size_t len, struct between *b) {
    size_t at = 0;
    while (at < len && at < 4 && is_digit(p[at]))
        at++; /* of the name: "name123_key" */
    if (at == len || is_digit(p[at]) || !is_alpha(p[at]) || !starts_key_word(p + at, len - at))
        at = 0;
    for (bool more = true; more;) {
        more = false;
        while (at < len && strchr("_-=.:", p[at])) {
            b->sign = b->sign || p[at] == '=' || p[at] == ':';
            at++;
        }
        for (size_t k = 0; !more && k < sizeof key_words / sizeof key_words[0]; k++) {
            size_t n = strlen(key_words[k]);
            /* Only a whole word: small letters after it that are no further such word are the value. */
            if (starts_word(p + at, len - at, key_words[k]) &&
                (k < SAYING || at + n == len || !is_alnum(p[at + n]) || is_upper(p[at + n]))) {
                at += n;
                b->said = b->said || k < SAYING;
                more = true;
            }
        }
    }
    return at;
}

/* Reads on from a name's end to the value at `value`; false when too much is between them. A placeholder is one
 * word, as what it stands for is: not the names and signs in it. */
static bool read_between(struct text t, size_t at, size_t value, struct between *b) {
    *b = (struct between){0};
    while (at < value) {
        uint8_t c = t.p[at];
        size_t behind = c == '[' ? placeholder_end(t, at) : 0;
        if (behind && ++b->words > WORDS)
            return false;
        if (behind) {
            at = behind;
            continue;
        }
        if (!is_token_char(c) || c == '=') {
            b->sign = b->sign || c == ':' || c == '=';
            at++;
            continue;
        }
        size_t from = at;
        while (at < value && is_token_char(t.p[at]) && t.p[at] != '=')
            at++;
        size_t skipped = skip_key_words(t.p + from, at - from, b);
        if (skipped < at - from && ++b->words > WORDS)
            return false;
    }
    return true;
}

/* ---- a service's key ---- */

/* Paths, hosts and file names have signs that keys have as well. */
static bool is_address(const uint8_t *p, size_t len) {
    size_t ending = 0;
    while (ending < len && ending < 5 && is_lower(p[len - 1 - ending]))
        ending++;
    if (ending && ending < 5 && ending < len && p[len - 1 - ending] == '.')
        return true;
    return p[0] == '/' || p[0] == '.' || memmem(p, len, "//", 2) || memmem(p, len, ".com", 4) ||
           memchr(p, '@', len) || memmem(p, len, ".io", 3);
}

#define NAME_HASH 60 /* bytes of a stretch that is no name nor a path any more, but a hash or the like */

/* Does `at` stand in the middle of something random? In base64 short names occur by chance. */
static bool is_in_hash(struct text t, size_t at) {
    size_t start = at, end = at;
    while (start > 0 && at - start < NAME_HASH && (is_alnum(t.p[start - 1]) || t.p[start - 1] == '+' || t.p[start - 1] == '/'))
        start--;
    while (end < t.len && end - at < NAME_HASH && (is_alnum(t.p[end]) || t.p[end] == '+' || t.p[end] == '/'))
        end++;
    return end - start >= NAME_HASH;
}

/* Where the placeholder begins that ends at `end`; `end`: none does. */
static size_t placeholder_start(struct text t, size_t end) {
    size_t low = end > PLACEHOLDER_MAX ? end - PLACEHOLDER_MAX : 0;
    bool closed = end > 2 && t.p[end - 1] == ']' && t.p[end - 2] == ']' && is_alnum(t.p[end - 3]);
    for (size_t at = end; closed && at-- > low;)
        if (t.p[at] == '[' && placeholder_end(t, at) == end)
            return at;
    return end;
}

/* The nearest name before `value`, if what stands between them makes the value its key. */
static bool is_named(const struct names *names, struct text t, size_t value, size_t len) {
    struct between b;
    size_t low = value > REACH ? value - REACH : 0;
    for (size_t at = value; at > low;) {
        size_t before = placeholder_start(t, at);
        if (before < at) {
            at = before; /* no name of anything: a class */
            continue;
        }
        at--;
        bool start = is_alpha(t.p[at]) &&
                     (at == 0 || !is_alpha(t.p[at - 1]) || (is_upper(t.p[at]) && is_lower(t.p[at - 1])));
        const char *name = start ? name_at(names, t.p + at, value - at) : NULL;
        if (!name || is_in_hash(t, at))
            continue;
        size_t end = at + strlen(plain(name));
        bool common = name[0] == '~';
        bool inside = end < value && is_lower(t.p[end]) && is_lower(t.p[end - 1]) &&
                      !skip_key_words(t.p + end, value - end, &b);
        if (!read_between(t, end, value, &b))
            return false;
        if (inside && (common || b.words > 0))
            continue; /* "floating", "columns" */
        bool told = b.words == 0 ? b.said || b.sign || !common
                                 : b.said || (!common && (b.sign || (b.words == 1 && value - end < 5)));
        bool clear = b.words == 0 && (b.said || (b.sign && !common));
        if (told && (clear ? value_is_likely : value_is_random)(t.p + value, len))
            return true;
    }
    return false;
}

/* Most runs are long words. Without a digit, and with few capitals, no value this short is likely; so says
 * value.c as well, but it takes the value apart for it. */
static bool is_word_run(const uint8_t *p, size_t len) {
    size_t upper = 0;
    if (len >= 20)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (is_digit(p[i]))
            return false;
        upper += is_upper(p[i]);
    }
    return upper * 3 < len;
}

/* "checksum: ...", "rev": "...": what tells one state of a package from another, by the word before the value. */
static bool is_hash(struct text t, size_t value) {
    static const char *const words[] = {"checksum", "integrity", "revision", "rev", "hash", "sha", "shasum", "sha1",
                                        "sha256", "sha512", "md5", "digest", "reference", "commit", "etag"};
    size_t end = value, start;
    while (end > 0 && value - end < 8 && !is_alnum(t.p[end - 1]))
        end--;
    for (start = end; start > 0 && end - start < 16 && is_alnum(t.p[start - 1]);)
        start--;
    for (size_t i = 0; end < value && i < sizeof words / sizeof words[0]; i++)
        if (strlen(words[i]) == end - start && starts_word(t.p + start, end - start, words[i]))
            return true;
    return end - start > 4 && starts_word(t.p + end - 4, 4, "hash");
}

/* The token around a run, without the words like "secret" that are glued to its front. */
static void find_service_key(const struct detect *d, struct detect_work *w, struct text t, size_t start,
                             size_t end) {
    struct between b = {0};
    if (is_word_run(t.p + start, end - start) || !value_is_likely(t.p + start, end - start))
        return;
    size_t low = start > 256 ? start - 256 : 0, high = t.len - end > VALUE_MAX ? end + VALUE_MAX : t.len;
    while (start > low && is_token_char(t.p[start - 1]))
        start--;
    while (end < high && is_token_char(t.p[end]))
        end++;
    if (end - start > 8 && starts_word(t.p + start, end - start, "sha") && is_digit(t.p[start + 3]) &&
        memchr(t.p + start, '-', 8))
        return; /* sha512-...: the integrity of a package, as lock files have it, */
    if ((start >= 3 && memcmp(t.p + start - 3, "h1:", 3) == 0) || is_hash(t, start))
        return; /* and as others do */
    if (end - start > 6 && t.p[start] == 'v' && is_digit(t.p[start + 1]) && t.p[start + 2] == '.')
        return; /* a version, as Go names those between two */
    /* NAME=VALUE is one stretch; the value begins after the sign. */
    const uint8_t *equals = memchr(t.p + start, '=', end - start);
    if (equals && equals + 3 < t.p + end && is_alnum(equals[1]) &&
        !value_is_likely(t.p + start, (size_t)(equals - t.p) - start))
        start = (size_t)(equals - t.p) + 1;
    while (end > start && strchr(".!,", t.p[end - 1]))
        end--;
    /* name_secret-VALUE as well: try behind the last word that says so. */
    size_t value = start;
    const char *name = name_at(d->names, t.p + start, end - start);
    size_t behind = name ? start + strlen(plain(name)) : start;
    if (behind > start && behind + 8 < end)
        value = behind + skip_key_words(t.p + behind, end - behind, &b);
    for (size_t at = start; at + 8 < end; at++) {
        if (at > start && is_alpha(t.p[at - 1]) && !(is_upper(t.p[at]) && is_lower(t.p[at - 1])))
            continue;
        b = (struct between){0};
        size_t skipped = skip_key_words(t.p + at, end - at, &b);
        if (skipped && b.said)
            value = at + skipped;
        if (at - start > 64)
            break;
    }
    /* Words like "key" may stand in the value itself by chance: then it is tried whole. */
    for (size_t tries = 0; tries < 2; tries++, value = start) {
        size_t len = end - value;
        if (end > value && len >= 10 && len <= VALUE_MAX && !is_address(t.p + value, len) &&
            !value_is_placeholder(t.p + value, len) && !value_is_name(t.p + value, len) &&
            is_named(d->names, t, value, len)) {
            work_found(w, d->by_kind[RULE_VENDOR] - 1u, value, end, DETECT_UNCHECKED);
            return;
        }
        if (value == start)
            return;
    }
}

/* ---- all runs ---- */

static void try_rules(const struct detect *d, struct detect_work *w, struct text t, size_t start) {
    for (size_t i = 0; i < d->run_rules_count; i++) {
        const struct rule *rule = &d->rules.list[d->run_rules[i]];
        if (!rule->starts || rule->starts[t.p[start] / 8] >> (t.p[start] % 8) & 1)
            pattern_confirm(d, w, t, d->run_rules[i], start);
    }
}

/* At the run's start, and, as addresses of pages are runs as well, behind the slashes in it. */
static void try_parts(const struct detect *d, struct detect_work *w, struct text t, size_t start, size_t end) {
    const uint8_t *slash;
    for (size_t tries = 0; tries < PARTS_MAX && end - start >= RUN_RULE_MIN; tries++) {
        try_rules(d, w, t, start);
        if (!(slash = memchr(t.p + start, '/', end - start)))
            break;
        start = (size_t)(slash - t.p) + 1;
    }
}

static bool note_run(struct detect_work *w, size_t start, size_t end) {
    if (w->runs_count == w->runs_cap) {
        size_t cap = w->runs_cap ? w->runs_cap * 2 : 256;
        struct run *more = realloc(w->runs, cap * sizeof *more);
        if (!more) {
            w->failed = ERR_NOMEM;
            return false;
        }
        w->runs = more;
        w->runs_cap = cap;
    }
    w->runs[w->runs_count++] = (struct run){(uint32_t)start, (uint32_t)end};
    return true;
}

#define CHUNK 64 /* blocks whose masks are made at a time */

/* The masks of a text from `at` on, with one block more than is returned; it is empty behind the end. */
static size_t sift_text(struct sift out[CHUNK + 1], struct text t, size_t at) {
    uint8_t last[SIFT_BLOCK] = {0};
    size_t n = (t.len - at) / SIFT_BLOCK, rest = (t.len - at) % SIFT_BLOCK;
    sift_classes(out, t.p + at, n > CHUNK ? CHUNK + 1 : n);
    if (n > CHUNK)
        return CHUNK;
    if (rest) {
        memcpy(last, t.p + at + n * SIFT_BLOCK, rest);
        sift_classes(out + n++, last, 1);
        explicit_bzero(last, sizeof last);
    }
    if (n > CHUNK)
        return CHUNK;
    out[n] = (struct sift){0};
    return n;
}

/* Bits of two neighbours from bit `from` (1 to 63) of the first one on. */
static inline uint64_t window(uint64_t bits, uint64_t next, unsigned from) {
    return bits >> from | next << (SIFT_BLOCK - from);
}

/* Where a run of RUN_SHORT bytes and more goes on for as many at least: a bit for each byte of the first block. */
static inline uint64_t long_runs(uint64_t bits, uint64_t next) {
    /* two, four, eight and at last RUN_SHORT set bits from each one on; of the second block as many as matter */
    bits &= window(bits, next, 1);
    next &= next >> 1;
    bits &= window(bits, next, 2);
    next &= next >> 2;
    uint64_t four = bits, more = next;
    bits &= window(bits, next, 4);
    return bits & window(four, more, RUN_SHORT - 4);
}

static bool is_run_char(uint8_t c) {
    static const bool signs[256] = {['+'] = true, ['-'] = true, ['/'] = true, ['_'] = true};
    return is_alnum(c) || signs[c];
}

/* The end of a run that begins in block `at`, of which `n` are sifted. */
static size_t run_end(const struct sift *s, size_t n, struct text t, size_t from, size_t start) {
    size_t block = (start - from) / SIFT_BLOCK, bit = (start - from) % SIFT_BLOCK;
    for (; block < n; block++, bit = 0) {
        uint64_t gaps = ~s[block].run >> bit << bit;
        if (gaps)
            return from + block * SIFT_BLOCK + (size_t)__builtin_ctzll(gaps);
    }
    size_t end = from + n * SIFT_BLOCK;
    while (end < t.len && is_run_char(t.p[end]))
        end++;
    return end;
}

/* Has a run of less than a block, that begins at `bit` of the first of two, a digit? */
static bool has_digit(const struct sift s[2], size_t bit, size_t len) {
    uint64_t digits = bit ? window(s[0].digits, s[1].digits, (unsigned)bit) : s[0].digits;
    return digits & (((uint64_t)1 << len) - 1);
}

/* Is one of the five bytes behind a byte of the set? */
static inline uint64_t is_near(uint64_t bits, uint64_t next) {
    uint64_t one = window(bits, next, 1) | window(bits, next, 2), three = window(bits, next, 3) | window(bits, next, 4);
    return one | three | window(bits, next, 5);
}

#define MANY_DIGITS 8 /* that numbers without dots or a plus have at least */

/*
 * Where people's data may begin in the first of two blocks. `before`: the masks of the one before them; `digits`: of
 * both. Without branches, as what stands in a text cannot be foreseen; nearly always there is nothing.
 */
static inline uint64_t people_places(const struct sift s[2], const struct sift *before, unsigned digits) {
    const unsigned last = SIFT_BLOCK - 1;
    uint64_t first = s[0].digits & ~(s[0].digits << 1 | before->digits >> last);
    uint64_t dots = s[0].dots & (s[0].digits << 1 | 1) & window(s[0].digits, s[1].digits, 1);
    uint64_t two = dots & (window(dots, s[1].dots, 2) | window(dots, s[1].dots, 3) | window(dots, s[1].dots, 4));
    /* before two dots, of which the first may be of the next block; behind a plus; two digits of many */
    uint64_t numbers = two >> 1 | two >> 2 | two >> 3 | (s[1].dots & 7 ? (uint64_t)7 << (SIFT_BLOCK - 3) : 0);
    numbers |= s[0].pluses << 1 | before->pluses >> last;
    numbers |= digits >= MANY_DIGITS ? window(s[0].digits, s[1].digits, 1) : 0;
    /* the first of three colons, of which each has the next near by */
    uint64_t pairs = s[0].colons & is_near(s[0].colons, s[1].colons);
    if (pairs)
        pairs = s[0].colons & is_near(pairs, s[1].colons);
    return (first & numbers) | s[0].signs | pairs;
}

/* Looks at these places, which begin at `at`. */
static void look_at_people(struct person *person, const struct sift s[2], size_t at, uint64_t places) {
    for (; places; places &= places - 1) {
        unsigned i = (unsigned)__builtin_ctzll(places);
        if (s[0].digits >> i & 1)
            personal_number(person, at + i, i ? window(s[0].digits, s[1].digits, i) : s[0].digits);
        else if (s[0].signs >> i & 1)
            personal_sign(person, at + i);
        else
            personal_colon(person, at + i);
    }
}

void runs_find(const struct detect *d, struct detect_work *w, struct text t) {
    struct person person = {d, w, t, 0};
    struct sift sifted[CHUNK + 1], last = {0};
    uint64_t going = 0; /* does a run reach into the block? */
    unsigned digits, next; /* of a block, and of the next one */
    size_t n;
    w->runs_count = 0;
    for (size_t from = 0; from < t.len && !w->failed; from += n * SIFT_BLOCK) {
        n = sift_text(sifted, t, from);
        next = bits_count(sifted[0].digits);
        for (size_t i = 0; i < n; i++) {
            const struct sift *s = &sifted[i];
            size_t at = from + i * SIFT_BLOCK;
            uint64_t runs = long_runs(s[0].run, s[1].run);
            for (uint64_t starts = runs & ~(runs << 1 | going); starts; starts &= starts - 1) {
                size_t start = at + (size_t)__builtin_ctzll(starts), end = run_end(sifted, n, t, from, start);
                if (end - start >= RUN_NOTED || has_digit(s, start - at, end - start))
                    note_run(w, start, end);
            }
            going = runs >> (SIFT_BLOCK - 1);
            digits = next;
            next = bits_count(s[1].digits);
            uint64_t places = people_places(s, i ? s - 1 : &last, digits + next);
            if (places)
                look_at_people(&person, s, at, places);
        }
        last = sifted[n - 1];
    }
}

bool runs_have(const struct detect_work *w, size_t from, size_t to, size_t len) {
    size_t low = 0, high = w->runs_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (w->runs[middle].end <= from)
            low = middle + 1;
        else
            high = middle;
    }
    while (low < w->runs_count && w->runs[low].start < to && w->runs[low].end - w->runs[low].start < len)
        low++;
    return low < w->runs_count && w->runs[low].start < to;
}

void runs_scan(const struct detect *d, struct detect_work *w, struct text t) {
    bool vendor = d->by_kind[RULE_VENDOR] != 0, wallet = d->by_kind[RULE_WALLET] != 0;
    for (size_t i = 0; i < w->runs_count && !w->failed; i++) {
        if (i % LOOK_EVERY == 0 && work_is_late(w))
            break;
        size_t at = w->runs[i].start, end = w->runs[i].end, len = end - at;
        if (len > RUN_RULE_MAX)
            continue;
        try_parts(d, w, t, at, end);
        if (wallet && len >= 26 && len <= 35 && strchr("13T", t.p[at]) && check_base58(t.p + at, len))
            work_found(w, d->by_kind[RULE_WALLET] - 1u, at, end, DETECT_CHECKED);
        if (vendor)
            find_service_key(d, w, t, at, end);
    }
}
