#ifndef WRITE_MASK_MASK_H
#define WRITE_MASK_MASK_H
/*
 * Values of a request that the provider must not see, and what stands in their place. Pure: bytes in,
 * bytes out; doc/policy.md has the whole way.
 *
 *   struct mask m;
 *   mask_init(&m);
 *   mask_body(&m, &masked, body, len, &wish)      the body with placeholders, the values in m
 *   unmask_... (write/mask/unmask.h)              puts them back into the answer
 *   mask_done(&m);                                wipes
 *
 * A placeholder is "[[secret:CLASS:k0:TAG]]", of the form that the log has (number 0, which no key of
 * the log has), so that a detector that sees it takes it for what it is. It needs no escape in JSON. The
 * tag is the fingerprint (record/fingerprint.h) of the scope and the value as a reader has it: the same
 * for the same value, whatever its escapes are, and another one in another scope.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "write/detect/detect.h"

#define MASK_TEXT 96        /* of a placeholder, with NUL */
#define MASK_VALUES 4096    /* different ones in one request */
#define MASK_PLAIN (8u << 20) /* bytes of all of them */

struct mask_item {
    char text[MASK_TEXT];
    uint16_t len, rule;
    uint32_t at, value_len; /* in `plain` */
};

struct mask {
    struct mask_item *items; /* by text, each once */
    size_t count, cap;
    struct buf plain;
};

struct mask_wish {
    const struct detect *detect;
    const struct detect_findings *list; /* of the body, scanned as DETECT_JSON */
    bool (*wanted)(struct detect_rule_info rule, void *arg);
    void *arg;
    const uint8_t *key; /* FINGERPRINT_KEY_BYTES, borrowed */
    const char *scope;  /* whose values these are, with NUL bytes in it */
    size_t scope_len;
};

void mask_init(struct mask *m);
void mask_done(struct mask *m);

/*
 * Appends the body, which is JSON, to `out` (NULL: only the values are wanted) with placeholders in
 * place of the wanted findings. In strings, at any depth, JSON stays JSON; a bare number becomes a
 * string. ERR_UNSUPPORTED: a finding reaches over the end of its string, so that it cannot be replaced
 * as a whole; ERR_LIMIT: MASK_VALUES or MASK_PLAIN; ERR_NOMEM.
 */
int mask_body(struct mask *m, struct buf *out, const uint8_t *body, size_t len,
              const struct mask_wish *wish);

/* Appends the value, escaped as often as it lies in strings. */
int mask_put(struct buf *out, const struct mask *m, const struct mask_item *item, unsigned depth);

/* Where in a JSON text a byte lies, as far as that can be told without a word of the client's:
 * "messages[2].content". Names that no API has are "?". */
#define MASK_WHERE 128
void mask_where(char out[static MASK_WHERE], const uint8_t *body, size_t len, size_t at);

#endif
