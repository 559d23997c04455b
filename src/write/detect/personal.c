/*
 * Numbers of people: they have no literal that an expression could look for, and digits in the common
 * database make it several times slower. So runs.c shows where a number begins and what digits follow, and
 * only where there are enough of them is looked closer.
 *
 * Separators inside numbers are allowed as people write them: one space or hyphen between groups.
 */
#include <string.h>

#include "write/detect/detect_int.h"

#define DIGITS_MAX 40

static bool has_rule(const struct person *s, enum rule_kind kind) {
    return s->d->by_kind[kind] != 0;
}

static void found(struct person *s, enum rule_kind kind, size_t start, size_t end, uint8_t check) {
    work_found(s->w, s->d->by_kind[kind] - 1u, start, end, check);
}

static uint8_t at(const struct text t, size_t i) {
    return i < t.len ? t.p[i] : 0;
}

/* ---- numbers ---- */

struct number {
    uint8_t digits[DIGITS_MAX + 1];
    size_t ends[DIGITS_MAX + 1]; /* offset after each digit */
    size_t count, start;
    size_t groups;
    size_t joined; /* digits of the first group */
};

static void read_number(struct text t, size_t start, struct number *n) {
    size_t i = start;
    n->start = start;
    n->groups = 1;
    n->count = n->joined = 0;
    while (i < t.len && n->count < DIGITS_MAX) {
        if (is_digit(t.p[i])) {
            n->digits[n->count++] = t.p[i++];
            n->ends[n->count - 1] = i;
        } else if ((t.p[i] == ' ' || t.p[i] == '-') && is_digit(at(t, i + 1))) {
            if (n->groups++ == 1)
                n->joined = n->count;
            i++;
        } else {
            break;
        }
    }
    if (n->groups == 1)
        n->joined = n->count;
}

/* Groups of digits that are not a number's: anything before or after that makes it a part. */
static bool stands_alone(struct text t, size_t start, size_t end) {
    uint8_t before = start ? t.p[start - 1] : ' ', after = at(t, end);
    if (is_word(before) || is_word(after) || before == '.' || before == '#' || before == '/' || before == '=' )
        return before == '=' && !is_word(after);
    return !(after == '.' && is_digit(at(t, end + 1))) &&
           !(before == '-' && start > 1 && is_alnum(t.p[start - 2])) &&
           !(after == '-' && is_alnum(at(t, end + 1))) && after != '@';
}

static bool is_cn_segment(const uint8_t *p) {
    static const char segments[] = "130131132133134135136137138139145146147148149150151152153155156157158"
                                   "159162165166167170171172173174175176177178180181182183184185186187188"
                                   "189190191192193195196197198199";
    for (const char *s = segments; *s; s += 3)
        if (memcmp(s, p, 3) == 0)
            return true;
    return false;
}

/* 11 digits, in one piece or as 3-4-4; an 86 before them belongs to the number. */
static bool find_cn_mobile(struct person *s, const struct number *n) {
    size_t skip = n->count == 13 && memcmp(n->digits, "86", 2) == 0 ? 2
                  : n->count == 15 && memcmp(n->digits, "0086", 4) == 0 ? 4
                                                                         : 0;
    if (n->count - skip != 11 || !is_cn_segment(n->digits + skip) || n->groups > 4)
        return false;
    size_t end = n->ends[n->count - 1], start = n->start;
    if (n->groups > 1 && n->ends[skip + 2] + 1 != n->ends[skip + 3] - 1 + 0 &&
        n->ends[skip + 3] - n->ends[skip + 2] == 1 && skip == 0)
        return false; /* grouped, but not after the third digit */
    if (skip && start && s->t.p[start - 1] == '+')
        start--;
    if (!stands_alone(s->t, start, end))
        return false;
    bool zeros = memcmp(n->digits + skip + 3, "00000000", 8) == 0;
    if (!zeros)
        found(s, RULE_CN_MOBILE, start, end, DETECT_CHECKED);
    return !zeros;
}

static bool find_cn_id(struct person *s, const struct number *n) {
    uint8_t id[18];
    if (n->count < 17 || n->groups > 3)
        return false;
    memcpy(id, n->digits, 17);
    size_t end = n->ends[16];
    if (n->count == 18) {
        id[17] = n->digits[17];
        end = n->ends[17];
    } else if (n->count == 17 && (at(s->t, end) == 'X' || at(s->t, end) == 'x')) {
        id[17] = 'X';
        end++;
    } else {
        return false;
    }
    if (!check_cn_id(id) || !stands_alone(s->t, n->start, end))
        return false;
    found(s, RULE_CN_ID, n->start, end, DETECT_CHECKED);
    return true;
}

