/*
 * The end of a stream of events (terminal.h). A state of three bytes for each stream, no
 * allocation.
 */
#include "write/gateway/terminal.h"

#include <string.h>

#define ANOTHER_LINE 255
#define SPACE_AT 5 /* the one character of the text that may be left out */

static const char text[] = "data: [DONE]";

void terminal_init(struct terminal *t) {
    *t = (struct terminal){.between = true};
}

/* The first CR or LF in [p, e), or e. */
static const uint8_t *line_end(const uint8_t *p, const uint8_t *e) {
    const uint8_t *lf = memchr(p, '\n', (size_t)(e - p));
    if (lf)
        e = lf;
    const uint8_t *cr = memchr(p, '\r', (size_t)(e - p));
    return cr ? cr : e;
}

static void match(struct terminal *t, uint8_t c) {
    if (t->matched == SPACE_AT && c == (uint8_t)text[SPACE_AT + 1])
        t->matched++;
    t->matched = c == (uint8_t)text[t->matched] ? (uint8_t)(t->matched + 1) : ANOTHER_LINE;
}

size_t terminal_feed(struct terminal *t, const uint8_t *p, size_t n) {
    const uint8_t *at = p, *e = p + n;
    while (at < e) {
        if (t->matched == ANOTHER_LINE && (at = line_end(at, e)) == e)
            break;
        uint8_t c = *at++;
        bool second = c == '\n' && t->after_cr;
        t->after_cr = c == '\r';
        if (second)
            continue;
        if (c == '\n' || c == '\r') {
            t->between = t->matched == 0;
            t->matched = 0;
            continue;
        }
        t->between = false;
        match(t, c);
        if (t->matched == sizeof text - 1)
            return (size_t)(at - p);
    }
    return 0;
}

size_t terminal_rest(const uint8_t *p, size_t n) {
    size_t i = 0;
    while (i < n && (p[i] == '\n' || p[i] == '\r'))
        i++;
    return i;
}
