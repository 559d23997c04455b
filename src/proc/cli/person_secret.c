/*
 * `safehouse person password|totp|token`: how a person signs in. What the vault makes is printed once,
 * what the person chooses comes from the terminal or a file.
 */
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/err.h"
#include "proc/cli/key_terms.h"
#include "proc/cli/person.h"
#include "proc/cli/read.h"

#define TOTP_BYTES 20
#define TOTP_TEXT 32 /* in base32 */

static int put_text8(struct buf *b, const char *s, size_t n) {
    int rc = n < LIMIT_NAME ? buf_append_u8(b, (uint8_t)n) : ERR_LIMIT;
    return rc ? rc : buf_append(b, s, n);
}

static int put_text16(struct buf *b, const char *s, size_t n) {
    uint8_t len[2];
    put_u16(len, (uint16_t)n);
    int rc = buf_append(b, len, sizeof len);
    return rc ? rc : buf_append(b, s, n);
}

/* ---- password ---- */

/* Is that the person of the session? Then the old password is needed. */
static int is_own(const char *dir, const struct cli_session *s, const char *name, bool *ret) {
    int code;
    json_t *o = session_who(dir, s, &code);
    const char *own = json_string_value(json_object_get(o, "name"));
    *ret = own && strcmp(own, name) == 0;
    json_decref(o);
    return code;
}

static int send_password(const char *dir, const struct cli_session *s, const char *name,
                         const struct secrets *x) {
    struct buf b;
    int rc = person_begin(&b, PEOPLE_VERB_PASSWORD, name);
    if (!rc)
        rc = put_text16(&b, x->line[0], x->line_len[0]);
    if (!rc)
        rc = put_text16(&b, x->line[1], x->line_len[1]);
    if (!rc)
        rc = put_text8(&b, x->line[2], x->line_len[2]);
    return person_send(dir, s, &b, rc, NULL, NULL, NULL);
}

int person_password(int argc, char **argv) {
    static const struct cli_usage usage = {
        "safehouse person password NAME [--password-file F] [--dir D] [--token-file F]",
        "Sets a password: one's own, which takes the old one, or as an admin another's. An admin's choice\n"
        "makes the person's grants of reader, admin and eraser wait for a second admin again. The file's\n"
        "lines: the new one; for one's own also the old one, and the authenticator's code if there is one."};
    static const char *const own_prompts[] = {"New password: ", "Old password: ",
                                              "Code of the authenticator (empty: none): ", NULL};
    static const char *const prompts[] = {"New password: ", NULL};
    const char *dir = CLI_DIR_DEFAULT, *file = NULL;
    struct cli_session s = {0};
    bool own = false;
    const struct cli_option options[] = {
        {"--dir", "D", .text = &dir, .help = CLI_DIR_HELP},
        {"--password-file", "F", .text = &file, .help = "a file of mode 0600; - is standard input"},
        CLI_SESSION_OPTION(s),
        {0}};
    int code = cli_parse(&usage, options, argc, argv, 1, 1, NULL);
    if (code == CLI_GO)
        code = session_load(dir, &s);
    if (code == CLI_GO)
        code = is_own(dir, &s, argv[1], &own);
    if (code != CLI_GO)
        return code;
    read_harden();
    struct secrets *x = secrets_new();
    code = x ? secrets_read(x, file, own ? own_prompts : prompts)
             : cli_fail_err(ERR_NOMEM, NULL, "setting the password");
    if (code == CLI_GO && x->line_len[0] < LIMIT_PASSWORD_MIN)
        code = cli_fail(CLI_USAGE, "a few words that belong to nobody's sentence are good",
                        "a password has at least %d characters", LIMIT_PASSWORD_MIN);
    if (code == CLI_GO)
        code = send_password(dir, &s, argv[1], x);
    secrets_free(x);
    session_wipe(&s);
    if (code != CLI_GO)
        return code;
    printf("the password of %s is set, and its sessions are over\n", argv[1]);
    return CLI_DONE;
}

/* ---- codes by time ---- */

/* RFC 4648 section 6; 20 bytes need no padding. */
static void base32(char out[TOTP_TEXT + 1], const uint8_t in[TOTP_BYTES]) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    for (size_t i = 0; i < TOTP_TEXT; i++) {
        const size_t bit = 5 * i, byte = bit / 8;
        const unsigned pair =
            (unsigned)in[byte] << 8 | (byte + 1 < TOTP_BYTES ? (unsigned)in[byte + 1] : 0u);
        out[i] = letters[(pair >> (11 - bit % 8)) & 31u];
    }
    out[TOTP_TEXT] = 0;
}

