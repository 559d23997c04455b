/*
 * A report's object as text (dossier.h): Markdown that reads well as it is. Texts come from outside
 * too (reasons, tags, names): they stay on their line, and within their cell.
 */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "proc/cli/dossier.h"

#define ROWS_SHOWN 200

static int put_text(struct buf *out, const char *text, bool cell) {
    int rc = 0;
    for (const char *p = text; !rc && *p; p++) {
        if (cell && *p == '|')
            rc = buf_append_u8(out, '\\');
        if (!rc)
            rc = buf_append_u8(out, (unsigned char)*p < 0x20 || *p == 0x7f ? ' ' : (uint8_t)*p);
    }
    return rc;
}

/* "data_protection_officer" as words, the first one large. */
static int put_name(struct buf *out, const char *name, bool large) {
    int rc = 0;
    for (size_t i = 0; !rc && name[i]; i++) {
        const char c = name[i] == '_' ? ' ' : name[i];
        rc = buf_append_u8(out, (uint8_t)(large && !i && c >= 'a' && c <= 'z' ? c - 32 : c));
    }
    return rc;
}

static int put_value(struct buf *out, const json_t *v, bool cell) {
    size_t i;
    const json_t *item;
    int rc = 0;
    switch (v ? json_typeof(v) : JSON_NULL) {
    case JSON_STRING:
        return put_text(out, json_string_value(v), cell);
    case JSON_INTEGER:
        return buf_printf(out, "%lld", (long long)json_integer_value(v));
    case JSON_REAL:
        return buf_printf(out, "%g", json_real_value(v));
    case JSON_TRUE:
        return buf_append_str(out, "yes");
    case JSON_FALSE:
        return buf_append_str(out, "no");
    case JSON_ARRAY:
        json_array_foreach(v, i, item) {
            if (!rc && i)
                rc = buf_append_str(out, ", ");
            if (!rc)
                rc = put_value(out, item, cell);
        }
        return rc;
    default:
        return buf_append_str(out, cell ? "" : "not stated");
    }
}

static int put_table(struct buf *out, const json_t *list) {
    const json_t *first = json_array_get(list, 0), *row, *v;
    const char *key;
    size_t i;
    int rc = 0;
    for (int line = 0; !rc && line < 2; line++) {
        json_object_foreach((json_t *)(uintptr_t)first, key, v) {
            if (!rc)
                rc = buf_append_str(out, "| ");
            if (!rc)
                rc = line ? buf_append_str(out, "---") : put_name(out, key, false);
            if (!rc)
                rc = buf_append_u8(out, ' ');
        }
        if (!rc)
            rc = buf_append_str(out, "|\n");
    }
    json_array_foreach(list, i, row) {
        if (rc || i == ROWS_SHOWN)
            break;
        json_object_foreach((json_t *)(uintptr_t)first, key, v) {
            if (!rc)
                rc = buf_append_str(out, "| ");
            if (!rc)
                rc = put_value(out, json_object_get(row, key), true);
            if (!rc)
                rc = buf_append_u8(out, ' ');
        }
        if (!rc)
            rc = buf_append_str(out, "|\n");
    }
    if (!rc && json_array_size(list) > ROWS_SHOWN)
        rc = buf_printf(out, "\n... and %zu more, which --json has.\n",
                        json_array_size(list) - ROWS_SHOWN);
    return rc;
}

static int put_list(struct buf *out, const json_t *list) {
    const json_t *item;
    size_t i;
    int rc = buf_append_u8(out, '\n');
    if (!rc && !json_array_size(list))
        return buf_append_str(out, "none\n");
    if (!rc && json_is_object(json_array_get(list, 0)))
        return put_table(out, list);
    json_array_foreach(list, i, item) {
        if (!rc)
            rc = buf_append_str(out, "- ");
        if (!rc)
            rc = put_value(out, item, false);
        if (!rc)
            rc = buf_append_u8(out, '\n');
    }
    return rc;
}

static int put_line(struct buf *out, const char *key, const json_t *v) {
    int rc = buf_append_str(out, "- ");
    if (!rc)
        rc = put_name(out, key, false);
    if (!rc)
        rc = buf_append_str(out, ": ");
    if (!rc)
        rc = put_value(out, v, false);
    return rc ? rc : buf_append_u8(out, '\n');
}

static bool is_section(const json_t *v) {
    return json_is_object(v) || json_is_array(v);
}

static int put_section(struct buf *out, const json_t *o, unsigned depth);

/* A section of its own below this one. */
static int put_below(struct buf *out, const char *key, const json_t *v, unsigned depth) {
    int rc = buf_printf(out, "\n%.*s ", (int)depth, "######");
    if (!rc)
        rc = put_name(out, key, true);
    if (!rc)
        rc = buf_append_u8(out, '\n');
    if (rc)
        return rc;
    if (!json_is_object(v))
        return put_list(out, v);
    return json_object_size(v) ? put_section(out, v, depth + 1) : buf_append_str(out, "\nnone\n");
}

/* First the paragraph, then what is on one line, then what has a heading. */
static int put_section(struct buf *out, const json_t *o, unsigned depth) {
    const char *key, *note = json_string_value(json_object_get(o, "note"));
    json_t *v;
    bool any = false;
    int rc = 0;
    if (note)
        rc = buf_append_u8(out, '\n');
    if (!rc && note)
        rc = put_text(out, note, false);
    if (!rc && note)
        rc = buf_append_u8(out, '\n');
    json_object_foreach((json_t *)(uintptr_t)o, key, v) {
        if (rc || is_section(v) || strcmp(key, "note") == 0)
            continue;
        if (!any)
            rc = buf_append_u8(out, '\n');
        any = true;
        if (!rc)
            rc = put_line(out, key, v);
    }
    json_object_foreach((json_t *)(uintptr_t)o, key, v) {
        if (!rc && is_section(v))
            rc = put_below(out, key, v, depth);
    }
    return rc;
}

int dossier_markdown(const json_t *o, struct buf *out) {
    const char *key, *checkpoint = json_string_value(json_object_get(o, "checkpoint"));
    json_t *v, *head = json_object();
    int rc = buf_append_str(out, "# ");
    if (!rc)
        rc = put_text(out, json_string_value(json_object_get(o, "title")), false);
    if (!rc)
        rc = buf_append_u8(out, '\n');
    json_object_foreach((json_t *)(uintptr_t)o, key, v) {
        if (strcmp(key, "title") != 0 && strcmp(key, "checkpoint") != 0)
            json_object_set(head, key, v);
    }
    if (!rc)
        rc = put_section(out, head, 2);
    json_decref(head);
    if (!rc)
        rc = buf_append_str(out, "\n## Newest checkpoint of the ledger\n\n");
    /* As it is: it can be cut out and given to safehouse verify --checkpoint. */
    return rc ? rc : buf_append_str(out, checkpoint ? checkpoint : "none\n");
}
