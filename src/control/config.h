#ifndef CONTROL_CONFIG_H
#define CONTROL_CONFIG_H
/*
 * The configuration: one YAML file, read strictly. An unknown or repeated field, a value of the wrong
 * kind or out of range is an error with line and column, and names the nearest field that exists.
 * examples/safehouse.yaml shows every field.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"

#define CONFIG_ADDRESS 128
#define CONFIG_URL 1024
#define CONFIG_PATH 4096
#define CONFIG_LIST 64 /* entries of `models` and `replica` */

enum config_rule { CONFIG_STRICT, CONFIG_LENIENT };

struct config {
    char listen[CONFIG_ADDRESS];  /* "address:port", "" = not set */
    char console[CONFIG_ADDRESS];
    struct {
        char url[CONFIG_URL];             /* "" = not set */
        char name[LIMIT_NAME];            /* as in the clear columns */
        char credential_env[LIMIT_NAME];  /* the variable that holds the provider's key */
        char credential_file[CONFIG_PATH];
        char models[CONFIG_LIST][LIMIT_MODEL]; /* names that may stand in clear columns */
        size_t model_count;
    } upstream;
    struct {
        char certificate[CONFIG_PATH];
        char key[CONFIG_PATH];
    } tls;
    bool behind_tls_proxy;
    enum config_rule sandbox;          /* strict = required, lenient = best-effort */
    enum config_rule unencrypted_swap; /* strict = refuse, lenient = accept */
    struct {
        uint64_t workers;   /* 0 = as many as processors */
        uint64_t max_body;  /* bytes of a request's body */
        uint64_t ring_size; /* bytes of the exchange ring, 0 = default */
    } gateway;
    struct {
        char replica[CONFIG_LIST][CONFIG_PATH];
        size_t replica_count;
    } vault;
};

#define CONFIG_WHY 512

/* Large: on the heap. Every field at its default. NULL without memory. */
struct config *config_new(void);
void config_free(struct config *c); /* NULL-safe */

/*
 * Reads the file into c, over what is there. On failure `why` has "FILE:LINE:COLUMN: sentence" and c
 * is in no useful state. ERR_NOTFOUND: no such file; ERR_SYNTAX; ERR_LIMIT: larger than 1 MiB; ERR_IO.
 */
int config_load(struct config *c, const char *path, char why[CONFIG_WHY]);
/* The same from memory; `name` stands for the file in `why`. */
int config_parse(struct config *c, const char *name, const void *text, size_t len,
                 char why[CONFIG_WHY]);

#endif
