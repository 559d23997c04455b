#ifndef QUERY_ROWTYPE_H
#define QUERY_ROWTYPE_H
/*
 * ClickHouse's types as far as one must know them to step over values in RowBinary and Native: how many
 * bytes a value has, and where strings are. Names and layouts are those of ClickHouse's documentation
 * (Formats / RowBinary, Native) and of its src/DataTypes/Serializations.
 */
#include <stddef.h>
#include <stdint.h>

#define ROWTYPE_NODES 1024 /* of all columns */
#define ROWTYPE_DEPTH 16

enum rowtype_kind {
    ROWTYPE_FIXED,    /* `size` bytes */
    ROWTYPE_STRING,   /* a length, then its bytes */
    ROWTYPE_NULLABLE, /* of the child */
    ROWTYPE_ARRAY,
    ROWTYPE_MAP,   /* two children */
    ROWTYPE_TUPLE, /* `size` children */
    ROWTYPE_LOW,   /* LowCardinality of the child */
};

struct rowtype {
    enum rowtype_kind kind;
    uint32_t size;
    uint16_t child; /* its number; those of a tuple or map follow by `next` */
    uint16_t next;  /* 0: none */
};

struct rowtypes {
    struct rowtype at[ROWTYPE_NODES]; /* number 0 is not used */
    uint16_t n;
};

/* Reads a type's name, as "Array(Nullable(String))"; *ret: its number. ERR_UNSUPPORTED: a type whose values
 * are not known here; ERR_SYNTAX; ERR_LIMIT. `t` begins all zero. */
int rowtype_parse(struct rowtypes *t, const char *text, size_t len, uint16_t *ret);

#endif
