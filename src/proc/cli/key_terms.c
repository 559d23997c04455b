/*
 * The limits of keys and projects as words (key_terms.h): read from options, printed for people and
 * for scripts. In the command line's process.
 */
#include "proc/cli/key_terms.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/err.h"
#include "control/money.h"

#define SECOND_US 1000000ull

/* In the order of limits_fields. */
static const char *const names[LIMITS_FIELDS] = {
    "rpm", "tpm", "concurrency", "budget-day", "budget-month", "tokens-day", "tokens-month"};

void key_time_format(char out[32], uint64_t us) {
    clock_utc(out, us);
    if (us == 0)
        memcpy(out, "-", 2);
}

bool key_date_parse(const char *text, uint64_t *ret_us) {
    struct tm parts = {0};
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    if (!rest) {
        memset(&parts, 0, sizeof parts);
        rest = strptime(text, "%Y-%m-%d", &parts);
    }
    const time_t t = rest && *rest == 0 ? timegm(&parts) : 0;
    *ret_us = (uint64_t)t * SECOND_US;
    return t > 0;
}

bool key_span_parse(const char *text, uint64_t *ret_us) {
    char *end;
    unsigned long long n = text[0] >= '0' && text[0] <= '9' ? strtoull(text, &end, 10) : 0;
    if (n == 0 || n > 1000000 || end[0] == 0 || end[1] != 0)
        return false;
    unsigned seconds = end[0] == 'd' ? 86400 : end[0] == 'h' ? 3600 : end[0] == 'm' ? 60 : 0;
    *ret_us = n * seconds * SECOND_US;
    return seconds != 0;
}

bool key_time_parse(const char *text, uint64_t now_us, uint64_t *ret_us) {
    if (strcmp(text, "never") == 0) {
        *ret_us = 0;
        return true;
    }
    if (key_date_parse(text, ret_us))
        return *ret_us > now_us;
    if (!key_span_parse(text, ret_us))
        return false;
    *ret_us += now_us;
    return true;
}

static bool parse_number(const char *text, uint64_t *ret) {
    char *end;
    errno = 0;
    unsigned long long v = text[0] >= '0' && text[0] <= '9' ? strtoull(text, &end, 10) : 0;
    *ret = v;
    return text[0] >= '0' && text[0] <= '9' && *end == 0 && errno == 0;
}

static int take_limit(const char *text, size_t i, uint64_t *ret) {
    const struct limits_field *f = &limits_fields[i];
    char most[32];
    uint64_t v = 0;
    if (strcmp(text, "none") == 0)
        *ret = 0;
    else if (strcmp(text, "default") == 0)
        *ret = LIMITS_INHERIT;
    else if ((f->money ? money_parse(text, &v) : parse_number(text, &v)) && v > 0 && v <= f->max)
        *ret = v;
    else {
        if (f->money)
            money_format(most, f->max);
        else
            snprintf(most, sizeof most, "%" PRIu64, f->max);
        return cli_fail(CLI_USAGE,
                        "none takes the limit away, default leaves it to the "
                        "configuration",
                        "--%s must be %s above 0 and up to %s, not %.40s", names[i],
                        f->money ? "an amount" : "a number", most, text);
    }
    return CLI_GO;
}

static int take_models(const char *text, struct control_terms *terms) {
    bool all = strcmp(text, "*") == 0, leave = strcmp(text, "default") == 0;
    if (text[0] == 0 || !control_models_valid(text))
        return cli_fail(CLI_USAGE, "as in --models deepseek-flash,\"gpt-*\"",
                        "--models %.60s is no list of models", text);
    memset(terms->models, 0, sizeof terms->models);
    terms->models_set = !leave;
    if (!all && !leave)
        memcpy(terms->models, text, strlen(text));
    return CLI_GO;
}

int key_terms_take(const struct key_terms *said, uint64_t now_us, struct control_terms *terms) {
    int code = CLI_GO;
    if (said->expires && !key_time_parse(said->expires, now_us, &terms->expires_us))
        return cli_fail(CLI_USAGE, "give a time to come as 30d, 12h, 45m or 2027-01-31",
                        "--expires %.40s is no such time", said->expires);
    if (said->models)
        code = take_models(said->models, terms);
    for (size_t i = 0; i < LIMITS_FIELDS && code == CLI_GO; i++)
        if (said->limits[i])
            code = take_limit(said->limits[i], i, limits_field_of(&terms->limits, i));
    return code;
}

/* ---- showing ---- */

static void limit_text(char out[MONEY_TEXT], size_t i, uint64_t v) {
    if (v == 0)
        memcpy(out, "none", 5);
    else if (limits_fields[i].money)
        money_format(out, v);
    else
        snprintf(out, MONEY_TEXT, "%" PRIu64, v);
}

void key_terms_print(const struct control_terms *terms) {
    struct limits_set limits = terms->limits;
    const char *blank = "";
    for (size_t i = 0; i < LIMITS_FIELDS; i++) {
        char text[MONEY_TEXT];
        uint64_t v = *limits_field_of(&limits, i);
        if (v == LIMITS_INHERIT)
            continue;
        limit_text(text, i, v);
        printf("%s%s=%s", blank, names[i], text);
        blank = " ";
    }
    if (terms->models_set)
        printf("%smodels=%s", blank, terms->models[0] ? terms->models : "*");
    else if (!*blank)
        printf("-");
}

static json_t *models_json(const char *models) {
    json_t *list = json_array();
    if (list && !*models)
        json_array_append_new(list, json_string("*"));
    for (const char *p = models; list && *p;
         p += p[strcspn(p, ",")] ? strcspn(p, ",") + 1 : strcspn(p, ","))
        json_array_append_new(list, json_stringn(p, strcspn(p, ",")));
    return list;
}

/* Money is a string: a decimal that no reader rounds. */
static json_t *limit_json(size_t i, uint64_t v) {
    char text[MONEY_TEXT];
    if (v == 0)
        return json_null();
    if (!limits_fields[i].money)
        return json_integer((json_int_t)v);
    money_format(text, v);
    return json_string(text);
}

bool key_terms_json(json_t *o, const struct control_terms *terms) {
    struct limits_set set = terms->limits;
    json_t *limits = json_object();
    for (size_t i = 0; i < LIMITS_FIELDS && limits; i++) {
        uint64_t v = *limits_field_of(&set, i);
        if (v != LIMITS_INHERIT &&
            json_object_set_new(limits, limits_fields[i].name, limit_json(i, v)))
            return false;
    }
    if (terms->models_set && json_object_set_new(o, "models", models_json(terms->models)))
        return false;
    return limits && json_object_set_new(o, "limits", limits) == 0;
}
