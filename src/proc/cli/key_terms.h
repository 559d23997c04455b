#ifndef PROC_CLI_KEY_TERMS_H
#define PROC_CLI_KEY_TERMS_H
/*
 * What a key or a project may do, on the command line: the options that say it, and how it is
 * shown.
 *
 *   struct key_terms said = {0};
 *   const struct cli_option options[] = {..., KEY_TERMS_OPTIONS(said), {0}};
 */
#include "control/control_db.h"
#include "proc/cli/cli.h"

struct key_terms { /* as typed; NULL = not said */
    const char *models, *expires, *limits[LIMITS_FIELDS];
};

#define KEY_TERMS_OPTIONS(said)                                                                    \
    {"--models", "A,B*", .text = &(said).models, .help = "models it may ask for; \"*\": all"},     \
        {"--rpm", "N", .text = &(said).limits[0], .help = "requests a minute"},                    \
        {"--tpm", "N", .text = &(said).limits[1], .help = "tokens a minute"},                      \
        {"--concurrency", "N", .text = &(said).limits[2], .help = "requests at the same time"},    \
        {"--budget-day", "X", .text = &(said).limits[3],                                           \
         .help = "money a day (UTC), as in 12.50"},                                                \
        {"--budget-month", "X", .text = &(said).limits[4], .help = "money a month"},               \
        {"--tokens-day", "N", .text = &(said).limits[5], .help = "tokens a day"}, {                \
        "--tokens-month", "N", .text = &(said).limits[6],                                          \
                               .help = "tokens a month; for each limit also: none, default"        \
    }
#define KEY_TERMS_SYNOPSIS                                                                         \
    "[--models A,B*] [--rpm N] [--tpm N] [--concurrency N]\n"                                      \
    "       [--budget-day X] [--budget-month X] [--tokens-day N] [--tokens-month N]"

/* Puts what was said in place of what is in *terms. CLI_GO, or the exit code after it said what is
 * wrong. */
int key_terms_take(const struct key_terms *said, uint64_t now_us, struct control_terms *terms);

/* "2027-01-31T12:00:00Z", "-" for 0. */
void key_time_format(char out[32], uint64_t us);
/* "2027-01-31", "2027-01-31T12:00:00Z". */
bool key_date_parse(const char *text, uint64_t *ret_us);
/* "30d", "12h", "45m". */
bool key_span_parse(const char *text, uint64_t *ret_us);
/* "30d", "12h", "45m", "2027-01-31", "2027-01-31T12:00:00Z", "never" (0): wall time after now. */
bool key_time_parse(const char *text, uint64_t now_us, uint64_t *ret_us);
/* "rpm=100 budget-day=12.5 models=a,b", "-" when nothing is said. */
void key_terms_print(const struct control_terms *terms);
/* Adds "models" (a list) and "limits" (an object; null = no limit) to o, if they are said. */
bool key_terms_json(json_t *o, const struct control_terms *terms);

#endif
