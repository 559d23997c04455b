/* The views of dash.h. Milliseconds have one digit, money is in the price's currency. */
#include "store/dash.h"

#define HOUR "toStartOfHour(time) AS hour"
#define DAY "toDate(time) AS day"
#define FROM " FROM safehouse.interactions"
#define COST "sum(cost_nano) / 1e9"
#define QUANTILES(of, suffix)                                                                      \
    "round(quantile(0.5)(" of ") / 1000, 1) AS p50" suffix ", round(quantile(0.9)(" of ") / 1000, 1) AS p90" suffix \
    ", round(quantile(0.95)(" of ") / 1000, 1) AS p95" suffix ", round(quantile(0.99)(" of ") / 1000, 1) AS p99" suffix
/* A ratio of two sums; 0 where nothing is divided. */
#define RATIO(a, b) "if(" b " = 0, 0, round(" a " / " b ", 4))"

const struct view dash_views[] = {
    /* how much */
    {"dash_requests", "requests by hour, and how they ended",
     "SELECT " HOUR ", project, count() AS requests, countIf(outcome = 'complete') AS complete,"
     " countIf(outcome = 'cancelled') AS cancelled, countIf(outcome = 'cut') AS cut,"
     " countIf(outcome = 'refused') AS refused" FROM " GROUP BY hour, project"},
    {"dash_requests_by_model", "requests by hour and model",
     "SELECT " HOUR ", project, model, count() AS requests" FROM " GROUP BY hour, project, model"},
    {"dash_requests_by_key", "requests by hour and API key",
     "SELECT " HOUR ", project, key, count() AS requests, max(time) AS last" FROM " GROUP BY hour, project, key"},
    {"dash_requests_by_provider", "requests by hour and provider",
     "SELECT " HOUR ", project, provider, count() AS requests" FROM " GROUP BY hour, project, provider"},
    {"dash_requests_by_weekday", "requests by day of the week and hour of the day, UTC",
     "SELECT " DAY ", project, toDayOfWeek(time) AS weekday, toHour(time) AS hour_of_day, count() AS requests"
     FROM " GROUP BY day, project, weekday, hour_of_day"},
    {"dash_active", "people (pseudonyms), keys and conversations that were active, by day",
     "SELECT " DAY ", project, uniq(subject) AS subjects, uniq(key) AS keys, uniq(conversation) AS conversations,"
     " count() AS requests, " RATIO("requests", "conversations") " AS turns_each" FROM " GROUP BY day, project"},
    /* cost */
    {"dash_cost", "cost by hour",
     "SELECT " HOUR ", project, " COST " AS cost" FROM " GROUP BY hour, project"},
    {"dash_cost_by_model", "cost by day and model, a request and a thousand tokens",
     "SELECT " DAY ", project, model, " COST " AS cost, cost / count() AS cost_a_request,"
     " " RATIO("1000 * cost", "sum(tokens_input + tokens_output)") " AS cost_a_thousand_tokens"
     FROM " GROUP BY day, project, model"},
    {"dash_cost_by_key", "cost by day and API key",
     "SELECT " DAY ", project, key, " COST " AS cost, count() AS requests" FROM " GROUP BY day, project, key"},
    {"dash_cost_by_project", "cost by month and project",
     "SELECT toStartOfMonth(time) AS month, project, " COST " AS cost, count() AS requests"
     FROM " GROUP BY month, project"},
    /* tokens */
    {"dash_tokens", "tokens by hour: in, out, from the cache, reasoning",
     "SELECT " HOUR ", project, sum(tokens_input) AS input, sum(tokens_output) AS output,"
     " sum(tokens_cached) AS cached, sum(tokens_reasoning) AS reasoning" FROM " GROUP BY hour, project"},
    {"dash_tokens_by_model", "tokens by hour and model",
     "SELECT " HOUR ", project, model, sum(tokens_input) AS input, sum(tokens_output) AS output"
     FROM " GROUP BY hour, project, model"},
    {"dash_tokens_by_key", "tokens by day and API key",
     "SELECT " DAY ", project, key, sum(tokens_input) AS input, sum(tokens_output) AS output"
     FROM " GROUP BY day, project, key"},
    {"dash_prompt_size", "sizes of prompts in thousands of tokens by day: percentiles and the largest",
     "SELECT " DAY ", project, " QUANTILES("tokens_input", "") ", max(tokens_input) / 1000 AS largest"
     FROM " WHERE tokens_input > 0 GROUP BY day, project"},
    {"dash_cache_hits", "share of input tokens that the provider had in its cache, by hour and model",
     "SELECT " HOUR ", project, model, " RATIO("sum(tokens_cached)", "sum(tokens_input)") " AS ratio"
     FROM " GROUP BY hour, project, model"},
    {"dash_usage", "who counted the tokens: the provider, or an estimate, by day",
     "SELECT " DAY ", project, usage, count() AS requests" FROM " GROUP BY day, project, usage"},
    /* time */
    {"dash_latency", "milliseconds to the answer's end by hour: percentiles",
     "SELECT " HOUR ", project, " QUANTILES("duration_us", "_ms") FROM
     " WHERE outcome = 'complete' GROUP BY hour, project"},
    {"dash_latency_by_model", "milliseconds to the answer's end by hour and model",
     "SELECT " HOUR ", project, model, " QUANTILES("duration_us", "_ms") FROM
     " WHERE outcome = 'complete' GROUP BY hour, project, model"},
    {"dash_latency_by_provider", "milliseconds to the answer's end by hour and provider",
     "SELECT " HOUR ", project, provider, " QUANTILES("duration_us", "_ms") FROM
     " WHERE outcome = 'complete' GROUP BY hour, project, provider"},
    {"dash_first_token", "milliseconds to the first byte of a streamed answer by hour",
     "SELECT " HOUR ", project, " QUANTILES("ttft_us", "_ms") FROM
     " WHERE streamed AND ttft_us > 0 GROUP BY hour, project"},
    {"dash_first_token_by_model", "milliseconds to the first byte of a streamed answer by hour and model",
     "SELECT " HOUR ", project, model, " QUANTILES("ttft_us", "_ms") FROM
     " WHERE streamed AND ttft_us > 0 GROUP BY hour, project, model"},
    {"dash_output_speed", "output tokens a second, after the first, by hour and model",
     "SELECT " HOUR ", project, model, round(quantile(0.5)(1e6 * tokens_output / (duration_us - ttft_us)), 1)"
     " AS tokens_a_second" FROM " WHERE streamed AND tokens_output > 1 AND duration_us > ttft_us + 1000"
     " GROUP BY hour, project, model"},
    {"dash_overhead", "microseconds that the gateway itself took, by hour",
     "SELECT " HOUR ", project, round(quantile(0.5)(overhead_us)) AS p50_us,"
     " round(quantile(0.99)(overhead_us)) AS p99_us, max(overhead_us) AS max_us" FROM
     " WHERE attempts = 1 GROUP BY hour, project"},
    {"dash_streaming", "share of requests that were streamed, by hour",
     "SELECT " HOUR ", project, " RATIO("countIf(streamed)", "count()") " AS ratio" FROM " GROUP BY hour, project"},
    /* what went wrong */
    {"dash_errors", "errors by hour and class",
     "SELECT " HOUR ", project, error, count() AS requests" FROM " WHERE error != '' GROUP BY hour, project, error"},
    {"dash_error_rate", "share of requests with an error, by hour and model",
     "SELECT " HOUR ", project, model, countIf(error != '') AS errors, count() AS requests,"
     " " RATIO("errors", "requests") " AS ratio" FROM " GROUP BY hour, project, model"},
    {"dash_status", "requests by hour and HTTP status",
     "SELECT " HOUR ", project, status, count() AS requests" FROM " GROUP BY hour, project, status"},
    {"dash_refusals", "what the gateway refused by hour, why, and which key's requests",
     "SELECT " HOUR ", project, key, error, count() AS requests" FROM
     " WHERE outcome = 'refused' GROUP BY hour, project, key, error"},
    {"dash_attempts", "requests that took more than one connection, by hour and provider",
     "SELECT " HOUR ", project, provider, countIf(attempts > 1) AS retried, count() AS requests,"
     " " RATIO("retried", "requests") " AS ratio" FROM " GROUP BY hour, project, provider"},
    {"dash_finish", "why answers ended, by day and model",
     "SELECT " DAY ", project, model, finish, count() AS requests" FROM
     " WHERE finish != '' GROUP BY day, project, model, finish"},
    /* who, and what was found */
    {"dash_top_subjects", "who uses it most, by pseudonym and day",
     "SELECT " DAY ", project, subject, count() AS requests, sum(tokens_input + tokens_output) AS tokens, " COST
     " AS cost, max(time) AS last" FROM " GROUP BY day, project, subject"},
    {"dash_findings", "what the detector found, by day, class and place",
     "SELECT " DAY ", project, class, place, sum(count) AS times, uniq(interaction) AS interactions,"
     " uniq(subject) AS subjects FROM safehouse.findings GROUP BY day, project, class, place"},
    {"dash_leaks", "secrets that were seen, by their fingerprint: how often, and through how many keys and people",
     "SELECT " DAY ", project, class, fingerprint, sum(count) AS times, uniq(key) AS keys, uniq(subject) AS subjects,"
     " max(time) AS last FROM safehouse.findings WHERE fingerprint != '' GROUP BY day, project, class, fingerprint"},
};
const unsigned dash_views_n = sizeof dash_views / sizeof dash_views[0];
