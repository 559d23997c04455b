/*
 * Does a value look like a secret? Random texts mix digits and letters, or cases, in ways that words do
 * not; names, paths, versions and code are made of words. No dictionary: parts of a value between
 * signs are judged by their make-up alone.
 */
#include <string.h>

#include "write/detect/detect_int.h"

#define VALUE_MAX 4096

/* log2(x) in 1/256, linear between powers of two: at most 0.09 bit too low. */
static uint32_t log2_256(uint32_t x) {
    uint32_t whole = 31u - (uint32_t)__builtin_clz(x);
    return whole * 256 + ((x - (1u << whole)) * 256 >> whole);
}

uint32_t value_entropy(const uint8_t *p, size_t len) {
    uint16_t counts[256] = {0};
    uint64_t sum = 0;
    if (len > VALUE_MAX)
        len = VALUE_MAX;
    for (size_t i = 0; i < len; i++)
        counts[p[i]]++;
    for (size_t i = 0; i < len; i++) {
        uint32_t c = counts[p[i]];
        if (c)
            sum += (uint64_t)c * log2_256(c);
        counts[p[i]] = 0;
    }
    return len ? log2_256((uint32_t)len) - (uint32_t)(sum / len) : 0;
}

static uint8_t lower(uint8_t c) {
    return is_upper(c) ? (uint8_t)(c | 0x20) : c;
}

static bool has_word(const uint8_t *p, size_t len, const char *word) {
    size_t n = strlen(word);
    for (size_t i = 0; i + n <= len; i++) {
        size_t k = 0;
        while (k < n && lower(p[i + k]) == (uint8_t)word[k])
            k++;
        if (k == n)
            return true;
    }
    return false;
}

/* Is one of the words in the value? They lie by their first character, so most bytes cost one look. */
bool value_has_any(const char *const words[128][WORDS_EACH], const uint8_t *p, size_t len) {
    for (size_t i = 0; i < len; i++) {
        uint8_t c = lower(p[i]);
        if (c >= 128 || !words[c][0])
            continue;
        for (size_t k = 0; k < WORDS_EACH && words[c][k]; k++) {
            const char *word = words[c][k];
            size_t n = 1;
            while (word[n] && i + n < len && lower(p[i + n]) == (uint8_t)word[n])
                n++;
            if (!word[n])
                return true;
        }
    }
    return false;
}

static bool ends_with(const uint8_t *p, size_t len, const char *word) {
    size_t n = strlen(word);
    return len >= n && has_word(p + len - n, n, word);
}

static size_t distinct(const uint8_t *p, size_t len) {
    bool seen[256] = {false};
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        n += !seen[p[i]];
        seen[p[i]] = true;
    }
    return n;
}

static const char *const fillers[128][WORDS_EACH] = {
    ['*'] = {"*****"}, ['.'] = {"....."}, ['0'] = {"0000000000"}, ['x'] = {"xxxxx"},
};

bool value_is_filler(const uint8_t *p, size_t len) {
    return value_has_any(fillers, p, len);
}

static const char *const placeholders[128][WORDS_EACH] = {
    ['$'] = {"${"}, ['%'] = {"%s"}, ['*'] = {"****"}, ['-'] = {"-here"}, ['.'] = {"...."},
    ['0'] = {"00000000"}, ['<'] = {"<your"}, ['_'] = {"_here", "____"},
    ['c'] = {"changeme", "change_me", "change-me"}, ['i'] = {"insert_"}, ['p'] = {"placeholder"},
    ['r'] = {"redacted", "replace_", "replaceme"}, ['x'] = {"xxxx"},
    ['y'] = {"your_", "your-", "yourapi", "yourkey", "yoursecret", "yourtoken", "yourpass"},
    ['{'] = {"{{"},
};

bool value_is_placeholder(const uint8_t *p, size_t len) {
    return ends_with(p, len, "example") || ends_with(p, len, "examplekey") ||
           value_has_any(placeholders, p, len) || distinct(p, len) < 4;
}

