/* The nesting of nest.h: a lexer of strings for each level, fed with what the level above decodes. */
#include "write/mask/nest.h"

#include <string.h>

enum state {
    NEW,    /* nothing but white space so far */
    OBJECT, /* after the first bracket: is it one? */
    ARRAY,
    JSON,
    TEXT,
};

void nest_begin(struct nest *n) {
    *n = (struct nest){0};
    n->level[0].state = JSON;
    n->level[0].inside = true;
}

static bool is_space(uint8_t c) {
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static uint8_t first(uint8_t c) {
    return is_space(c) ? NEW : c == '{' ? OBJECT : c == '[' ? ARRAY : TEXT;
}

static uint8_t after_bracket(uint8_t state, uint8_t c) {
    if (is_space(c) || (state == ARRAY && c == '['))
        return state;
    if (c == '"' || c == (state == OBJECT ? '}' : ']'))
        return JSON;
    return state == ARRAY && c && (strchr("{-", c) || (c >= '0' && c <= '9')) ? JSON : TEXT;
}

/* The next byte of a string's text, decoded; true: there is one, in *c. */
static bool decode(struct nest_level *l, uint8_t *c) {
    static const char from[] = "nrtbf", to[] = "\n\r\t\b\f";
    if (l->escape == 0) {
        l->escape = *c == '\\';
        return !l->escape;
    }
    if (l->escape == 1) {
        const char *at = *c ? strchr(from, *c) : NULL;
        l->escape = *c == 'u' ? 2 : 0;
        l->hex = 0;
        if (at)
            *c = (uint8_t)to[at - from];
        return l->escape == 0;
    }
    uint8_t small = (uint8_t)(*c | 0x20);
    uint8_t digit = *c >= '0' && *c <= '9' ? (uint8_t)(*c - '0') : (uint8_t)(small - 'a' + 10);
    l->hex = (uint16_t)(l->hex << 4 | (digit & 15));
    if (++l->escape < 6)
        return false;
    l->escape = 0;
    *c = l->hex < 0x80 ? (uint8_t)l->hex : 0x80; /* any other character is the same to us */
    return true;
}

void nest_feed(struct nest *n, uint8_t c) {
    for (struct nest_level *l = n->level; l < n->level + NEST_LEVELS; l++) {
        if (l->state == NEW) {
            l->state = first(c);
            return;
        }
        if (l->state == OBJECT || l->state == ARRAY)
            l->state = after_bracket(l->state, c);
        if (l->state != JSON)
            return;
        if (!l->inside) {
            l->inside = c == '"';
            if (l->inside && l + 1 < n->level + NEST_LEVELS)
                memset(l + 1, 0, (size_t)(n->level + NEST_LEVELS - (l + 1)) * sizeof *l);
            return;
        }
        if (l->escape == 0 && c == '"') {
            l->inside = false;
            return;
        }
        if (!decode(l, &c))
            return;
    }
}

unsigned nest_depth(const struct nest *n) {
    unsigned depth = 0;
    while (depth < NEST_LEVELS && n->level[depth].state == JSON && n->level[depth].inside &&
           n->level[depth].escape == 0)
        depth++;
    return depth;
}

void nest_text(struct nest *n) {
    unsigned depth = nest_depth(n);
    if (depth < NEST_LEVELS && n->level[depth].state < JSON)
        n->level[depth].state = TEXT;
}

bool nest_is_prose(const struct nest *n) {
    return n->level[0].inside && n->level[0].escape == 0 && n->level[1].state == TEXT;
}
