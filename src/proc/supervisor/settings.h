#ifndef PROC_SUPERVISOR_SETTINGS_H
#define PROC_SUPERVISOR_SETTINGS_H
/*
 * What is in force: the configuration with what the command line says instead, complete, and the
 * providers' keys. Read as a whole at the start and at each reload; a reading that fails changes
 * nothing.
 *
 *   settings_load     the file
 *   (the caller listens, checks what must hold of the machine)
 *   settings_complete the provider, where none is configured; what is implied; the keys
 */
#include <stdint.h>

#include "control/config.h"
#include "control/config_credentials.h"
#include "proc/supervisor/upstream.h"
#include "proc/supervisor/why.h"

/* The command line's part, which stays as long as the process; texts are borrowed. */
struct settings_source {
    const char *file;     /* --config or NULL */
    const char *listen;   /* --listen or NULL */
    const char *console;  /* --console or NULL */
    const char *upstream; /* --upstream or NULL */
    const char *key_env;  /* --upstream-key-env or NULL */
    unsigned own_port;    /* of the gateway */
    unsigned prober_uid;  /* whom the search for a model server runs as, when root */
};

struct settings {
    struct config *config;
    struct config_credentials *credentials;
    struct upstream upstream; /* the one provider, and why; chosen is NULL with `providers` */
    struct upstream found;    /* what was looked for at the start, whether or not it is in use */
    int demo_fd;              /* listening; -1: no demo */
    uint64_t read_us;         /* wall clock */
};

/* All zero, demo_fd -1. */
void settings_init(struct settings *s);
/* ERR_* with `why`, which begins with FILE:LINE:COLUMN where there is one. */
int settings_load(const struct settings_source *source, struct settings *ret, struct why *why);
/* `before`: what is in force, at a reload; NULL at the start. */
int settings_complete(const struct settings_source *source, const struct settings *before,
                      struct settings *ret, struct why *why);
/* Also of half-read ones, and of none. */
void settings_done(struct settings *s);
/* Instead, of complete ones that did not come into force: variables that only they had read are set
 * again, so that the next reading finds them. */
void settings_give_up(struct settings *s, const struct settings *now);

/*
 * What a running installation cannot change: those fields of `next` are set back to what they are
 * in `now`. Their names, with commas, go to `out`; "" when there are none.
 */
#define SETTINGS_NAMES 512
void settings_keep(const struct settings_source *source, const struct settings *now,
                   struct settings *next, char out[SETTINGS_NAMES]);
/* The parts of the configuration that differ, as "providers, routes"; "" when none does. */
int settings_compare(const struct settings *now, const struct settings *next,
                     char out[SETTINGS_NAMES]);
/* One more name for such a list. */
void settings_add_name(char list[SETTINGS_NAMES], const char *name);

#endif