/* One part between signs: letters that can be read, a number, or a word with a short number. */
static bool is_wordy(const uint8_t *p, size_t len) {
    size_t digits = 0, vowels = 0, letters = 0, run = 0, run_max = 0, changes = 0, humps = 0,
           hump = 0, hump_max = 0, shouts = 0;
    for (size_t i = 0; i < len; i++) {
        changes += i > 0 && is_digit(p[i]) != is_digit(p[i - 1]);
        if (is_digit(p[i])) {
            digits++;
            continue;
        }
        uint8_t c = lower(p[i]);
        letters++;
        bool begins = i > 0 && is_upper(p[i]) && !is_upper(p[i - 1]);
        humps += begins;
        hump = begins ? 1 : hump + 1;
        /* "ABCdefGHI": words have one capital, or are an abbreviation once. */
        shouts += i > 2 && is_lower(p[i]) && is_upper(p[i - 1]) && is_upper(p[i - 2]) && is_upper(p[i - 3]);
        if (hump > hump_max)
            hump_max = hump;
        if (c == 'a' || c == 'e' || c == 'i' || c == 'o' || c == 'u' || c == 'y') {
            vowels++;
            run = 0;
        } else if (++run > run_max) {
            run_max = run;
        }
    }
    if (!letters)
        return len < 9;
    if (letters < 4 && digits < 4)
        return changes < 2;
    if (digits > 4 || changes > 1)
        return false;
    return vowels * 6 >= letters && run_max < 6 && hump_max < 20 && shouts < 2 &&
           letters > humps * 5;
}

static bool is_uuid(const uint8_t *p, size_t len) {
    if (len != 36)
        return false;
    for (size_t i = 0; i < len; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? p[i] != '-' : !is_alnum(p[i]))
            return false;
    }
    return distinct(p, len) > 4;
}

static bool is_sign(uint8_t c) {
    static const bool signs[256] = {['+'] = true, ['/'] = true, ['='] = true, ['_'] = true, ['.'] = true,
                                    ['-'] = true, ['~'] = true, [':'] = true, ['%'] = true, ['!'] = true,
                                    ['@'] = true, ['#'] = true, ['$'] = true, ['^'] = true, ['&'] = true,
                                    ['*'] = true, ['?'] = true, [','] = true};
    return signs[c];
}

/* How a value divides: bytes of readable parts and of others, and what characters there are. */
struct make_up {
    size_t digits, letters, upper, odd, plain;
    size_t parts, mixed; /* mixed: of letters and digits */
};

static bool take_apart(const uint8_t *p, size_t len, struct make_up *m) {
    size_t part = 0;
    *m = (struct make_up){0};
    for (size_t i = 0; i <= len; i++) {
        if (i < len && is_alnum(p[i])) {
            m->digits += is_digit(p[i]);
            m->letters += is_alpha(p[i]);
            m->upper += is_upper(p[i]);
            continue;
        }
        if (i < len && !is_sign(p[i]))
            return false;
        bool mixed = false;
        for (size_t k = part + 1; k < i; k++)
            mixed = mixed || is_digit(p[k]) != is_digit(p[k - 1]);
        m->mixed += mixed;
        m->parts++;
        if (i > part && is_wordy(p + part, i - part))
            m->plain += i - part;
        else
            m->odd += i - part;
        part = i + 1;
    }
    return true;
}

/* A value that is looked at: what is costly to know is asked once. */
struct look {
    struct make_up m;
    uint32_t entropy;
    bool apart; /* could be taken apart */
};

static struct look look_at(const uint8_t *p, size_t len) {
    struct look l = {.entropy = value_entropy(p, len)};
    l.apart = take_apart(p, len, &l.m);
    return l;
}