static bool find_card(struct person *s, const struct number *n) {
    size_t end = n->count ? n->ends[n->count - 1] : 0;
    /* Cards are printed in fours, American Express and Diners as 4-6-4 or 4-6-5. */
    if (n->groups > 5 || (n->groups > 1 && n->joined != 4) || !check_card(n->digits, n->count) ||
        !stands_alone(s->t, n->start, end))
        return false;
    found(s, RULE_CARD, n->start, end, DETECT_CHECKED);
    return true;
}

/* Country codes of ITU E.164 that are in use, by their first digits: one, two or three long. */
static bool find_phone(struct person *s, const struct number *n) {
    size_t start = n->start;
    bool plus = start && s->t.p[start - 1] == '+', paren = false;
    size_t count = n->count, end = n->ends[count - 1];
    uint8_t after = at(s->t, end);
    if (!plus)
        return false;
    start--;
    /* "+1 (415) 555-2671": the number ended at the parenthesis. */
    if (count <= 3 && (after == '(' || (after == ' ' && at(s->t, end + 1) == '('))) {
        size_t i = end + (after == ' ') + 1;
        paren = true;
        while (i < s->t.len && count < 15 && (is_digit(s->t.p[i]) || strchr(") -.", s->t.p[i] ? s->t.p[i] : 'x'))) {
            if (is_digit(s->t.p[i])) {
                count++;
                end = i + 1;
            }
            i++;
        }
    }
    if (count < 9 || count > 15 || n->digits[0] == '0' || (!paren && n->groups > 6))
        return false;
    if (is_word(start ? s->t.p[start - 1] : ' ') || is_word(at(s->t, end)) || at(s->t, end) == '=')
        return false;
    found(s, RULE_PHONE, start, end, DETECT_UNCHECKED);
    return true;
}

static bool find_iban(struct person *s, size_t digit) {
    uint8_t iban[34];
    size_t n = 0, end = digit;
    if (digit < 2 || !is_upper(s->t.p[digit - 1]) || !is_upper(s->t.p[digit - 2]) ||
        (digit > 2 && is_word(s->t.p[digit - 3])) || !is_digit(at(s->t, digit + 1)))
        return false;
    for (size_t i = digit - 2; i < s->t.len && n < sizeof iban; i++) {
        uint8_t c = s->t.p[i];
        if (c == ' ' && n % 4 == 0 && n > 0)
            continue;
        if (!is_digit(c) && !is_upper(c))
            break;
        iban[n++] = c;
        end = i + 1;
        if (n >= 15 && check_iban(iban, n) && !is_alnum(at(s->t, end))) {
            found(s, RULE_IBAN, digit - 2, end, DETECT_CHECKED);
            return true;
        }
    }
    return false;
}

/* ---- addresses of machines ---- */

static bool find_ip4(struct person *s, size_t start) {
    size_t i = start, parts = 0;
    unsigned octets[4] = {0};
    uint8_t before = start ? s->t.p[start - 1] : ' ';
    if (is_word(before) || before == '.' || before == '-')
        return false;
    while (parts < 4) {
        size_t first = i;
        while (is_digit(at(s->t, i)) && i - first < 4)
            octets[parts] = octets[parts] * 10 + (unsigned)(s->t.p[i++] - '0');
        if (i == first || octets[parts] > 255 || (i - first > 1 && s->t.p[first] == '0'))
            return false;
        if (++parts < 4 && at(s->t, i++) != '.')
            return false;
    }
    uint8_t after = at(s->t, i);
    if (is_word(after) || after == '-' || (after == '.' && is_alnum(at(s->t, i + 1))))
        return false;
    /* Nobody's: unspecified, loopback, broadcast and multicast; and what is rather a version. */
    if (octets[0] == 0 || octets[0] == 127 || octets[0] >= 224 ||
        (octets[0] < 10 && octets[1] < 10 && octets[2] < 10 && octets[3] < 10))
        return false;
    found(s, RULE_IP, start, i, DETECT_UNCHECKED);
    return true;
}

