#ifndef LLM_ASSEMBLE_INT_H
#define LLM_ASSEMBLE_INT_H
/*
 * Within the assembly of streams: the small tree that a stream becomes, and what a dialect gives.
 *
 * A tree's strings grow as the raw insides of their JSON text, so escapes stay as they came, and a
 * surrogate pair that two events share is whole again. Everything lives for one call of assemble;
 * slices borrow from the stream, or from copies that assemble keeps until its end.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "llm/json.h"

#define TREE_DEPTH 8 /* of objects that are merged; deeper ones are replaced */

enum tree_kind {
    TREE_NONE,
    TREE_RAW,    /* a slice */
    TREE_TEXT,   /* a string, its inside in `text` */
    TREE_OBJECT, /* `items` by key */
    TREE_LIST,   /* an array, its elements with commas in `text` */
    TREE_CALLS,  /* an array, `items` by index */
    TREE_MADE,   /* any value, in `text` */
};

struct tree_item;

struct tree {
    enum tree_kind kind;
    struct jv raw;
    struct buf text;
    struct tree_item *items;
    size_t count;
};

struct tree_item {
    struct jv key;
    uint32_t index;
    struct tree value;
};

/* All functions that grow a tree count its items here: a stream has a ceiling. */
struct tree_budget {
    size_t items;
};

void tree_wipe(struct tree *t);
/* Nothing, or null. */
bool tree_is_vacant(const struct tree *t);
void tree_set(struct tree *t, struct jv v);
/* Empties it and makes it a TREE_TEXT, TREE_LIST or TREE_MADE. */
void tree_become(struct tree *t, enum tree_kind kind);
/* The object's member, new if there is none. ERR_LIMIT. */
int tree_member(struct tree_budget *b, struct tree *object, struct jv key, struct tree **ret);
/* The same with a literal name, and no member if there is none (NULL). */
struct tree *tree_find(struct tree *object, const char *name);
/* The element of that index, new if there is none and `max` allows it. ERR_LIMIT. */
int tree_at(struct tree_budget *b, struct tree *calls, uint32_t index, size_t max,
            struct tree **ret);
/* A string onto a text, an array's elements onto a list; what is of another kind gives way. */
int tree_append(struct tree *t, struct jv v);
/* One more element of a list. */
int tree_push(struct tree *list, struct jv element);
/* Every member of `object` set in the tree; null replaces nothing. */
int tree_update(struct tree_budget *b, struct tree *t, struct jv object);
/* Moves a tree to the place of a member; one that is nothing stays away. */
int tree_put(struct tree_budget *b, struct tree *object, struct jv key, struct tree *from);
int tree_write(struct buf *out, struct tree *t);

/* A literal name as a key: TREE_KEY("error"). */
#define TREE_KEY_INIT(name)                                                                        \
    { (const uint8_t *)"\"" name "\"", sizeof(name) + 1 }
#define TREE_KEY(name) ((struct jv)TREE_KEY_INIT(name))

/* What a dialect makes of a stream. State begins as `size` zero bytes. */
struct assembler {
    size_t size;
    /* `type`: the event's name, not NULL. ERR_SYNTAX, ERR_LIMIT: it is no stream of this dialect.
     */
    int (*add)(void *state, struct jv event, const uint8_t *type, size_t type_len);
    /* Nothing came yet that could be written. */
    bool (*empty)(const void *state);
    int (*write)(struct buf *out, void *state);
    void (*wipe)(void *state);
};

extern const struct assembler assembler_chat, assembler_completions, assembler_messages,
    assembler_responses;

/* Is the event's name `error`? */
bool assemble_is_error(const uint8_t *type, size_t len);

#endif