static bool looks_random(const uint8_t *p, size_t len, const struct look *l) {
    const struct make_up *m = &l->m;
    if (is_uuid(p, len))
        return true;
    if (distinct(p, len) * 5 < (len < 40 ? len : 40) || !l->apart || m->odd < 8 || m->odd < m->plain)
        return false;
    /* Without digits: half of the letters are capitals, as names in code never have them; or a long
     * single stretch that cannot be read. */
    if (!m->digits && m->upper * 3 < m->letters)
        return m->upper == 0 && m->parts == 1 && len >= 24 && l->entropy > 3 * 256;
    if (m->letters < 2 || (!m->digits && (m->upper * 4 > m->letters * 3 || len < 16)))
        return false;
    return l->entropy >= (len < 16 ? 26 : 28) * 256u / 10;
}

bool value_is_random(const uint8_t *p, size_t len) {
    if (len < 8 || len > VALUE_MAX)
        return false;
    const struct look l = look_at(p, len);
    return looks_random(p, len, &l);
}

bool value_is_likely(const uint8_t *p, size_t len) {
    if (len < 8 || len > VALUE_MAX)
        return false;
    const struct look l = look_at(p, len);
    const struct make_up *m = &l.m;
    if (looks_random(p, len, &l))
        return true;
    if (!l.apart || l.entropy < 7 * 256 / 4)
        return false;
    if (m->digits && m->letters)
        return m->mixed > 1 || (m->parts > 3 && m->digits > 9) || (m->odd * 2 >= m->plain && m->odd > 4);
    return m->digits ? m->digits >= 16 : m->odd >= 20;
}

#define SEQUENCE 6 /* characters that follow on the one before them, or on the one before that */

static bool follows(uint8_t a, uint8_t b) {
    return is_digit(a) ? b == (a == '9' ? '0' : a + 1) : is_alpha(a) && is_alpha(b) && lower(b) == lower(a) + 1;
}

bool value_is_sequence(const uint8_t *p, size_t len) {
    size_t letters = 0, pairs = 0;
    for (size_t i = 1; i < len; i++) {
        letters = is_alpha(p[i]) && follows(p[i - 1], p[i]) ? letters + 1 : 0;
        pairs = i > 1 && follows(p[i - 2], p[i]) ? pairs + 1 : 0;
        if (letters >= SEQUENCE || pairs >= SEQUENCE)
            return true;
    }
    return false;
}

/* Does a word begin at a letter? At capitals: "XMLHttpRequest" has three. */
static bool begins_word(const uint8_t *p, size_t len, size_t i) {
    return i > 0 && is_upper(p[i]) && (is_lower(p[i - 1]) || (is_upper(p[i - 1]) && i + 1 < len && is_lower(p[i + 1])));
}

static bool is_vowel(uint8_t c) {
    return strchr("aeiouy", lower(c)) != NULL;
}

/* A word that can be spoken, of three letters at least. */
static bool is_spoken(const uint8_t *p, size_t len) {
    size_t vowels = 0, run = 0, run_max = 0;
    for (size_t i = 0; i < len; i++) {
        vowels += is_vowel(p[i]);
        run = is_vowel(p[i]) ? 0 : run + 1;
        run_max = run > run_max ? run : run_max;
    }
    return len > 2 && vowels && run_max < 5;
}

#define NAME_LENGTH 56

/* Nearly all letters stand in words; in random text capitals come too often for that. Small letters alone could be
 * either. */
bool value_is_name(const uint8_t *p, size_t len) {
    size_t letters = 0, capitals = 0, digits = 0, numbers = 0, vowels = 0, spoken = 0, word = 0;
    for (size_t i = 0; i <= len && len <= NAME_LENGTH; i++) {
        bool letter = i < len && is_alpha(p[i]);
        if (!letter || begins_word(p, len, i)) {
            spoken += is_spoken(p + i - word, word) ? word : 0;
            word = 0;
        }
        if (letter) {
            letters++;
            word++;
            capitals += is_upper(p[i]);
            vowels += is_vowel(p[i]);
        } else if (i < len && is_digit(p[i])) {
            digits++;
            numbers += i == 0 || !is_digit(p[i - 1]);
        } else if (i < len && !strchr("_.:+$", p[i])) {
            return false;
        }
    }
    return capitals > 1 && numbers * 5 <= letters && digits <= letters && spoken * 5 >= letters * 4 &&
           vowels * 4 >= letters && !value_is_sequence(p, len);
}