struct handed {
    uint8_t *p; /* guarded */
    size_t len;
};

static int take_handed(void *arg, const struct frame *f) {
    struct handed *h = arg;
    if (f->msg != MSG_HANDED || f->len != h->len)
        return cli_fail(CLI_INTERNAL, NULL, "the vault's answer is not understood");
    memcpy(h->p, f->p, f->len);
    return CLI_GO;
}

/* Made, shown, and in force after one code of it. */
static int make_totp(const char *dir, const struct cli_session *s, const char *name, bool json) {
    uint8_t *secret = sodium_malloc(TOTP_BYTES);
    char *text = sodium_malloc(TOTP_TEXT + 1);
    struct handed h = {secret, TOTP_BYTES};
    struct buf b;
    if (!secret || !text)
        return cli_fail_err(ERR_NOMEM, NULL, "making the secret");
    int rc = person_begin(&b, PEOPLE_VERB_TOTP, name);
    if (!rc)
        rc = buf_append(&b, "\1\0", 2);
    int code = person_send(dir, s, &b, rc, take_handed, &h, NULL);
    if (code == CLI_GO) {
        base32(text, secret);
        /* Printed at once and not by way of a JSON library, which would keep a copy. */
        printf(json ? "{\"secret\":\"%s\"," : "%s\n", text);
        printf(json ? "\"uri\":\"%s%s?secret=%s&issuer=Safehouse\"}\n"
                    : "shown this once; for an authenticator also: %s%s?secret=%s&issuer=Safehouse\n",
               "otpauth://totp/Safehouse:", name, text);
        fflush(stdout);
    }
    sodium_free(secret);
    sodium_free(text);
    return code;
}

static int step_totp(const char *dir, const struct cli_session *s, const char *name, uint8_t step,
                     const struct secrets *x) {
    struct buf b;
    int rc = person_begin(&b, PEOPLE_VERB_TOTP, name);
    if (!rc)
        rc = buf_append_u8(&b, step);
    if (!rc)
        rc = put_text8(&b, x ? x->line[0] : "", x ? x->line_len[0] : 0);
    return person_send(dir, s, &b, rc, NULL, NULL, NULL);
}

static int confirm_totp(const char *dir, const struct cli_session *s, const char *name,
                        const char *file) {
    static const char *const prompts[] = {"A code of it: ", NULL};
    struct secrets *x = secrets_new();
    int code = x ? secrets_read(x, file, prompts) : cli_fail_err(ERR_NOMEM, NULL, "confirming");
    if (code == CLI_GO)
        code = step_totp(dir, s, name, 2, x);
    secrets_free(x);
    return code;
}

int person_totp(int argc, char **argv) {
    static const struct cli_usage usage = {
        "safehouse person totp NAME [--make|--confirm|--remove] [--code-file F] [--dir D]\n"
        "       [--token-file F] [--json]",
        "Codes of an authenticator (RFC 6238) beside one's own password: makes and shows the secret, and "
        "asks\n"
        "for one code of it, after which each sign-in needs one. --make and --confirm are the two halves "
        "for\n"
        "scripts. --remove: as an admin for somebody who lost it, whose grants then wait for a second "
        "admin."};
    const char *dir = CLI_DIR_DEFAULT, *file = NULL;
    struct cli_session s = {0};
    bool make = false, confirm = false, drop = false, json = false;
    const struct cli_option options[] = {
        {"--dir", "D", .text = &dir, .help = CLI_DIR_HELP},
        {"--make", NULL, .flag = &make, .help = "only make and show it"},
        {"--confirm", NULL, .flag = &confirm, .help = "only take the code"},
        {"--remove", NULL, .flag = &drop, .help = "no codes any more"},
        {"--code-file", "F", .text = &file, .help = "its first line is the code; - is standard input"},
        CLI_SESSION_OPTION(s),
        {"--json", NULL, .flag = &json, .help = "the secret as one object"},
        {0}};
    int code = cli_parse(&usage, options, argc, argv, 1, 1, NULL);
    if (code == CLI_GO && make + confirm + drop > 1)
        code = cli_fail(CLI_USAGE, NULL, "name one of --make, --confirm, --remove");
    if (code == CLI_GO)
        code = session_load(dir, &s);
    if (code != CLI_GO)
        return code;
    read_harden();
    if (drop)
        code = step_totp(dir, &s, argv[1], 3, NULL);
    if (!drop && !confirm)
        code = make_totp(dir, &s, argv[1], json);
    if (!drop && !make && code == CLI_GO)
        code = confirm_totp(dir, &s, argv[1], file);
    session_wipe(&s);
    if (code != CLI_GO)
        return code;
    if (!make && !json)
        printf(drop ? "%s signs in without codes\n" : "%s signs in with codes from now on\n", argv[1]);
    return CLI_DONE;
}

