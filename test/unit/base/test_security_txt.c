/* security.txt: what RFC 9116 wants, line ends, times of RFC 3339. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/security_txt.h"

#define NOW 1800000000 /* 2027-01-15 */

static enum security_txt_flaw flaw_of(const char *text) {
    struct security_txt t;
    return security_txt_read(&t, text, strlen(text), NOW);
}

static void names_flaws(void **state) {
    (void)state;
    static const struct {
        const char *text;
        enum security_txt_flaw flaw;
    } cases[] = {
        {"", SECURITY_TXT_NO_CONTACT},
        {"# Contact: mailto:a@b.c\nExpires: 2099-01-01T00:00:00Z\n", SECURITY_TXT_NO_CONTACT},
        {"Contact:\nExpires: 2099-01-01T00:00:00Z\n", SECURITY_TXT_BAD_CONTACT},
        {"Contact: a@b.c\nExpires: 2099-01-01T00:00:00Z\n", SECURITY_TXT_BAD_CONTACT},
        {"Contact: http://b.c/\nExpires: 2099-01-01T00:00:00Z\n", SECURITY_TXT_BAD_CONTACT},
        {"Contact: mailto:a@b.c\n", SECURITY_TXT_NO_EXPIRES},
        {"Contact: tel:+1-201-555-0123\nExpires: 2099-01-01T00:00:00Z\nexpires: "
         "2098-01-01T00:00:00Z",
         SECURITY_TXT_TWO_EXPIRES},
        {"Contact: mailto:a@b.c\nExpires: soon\n", SECURITY_TXT_BAD_EXPIRES},
        {"Contact: mailto:a@b.c\nExpires: 2027-01-14T00:00:00Z\n", SECURITY_TXT_EXPIRED},
        {"Contact: mailto:a@b.c\nExpires: 2099-01-01T00:00:00Z\nPreferred-Languages: en\n"
         "Preferred-Languages: de\n",
         SECURITY_TXT_TWO_LANGUAGES},
        {"CONTACT: mailto:a@b.c\r\nContact: https://b.c/x\r\nexpires: 2099-01-01T00:00:00Z\r\n",
         SECURITY_TXT_FINE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(flaw_of(cases[i].text), cases[i].flaw);
}

static void keeps_the_first_contact_and_sees_a_signature(void **state) {
    (void)state;
    struct security_txt t;
    static const char text[] = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n"
                               "Contact: mailto:one@b.c  \nContact: mailto:two@b.c\n"
                               "Expires: 2099-01-01T00:00:00Z\n";
    assert_int_equal(security_txt_read(&t, text, sizeof text - 1, NOW), SECURITY_TXT_FINE);
    assert_string_equal(t.contact, "mailto:one@b.c");
    assert_true(t.is_signed);
    assert_int_equal(t.contacts, 2);
}

static void reads_times(void **state) {
    (void)state;
    static const struct {
        const char *text;
        long long at; /* -1: it is none */
    } cases[] = {
        {"2027-01-15T08:00:00Z", 1800000000},      {"2027-01-15t08:00:00.123z", 1800000000},
        {"2027-01-15T09:00:00+01:00", 1800000000}, {"2027-01-15T06:30:00-01:30", 1800000000},
        {"2028-02-29T00:00:00Z", 1835395200},      {"2027-02-29T00:00:00Z", -1},
        {"2027-13-01T00:00:00Z", -1},              {"2027-01-15T24:00:00Z", -1},
        {"2027-01-15", -1},                        {"2027-01-15T08:00:00", -1},
        {"2027-01-15T08:00:00.Z", -1},             {"2027-01-15T08:00:00Zx", -1},
        {"2027-01-15T08:00:00+1:00", -1},          {"", -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        time_t at = -1;
        bool is = security_txt_time(cases[i].text, strlen(cases[i].text), &at);
        assert_int_equal(is, cases[i].at >= 0);
        if (is)
            assert_int_equal(at, cases[i].at);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_flaws),
        cmocka_unit_test(keeps_the_first_contact_and_sees_a_signature),
        cmocka_unit_test(reads_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