/* "server.key": names of files stand behind the same names as secrets do. */
bool value_is_file(const uint8_t *p, size_t len) {
    static const char *const endings[] = {".key", ".pem", ".crt", ".cer", ".pub", ".csr", ".json", ".yaml", ".yml", ".txt", ".conf"};
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++)
        if (ends_with(p, len, endings[i]))
            return true;
    return false;
}

static const char *const code_words[128][WORDS_EACH] = {
    ['$'] = {"${"}, ['%'] = {"%("}, ['('] = {"()"}, ['-'] = {"-set"}, [':'] = {"://"}, ['8'] = {"8array"},
    ['a'] = {"anonymous@"}, ['c'] = {"config."}, ['e'] = {"env."}, ['g'] = {"getenv"}, ['n'] = {"null"},
    ['o'] = {"optional"}, ['r'] = {"required"}, ['s'] = {"string"},
    ['u'] = {"userid", "undefined"}, ['{'] = {"{{"},
};

#define PASSWORD_MAX 128
static const bool password_signs[256] = {['!'] = true, ['@'] = true, ['#'] = true, ['$'] = true, ['%'] = true,
                                         ['^'] = true, ['&'] = true, ['*'] = true, ['?'] = true, ['~'] = true,
                                         ['+'] = true};

bool value_is_weak(const uint8_t *p, size_t len) {
    if (len < 4 || len > PASSWORD_MAX || strchr("$<{%&([/\\", p[0]) || strchr(":(", p[len - 1]) ||
        (p[len - 1] == '@' && is_wordy(p, len - 1)) ||
        value_is_placeholder(p, len))
        return false;
    size_t quotes = 0; /* one may be in a password; two are a text's */
    for (size_t i = 0; i < len; i++) {
        quotes += p[i] == '"';
        if (p[i] < ' ' || quotes > 1 || p[i] == '<' || p[i] == '>')
            return false;
    }
    if (value_has_any(code_words, p, len))
        return false;
    return !(len < 10 && has_word(p, len, "passw"));
}

static const char *const field_words[128][WORDS_EACH] = {
    ['c'] = {"confirm", "current", "change"}, ['e'] = {"enter", "edit"}, ['f'] = {"forgot"},
    ['i'] = {"invalid", "incorrect"}, ['m'] = {"missing"}, ['n'] = {"new"}, ['o'] = {"old"},
    ['r'] = {"reset", "repeat"}, ['u'] = {"user", "update"}, ['v'] = {"verify"},
    ['w'] = {"wrong"}, ['y'] = {"your"},
};

/* "thisismypassword", but not "confirmpassword", which is a field's name. */
static bool is_own_words(const uint8_t *p, size_t len) {
    for (size_t i = 0; i < len; i++)
        if (!is_lower(p[i]))
            return false;
    return len >= 12 && !value_has_any(field_words, p, len);
}

bool value_is_password(const uint8_t *p, size_t len, bool quoted) {
    size_t digits = 0, letters = 0, signs = 0;
    if (len < (quoted ? 6 : 8) || len > PASSWORD_MAX)
        return false;
    for (size_t i = 0; i < len; i++) {
        digits += is_digit(p[i]);
        letters += is_alpha(p[i]);
        signs += password_signs[p[i]];
        if (p[i] == ' ')
            return false;
    }
    if (!quoted && (!digits || !letters))
        return false; /* the cheap questions first: hostile text asks them for every second byte */
    if (!value_is_weak(p, len))
        return false;
    if (has_word(p, len, "passw") && !(quoted && digits + signs > 1))
        return quoted && is_own_words(p, len);
    bool word = !signs && digits < 2 && is_wordy(p, len);
    if (!quoted)
        return !word && !strchr(".-", p[0]);
    return letters > 1 && (digits || (signs && p[0] != '#' && p[0] != '@')) && !word;
}
