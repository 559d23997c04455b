/* Values for the places that they are put to (mask.h). All copies between are wiped. */
#include "llm/json.h"
#include "write/mask/mask.h"

int mask_put(struct buf *out, const struct mask *m, const struct mask_item *item, unsigned depth) {
    const uint8_t *value = m->plain.p + item->at;
    struct buf text[2];
    int rc = 0;
    if (depth == 0)
        return buf_append(out, value, item->value_len);
    if (depth == 1)
        return jv_escape(out, value, item->value_len);
    for (int i = 0; i < 2; i++)
        buf_init(&text[i], 8 * MASK_PLAIN);
    rc = jv_escape(&text[0], value, item->value_len);
    for (unsigned i = 1; !rc && i + 1 < depth; i++) {
        buf_clear(&text[i % 2]);
        rc = jv_escape(&text[i % 2], text[(i + 1) % 2].p, text[(i + 1) % 2].len);
    }
    if (!rc)
        rc = jv_escape(out, text[depth % 2].p, text[depth % 2].len);
    for (int i = 0; i < 2; i++)
        buf_wipe(&text[i]);
    return rc;
}
