/* The guard's lists: tables, functions, formats. */
#include <string.h>
#include <strings.h>

#include "store/catalogue.h"
#include "store/dash.h"
#include "store/formats.h"
#include "store/guard_int.h"
#include "store/store.h"

bool guard_same(const char *p, size_t len, const char *word) {
    return strlen(word) == len && strncasecmp(p, word, len) == 0;
}

bool guard_in_list(const char *p, size_t len, const char *const *list) {
    for (; *list; list++)
        if (guard_same(p, len, *list))
            return true;
    return false;
}

static bool equal(const char *p, size_t len, const char *name) {
    return strlen(name) == len && memcmp(p, name, len) == 0;
}

bool guard_table_listed(const char *p, size_t len) {
    static const char *const held[] = {"held_turns", "held_interactions", "held_findings"};
    for (size_t i = 0; i < sizeof held / sizeof held[0]; i++)
        if (equal(p, len, held[i]))
            return true;
    for (int t = ROWS_DATA_KEYS; t <= (int)STORE_LEAVES; t++)
        if (equal(p, len, store_table_name((enum rows_table)t)))
            return true;
    for (unsigned i = 0; i < dash_views_n; i++)
        if (equal(p, len, dash_views[i].name))
            return true;
    return false;
}

bool guard_catalogue_listed(const char *p, size_t len) {
    for (unsigned i = 0; i < catalogue_views_n; i++)
        if (equal(p, len, catalogue_views[i].name))
            return true;
    return false;
}

/* Functions that take time beyond all measure over one value, in which nothing interrupts them. There are
 * others, which are of use; see proc/store/console.c on what is done about those. */
static const char *const endless_functions[] = {
    "arrayFold",        "arrayLevenshtein*", "arrayReduceInRanges", "arraySimilarity", "damerauLevenshtein*",
    "editDistance*",    "h3*",               "kolmogorovSmirnov*",  "levenshtein*",    "polygon*",
    "readWKT*",         "seriesDecompose*",  NULL,
};

/* Functions that reach files, the network, dictionaries, models, settings or the machine; that wait;
 * that write to a log; or that look into tables by name. A name ending in * is a prefix. */
static const char *const denied_functions[] = {
    "__*",                  "addressTo*",           "ai*",                  "authenticatedUser",
    "authUser",             "buildId",              "catboost*",            "chdb",
    "connection*",          "currentProfiles",      "currentRoles",         "defaultProfiles",
    "defaultRoles",         "demangle",             "dict*",                "displayName",
    "embed*",               "enabled*",             "eval*",                "executable*",
    "file",                 "filesystem*",          "formatRow*",           "fqdn",
    "fullHostName",         "fuzz*",                "generateSerialID",     "getClient*",
    "getMacro",             "getMax*",              "getMergeTree*",        "getOSKernelVersion",
    "getServer*",           "getSetting*",          "globalVariable",       "hasColumnInTable",
    "hasThreadFuzzer",      "hostname",             "indexHint",            "joinGet*",             "lemmatize",
    "llm*",                 "logTrace",             "naiveBayes*",          "region*",
    "remote*",              "reverseDNS*",          "s3*",                  "serverUUID",
    "showCertificate",      "sleep*",               "stem",                 "structureTo*",
    "synonyms",             "tcpPort",              "tid",                  "transaction*",
    "uptime",               "url",                  "zookeeper*",           NULL,
};

static bool matches(const char *const *list, const char *name, size_t len) {
    for (; *list; list++) {
        const size_t n = strlen(*list);
        if ((*list)[n - 1] == '*' ? len >= n - 1 && strncasecmp(name, *list, n - 1) == 0
                                  : guard_same(name, len, *list))
            return true;
    }
    return false;
}

bool guard_function_denied(const char *name, size_t len) {
    return matches(denied_functions, name, len) || matches(endless_functions, name, len);
}

const char *guard_format(const char *name, size_t len) {
    static const char *const names[] = {
#define FORMAT_NAME_(n, family) n,
        FORMATS(FORMAT_NAME_)
#undef FORMAT_NAME_
        NULL,
    };
    for (const char *const *f = names; *f; f++)
        if (guard_same(name, len, *f))
            return *f;
    return NULL;
}