/* ---- machine tokens ---- */

static int make_token(const char *dir, const struct cli_session *s, const char *name,
                      const char *label, uint64_t expires_us, bool json) {
    uint8_t *token = sodium_malloc(SESSION_BYTES);
    char *text = sodium_malloc(SESSION_TEXT + 1);
    struct handed h = {token, SESSION_BYTES};
    struct buf b;
    uint8_t when[8];
    if (!token || !text)
        return cli_fail_err(ERR_NOMEM, NULL, "making the token");
    put_u64(when, expires_us);
    int rc = person_begin(&b, PEOPLE_VERB_TOKEN, name);
    if (!rc)
        rc = put_text8(&b, label, strlen(label));
    if (!rc)
        rc = buf_append(&b, when, sizeof when);
    int code = person_send(dir, s, &b, rc, take_handed, &h, NULL);
    if (code == CLI_GO) {
        text[b64url_encode(text, token, SESSION_BYTES)] = 0;
        if (json)
            printf("{\"name\":\"%s\",\"label\":\"%s\",\"token\":\"" SECRETS_MACHINE "%s\"}\n", name,
                   label, text);
        else
            printf(SECRETS_MACHINE "%s\n", text);
        if (!json)
            fprintf(stderr, "This is machine token %s of %s. It is shown this once.\n", label, name);
    }
    sodium_free(token);
    sodium_free(text);
    return code;
}

int person_token(int argc, char **argv) {
    static const struct cli_usage usage = {
        "safehouse person token NAME --label L [--expires WHEN] [--dir D] [--token-file F] [--json]\n"
        "       safehouse person token NAME --revoke L [--dir D] [--token-file F]",
        "Makes a machine token, with which a program signs in as that person, and prints it once; or "
        "revokes\n"
        "one. Made by an admin for somebody else, it makes the grants of reader, admin and eraser wait "
        "for a\n"
        "second admin: make the token first, then grant."};
    const char *dir = CLI_DIR_DEFAULT, *label = NULL, *revoke = NULL, *expires = NULL;
    struct cli_session s = {0};
    uint64_t expires_us = 0;
    bool json = false;
    struct buf b;
    const struct cli_option options[] = {
        {"--dir", "D", .text = &dir, .help = CLI_DIR_HELP},
        {"--label", "L", .text = &label, .help = "what it is called, a name of its own for each"},
        {"--expires", "WHEN", .text = &expires, .help = "30d, 12h, 45m, 2027-01-31; default never"},
        {"--revoke", "L", .text = &revoke, .help = "the one of this name stops working"},
        CLI_SESSION_OPTION(s),
        {"--json", NULL, .flag = &json, .help = "one object"},
        {0}};
    int code = cli_parse(&usage, options, argc, argv, 1, 1, NULL);
    if (code == CLI_GO && (label != NULL) == (revoke != NULL))
        code = cli_fail(CLI_USAGE, NULL, "name either --label or --revoke");
    if (code == CLI_GO && expires && !key_time_parse(expires, clock_wall_us(), &expires_us))
        code = cli_fail(CLI_USAGE, "say 30d, 12h, 45m or 2027-01-31", "--expires %.40s is no time to come",
                        expires);
    if (code == CLI_GO)
        code = session_load(dir, &s);
    if (code != CLI_GO)
        return code;
    read_harden();
    if (label) {
        code = make_token(dir, &s, argv[1], label, expires_us, json);
    } else {
        int rc = person_begin(&b, PEOPLE_VERB_UNTOKEN, argv[1]);
        if (!rc)
            rc = put_text8(&b, revoke, strlen(revoke));
        code = person_send(dir, &s, &b, rc, NULL, NULL, NULL);
        if (code == CLI_GO)
            printf("machine token %s of %s is revoked\n", revoke, argv[1]);
    }
    session_wipe(&s);
    return code == CLI_GO ? CLI_DONE : code;
}
