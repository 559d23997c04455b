#ifndef CONTROL_CONFIG_INT_H
#define CONTROL_CONFIG_INT_H
/*
 * How the configuration's fields are described: tables that one reader (config_read.c), one printer
 * (config_describe.c) and config_free walk along. A table entry says the field's name, its kind,
 * and where its value lies in the struct that the table is for.
 */
#include <yaml.h>

#include "control/config.h"

enum config_kind {
    CONFIG_SECTION, /* a map of known fields: `sub` */
    CONFIG_TEXT,
    CONFIG_FLAG,
    CONFIG_NUMBER,   /* min..max; `none` where max_word is set */
    CONFIG_SIZE,     /* bytes, with units */
    CONFIG_DURATION, /* "10s", "500ms", "10m", "1h" -> milliseconds */
    CONFIG_MONEY,    /* decimal -> nano */
    CONFIG_RULE,     /* one of two words */
    CONFIG_TEXTS,    /* a list of texts in a fixed array */
    CONFIG_NAMES,    /* a list of texts in a struct config_names */
    CONFIG_PAIRS,    /* a map of texts in a struct config_pairs */
    CONFIG_ITEMS,    /* a list of maps: `sub`, in a growing array */
    CONFIG_MAP, /* a map by names of maps: `sub`, in a growing array of structs with a name first */
    CONFIG_DIALECTS, /* a word or a list of words -> bits */
};

struct config_schema;

struct config_field {
    const char *name;
    enum config_kind kind;
    size_t offset;
    size_t room;          /* text: bytes with NUL; lists: most entries */
    size_t count_offset;  /* CONFIG_TEXTS */
    uint64_t min, max;    /* numbers, sizes, durations, money */
    const char *words[2]; /* rule: strict, lenient */
    bool none;            /* number, money: "none" = 0, whatever min says */
    const struct config_schema *sub;
};

struct config_schema {
    const char *where; /* the word before the dot in messages; "" = top level */
    const struct config_field *fields;
    size_t count;
    size_t bytes;                 /* of the struct; entries of ITEMS and MAP */
    size_t name_room;             /* MAP: of the name, which is first in the struct */
    size_t mark_offset;           /* of a struct config_mark; SECTION: 0 = none */
    void (*defaults)(void *item); /* NULL = zeros */
};

/* Every growing list is this in memory: a pointer and a count. */
struct config_array {
    void *at;
    size_t count;
};

extern const struct config_schema config_schema; /* config_fields.c */
void config_provider_defaults(void *provider);
/* 0 or ERR_NOMEM; *ret is the new zeroed entry. */
int config_array_add(struct config_array *a, size_t bytes, void **ret);

struct config_reading {
    const char *name; /* of the file */
    char *why;
    yaml_document_t *document;
};

/* Writes "FILE:LINE:COLUMN: sentence"; ERR_SYNTAX. */
int config_wrong(struct config_reading *r, struct config_mark at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* config_read.c: along the schema, from this node into the struct at `base`. */
int config_read_section(struct config_reading *r, yaml_node_t *map,
                        const struct config_schema *schema, const char *called, void *base);

/* config_value.c: single values. */
struct config_mark config_mark_of(const yaml_node_t *n);
const char *config_scalar(const yaml_node_t *n); /* NULL = not a scalar, or a NUL in it */
int config_take_text(struct config_reading *r, const yaml_node_t *value, const char *name,
                     char *out, size_t room);
int config_take_number(struct config_reading *r, const yaml_node_t *value,
                       const struct config_field *f, uint64_t *ret);
int config_take_word(struct config_reading *r, const yaml_node_t *value, const char *name,
                     const char *zero, const char *one, bool *ret);
int config_take_dialects(struct config_reading *r, yaml_node_t *value, const char *name,
                         uint32_t *ret);

/* config_check.c: what the fields alone do not say: references, combinations. */
int config_check(struct config_reading *r, const struct config *c);

#endif
