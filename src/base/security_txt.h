#ifndef BASE_SECURITY_TXT_H
#define BASE_SECURITY_TXT_H
/*
 * security.txt (RFC 9116): whom does somebody write to who found a door open? Read from bytes of
 * anyone: for what is served here, and for what others serve.
 *
 *   struct security_txt t;
 *   enum security_txt_flaw flaw = security_txt_read(&t, text, len, now);
 *
 * An OpenPGP cleartext signature around it is seen and not verified.
 */
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#define SECURITY_TXT_PATH "/.well-known/security.txt"
#define SECURITY_TXT_MAX (32u << 10) /* bytes that are read of one */
#define SECURITY_TXT_FIELD 256       /* of a value, with NUL; what is longer is cut */

/* The first that holds, in this order: without Contact nobody can write to anyone. */
#define SECURITY_TXT_FLAWS(X)                                                                      \
    X(SECURITY_TXT_FINE, "")                                                                       \
    X(SECURITY_TXT_NO_CONTACT, "it has no Contact")                                                \
    X(SECURITY_TXT_BAD_CONTACT, "its Contact is no URI (mailto:, https: or tel:)")                 \
    X(SECURITY_TXT_NO_EXPIRES, "it has no Expires")                                                \
    X(SECURITY_TXT_TWO_EXPIRES, "it has more than one Expires")                                    \
    X(SECURITY_TXT_BAD_EXPIRES, "its Expires is no time as 2027-01-31T00:00:00Z")                  \
    X(SECURITY_TXT_EXPIRED, "it has expired, so nobody may rely on it")                            \
    X(SECURITY_TXT_TWO_LANGUAGES, "it has more than one Preferred-Languages")

enum security_txt_flaw {
#define SECURITY_TXT_ENUM_(name, text) name,
    SECURITY_TXT_FLAWS(SECURITY_TXT_ENUM_)
#undef SECURITY_TXT_ENUM_
};

struct security_txt {
    unsigned contacts, expires_count, languages;
    char contact[SECURITY_TXT_FIELD]; /* the first */
    char expires[SECURITY_TXT_FIELD]; /* the last */
    time_t expires_at;                /* 0: not to be read */
    bool is_signed;
};

/* Everything of *ret is filled, whatever the flaw. */
enum security_txt_flaw security_txt_read(struct security_txt *ret, const char *text, size_t len,
                                         time_t now);
/* What is wrong, for a person; "" for nothing. */
const char *security_txt_flaw(enum security_txt_flaw flaw);
/* May this stand as Contact, Policy, ...: a URI of a scheme that RFC 9116 names, without control
 * characters or blanks, and no http? */
bool security_txt_uri(const char *s, size_t len);
/* A time of RFC 3339, section 5.6. False: it is none. */
bool security_txt_time(const char *s, size_t len, time_t *ret);

#endif
