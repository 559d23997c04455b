#ifndef TEST_UNIT_VECTORS_H
#define TEST_UNIT_VECTORS_H
/*
 * Golden files: test/vectors/NAME.txt, lines "name hex" and comments. Every later version must
 * still read and write what stands there, so a value is never changed; a new form gets new names.
 * Include after cmocka.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

#define VECTORS_MAX 128
#define VECTOR_LINE 65536

struct vector {
    char name[48];
    size_t len;
    uint8_t *p;
};

static struct vector vectors[VECTORS_MAX];
static size_t vectors_count;

/* Replaces what was loaded before. */
static inline void vectors_load(const char *file) {
    static char line[VECTOR_LINE];
    char path[128];
    snprintf(path, sizeof path, "test/vectors/%s.txt", file);
    FILE *f = fopen(path, "r");
    if (!f)
        fail_msg("%s: run from the project's folder", path);
    while (vectors_count > 0)
        free(vectors[--vectors_count].p);
    while (fgets(line, sizeof line, f)) {
        size_t len = strcspn(line, "\n"), name = strcspn(line, " \n");
        struct vector *v = &vectors[vectors_count];
        if (line[0] == '#')
            continue;
        assert_true(vectors_count < VECTORS_MAX && name < sizeof v->name);
        memcpy(v->name, line, name);
        v->name[name] = 0;
        size_t at = name < len ? name + 1 : len;
        v->len = (len - at) / 2;
        v->p = malloc(v->len + 1);
        assert_true(v->p && hex_decode(v->p, v->len, line + at, len - at));
        v->p[v->len] = 0; /* texts can be used as strings */
        vectors_count++;
    }
    fclose(f);
}

/* The one called `prefix` and `name` together; prefix may be "". Borrowed until the next load. */
static inline const struct vector *vector2(const char *prefix, const char *name) {
    static const struct vector none;
    size_t n = strlen(prefix);
    for (size_t i = 0; i < vectors_count; i++)
        if (strncmp(vectors[i].name, prefix, n) == 0 && strcmp(vectors[i].name + n, name) == 0)
            return &vectors[i];
    fail_msg("no vector %s%s", prefix, name);
    return &none;
}

static inline const struct vector *vector(const char *name) {
    return vector2("", name);
}

static inline uint64_t vector_number(const char *prefix, const char *name) {
    const struct vector *v = vector2(prefix, name);
    uint64_t n = 0;
    for (size_t i = v->len; i-- > 0;)
        n = n << 8 | v->p[i];
    return n;
}

static inline void vector_copy(void *to, size_t len, const char *prefix, const char *name) {
    const struct vector *v = vector2(prefix, name);
    assert_int_equal(v->len, len);
    memcpy(to, v->p, len);
}

static inline void vector_text(char *to, size_t size, const char *prefix, const char *name) {
    const struct vector *v = vector2(prefix, name);
    assert_true(v->len < size);
    memcpy(to, v->p, v->len + 1);
}

static inline void vector_equals(const char *prefix, const char *name, const void *p, size_t len) {
    const struct vector *v = vector2(prefix, name);
    assert_int_equal(len, v->len);
    assert_memory_equal(p, v->p, len);
}

#endif