static bool is_hex(uint8_t c) {
    return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

#define IP6_MAX 39

/* The address around a colon: eight groups, or fewer with one "::". Returns where to look on. */
static size_t find_ip6(struct person *s, size_t colon) {
    size_t start = colon, i, groups = 0, gaps = 0, digits = 0, all = 0;
    size_t low = colon > IP6_MAX ? colon - IP6_MAX : 0; /* also before what was looked at already */
    while (start > low && (is_hex(s->t.p[start - 1]) || s->t.p[start - 1] == ':'))
        start--;
    if (start < colon && s->t.p[start] == ':' && s->t.p[start + 1] != ':')
        start++; /* of what stands before: "ip:2001:..." */
    for (i = start; i < s->t.len && i - start <= IP6_MAX && (is_hex(s->t.p[i]) || s->t.p[i] == ':'); i++) {
        if (s->t.p[i] != ':') {
            groups += digits == 0;
            all++;
            if (++digits > 4)
                return colon + 1;
        } else {
            gaps += digits == 0 && i > start;
            digits = 0;
        }
    }
    bool whole = groups == 8 && gaps == 0, short_form = gaps == 1 && groups >= 3 && groups < 8;
    if ((!whole && !short_form) || all < 8 || s->t.p[i - 1] == ':' || is_word(at(s->t, i)) ||
        (start && is_word(s->t.p[start - 1])))
        return colon + 1;
    found(s, RULE_IP, start, i, DETECT_UNCHECKED);
    return i;
}

static bool is_local(uint8_t c) {
    return is_word(c) || c == '.' || c == '-' || c == '+' || c == '%';
}

static void find_email(struct person *s, size_t sign) {
    static const char files[] = " png jpg jpeg gif svg webp ico js ts css json html md py rb go rs c h so "
                                "txt xml yml yaml zip tgz gz pdf mp4 mp3 service timer socket local ";
    size_t start = sign, end = sign + 1, dot = 0;
    while (start > 0 && sign - start < 64 && is_local(s->t.p[start - 1]))
        start--;
    while (start < sign && !is_alnum(s->t.p[start]))
        start++;
    while (end < s->t.len && end - sign < 200 && (is_alnum(s->t.p[end]) || s->t.p[end] == '-' || s->t.p[end] == '.')) {
        if (s->t.p[end] == '.' && !is_alnum(at(s->t, end + 1)))
            break;
        if (s->t.p[end] == '.')
            dot = end;
        end++;
    }
    size_t top = dot ? end - dot - 1 : 0;
    if (start == sign || top < 2 || top > 18 || dot == sign + 1 || !is_alnum(s->t.p[sign - 1]))
        return;
    char word[24] = {' '};
    for (size_t i = 0; i < top; i++) {
        uint8_t c = s->t.p[dot + 1 + i];
        if (!is_alpha(c))
            return;
        word[1 + i] = (char)(c | 0x20);
    }
    word[1 + top] = ' ';
    uint8_t before = start ? s->t.p[start - 1] : ' ';
    if (strstr(files, word) || before == '/' || before == '@' || at(s->t, end) == '(' ||
        (before == ':' && start > 1 && s->t.p[start - 2] != 'o' && !is_space(s->t.p[start - 2]) &&
         memchr(s->t.p + (start > 40 ? start - 40 : 0), '/', start > 40 ? 40 : start)))
        return;
    if (sign - start == 3 && memcmp(s->t.p + start, "git", 3) == 0)
        return;
    found(s, RULE_EMAIL, start, end, DETECT_UNCHECKED);
}

/* ---- where something of this may begin ---- */

void personal_number(struct person *s, size_t start, uint64_t digits) {
    struct number n;
    if (start < s->done)
        return;
    /* Most numbers are none of a person's: what each kind needs at least is asked before it is read. */
    unsigned first = (unsigned)__builtin_ctzll(~digits | (uint64_t)1 << 63);
    uint8_t before = start ? s->t.p[start - 1] : 0;
    bool dotted = first < 4 && at(s->t, start + first) == '.' && bits_count(digits & 0x7fff) > 4;
    bool lettered = is_upper(before) && first > 1;
    if (!dotted && !lettered && before != '+' && bits_count(digits & 0xffffff) < 11)
        return;
    read_number(s->t, start, &n);
    bool hit = (lettered && has_rule(s, RULE_IBAN) && find_iban(s, start)) ||
               (dotted && has_rule(s, RULE_IP) && find_ip4(s, start)) ||
               (has_rule(s, RULE_CN_ID) && find_cn_id(s, &n)) ||
               (has_rule(s, RULE_CN_MOBILE) && find_cn_mobile(s, &n)) ||
               (has_rule(s, RULE_CARD) && find_card(s, &n)) || (has_rule(s, RULE_PHONE) && find_phone(s, &n));
    if (hit)
        s->done = n.ends[n.count - 1];
}

void personal_sign(struct person *s, size_t sign) {
    if (sign >= s->done && has_rule(s, RULE_EMAIL))
        find_email(s, sign);
}

void personal_colon(struct person *s, size_t colon) {
    if (colon >= s->done && has_rule(s, RULE_IP))
        s->done = find_ip6(s, colon);
}
