/* The reader of security_txt.h. Pure; lines end with LF or CRLF (RFC 9116, section 2.2). */
#include "base/security_txt.h"

#include <string.h>
#include <strings.h>

const char *security_txt_flaw(enum security_txt_flaw flaw) {
    static const char *const texts[] = {
#define SECURITY_TXT_TEXT_(name, text) text,
        SECURITY_TXT_FLAWS(SECURITY_TXT_TEXT_)
#undef SECURITY_TXT_TEXT_
    };
    return texts[flaw];
}

bool security_txt_uri(const char *s, size_t len) {
    static const char *const schemes[] = {"mailto:", "https://", "tel:", "openpgp4fpr:", "dns:"};
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)s[i] <= ' ' || s[i] == 0x7f)
            return false;
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        size_t n = strlen(schemes[i]);
        if (len > n && strncasecmp(s, schemes[i], n) == 0)
            return true;
    }
    return false;
}

/* ---- times ---- */

/* Exactly `digits` of them; -1: something else. */
static int number(const char **at, const char *end, int digits) {
    int v = 0;
    for (; digits; digits--, (*at)++) {
        if (*at == end || **at < '0' || **at > '9')
            return -1;
        v = v * 10 + (**at - '0');
    }
    return v;
}

static bool take(const char **at, const char *end, char c) {
    if (*at == end || **at != c)
        return false;
    (*at)++;
    return true;
}

/* "Z", "+01:00": seconds to take away. */
static bool offset(const char **at, const char *end, long *ret) {
    *ret = 0;
    if (take(at, end, 'Z') || take(at, end, 'z'))
        return true;
    bool west = take(at, end, '-');
    if (!west && !take(at, end, '+'))
        return false;
    int hours = number(at, end, 2), minutes = take(at, end, ':') ? number(at, end, 2) : -1;
    if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59)
        return false;
    *ret = (hours * 60L + minutes) * (west ? -60 : 60);
    return true;
}

bool security_txt_time(const char *s, size_t len, time_t *ret) {
    const char *at = s, *end = s + len;
    struct tm t = {0};
    long away;
    t.tm_year = number(&at, end, 4) - 1900;
    t.tm_mon = take(&at, end, '-') ? number(&at, end, 2) - 1 : -1;
    t.tm_mday = take(&at, end, '-') ? number(&at, end, 2) : -1;
    if (at == end || (*at != 'T' && *at != 't' && *at != ' '))
        return false;
    at++;
    t.tm_hour = number(&at, end, 2);
    t.tm_min = take(&at, end, ':') ? number(&at, end, 2) : -1;
    t.tm_sec = take(&at, end, ':') ? number(&at, end, 2) : -1;
    if (take(&at, end, '.')) {
        const char *digits = at;
        while (at < end && *at >= '0' && *at <= '9')
            at++;
        if (at == digits)
            return false;
    }
    if (!offset(&at, end, &away) || at != end)
        return false;
    if (t.tm_year < 70 || t.tm_mon < 0 || t.tm_mon > 11 || t.tm_mday < 1 || t.tm_mday > 31 ||
        t.tm_hour < 0 || t.tm_hour > 23 || t.tm_min < 0 || t.tm_min > 59 || t.tm_sec < 0 ||
        t.tm_sec > 60)
        return false;
    const int month = t.tm_mon;
    *ret = timegm(&t) - away;
    return t.tm_mon == month; /* the 31st of a month that has none is another one's first */
}

/* ---- the file ---- */

/* "Name: value"; names are compared without case. */
static bool is_field(const char *line, size_t len, const char *name, const char **ret_value,
                     size_t *ret_len) {
    size_t n = strlen(name);
    if (len <= n || strncasecmp(line, name, n) != 0 || line[n] != ':')
        return false;
    line += n + 1;
    len -= n + 1;
    while (len && (*line == ' ' || *line == '\t')) {
        line++;
        len--;
    }
    while (len && (line[len - 1] == ' ' || line[len - 1] == '\t'))
        len--;
    *ret_value = line;
    *ret_len = len;
    return true;
}

static void keep(char out[SECURITY_TXT_FIELD], const char *value, size_t len) {
    size_t n = len < SECURITY_TXT_FIELD - 1 ? len : SECURITY_TXT_FIELD - 1;
    memcpy(out, value, n);
    out[n] = 0;
}

static void read_line(struct security_txt *t, const char *line, size_t len, bool *bad_contact) {
    const char *value;
    size_t n;
    if (len && line[len - 1] == '\r')
        len--;
    if (is_field(line, len, "Contact", &value, &n)) {
        if (!t->contacts++)
            keep(t->contact, value, n);
        *bad_contact |= !security_txt_uri(value, n);
    } else if (is_field(line, len, "Expires", &value, &n)) {
        t->expires_count++;
        keep(t->expires, value, n);
        if (!security_txt_time(value, n, &t->expires_at))
            t->expires_at = 0;
    } else if (is_field(line, len, "Preferred-Languages", &value, &n)) {
        t->languages++;
    } else if (len >= 34 && memcmp(line, "-----BEGIN PGP SIGNED MESSAGE-----", 34) == 0) {
        t->is_signed = true;
    }
}

enum security_txt_flaw security_txt_read(struct security_txt *ret, const char *text, size_t len,
                                         time_t now) {
    bool bad_contact = false;
    *ret = (struct security_txt){0};
    for (size_t at = 0; at < len;) {
        const char *line = text + at, *end = memchr(line, '\n', len - at);
        size_t n = end ? (size_t)(end - line) : len - at;
        read_line(ret, line, n, &bad_contact);
        at += n + 1;
    }
    return !ret->contacts           ? SECURITY_TXT_NO_CONTACT
           : bad_contact            ? SECURITY_TXT_BAD_CONTACT
           : !ret->expires_count    ? SECURITY_TXT_NO_EXPIRES
           : ret->expires_count > 1 ? SECURITY_TXT_TWO_EXPIRES
           : !ret->expires_at       ? SECURITY_TXT_BAD_EXPIRES
           : ret->expires_at < now  ? SECURITY_TXT_EXPIRED
           : ret->languages > 1     ? SECURITY_TXT_TWO_LANGUAGES
                                    : SECURITY_TXT_FINE;
}
