/* Formats of format.h: pure functions over bytes. Runs in the command line. */
#include "read/query/format.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "read/query/json.h"

static const struct {
    const char *name;
    enum format_family family;
} formats[] = {
#define FORMAT_ROW_(name, family) {name, family},
    FORMATS(FORMAT_ROW_)
#undef FORMAT_ROW_
};

const char *format_find(const char *name, size_t len, enum format_family *ret_family) {
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        if (strlen(formats[i].name) == len && strncasecmp(formats[i].name, name, len) == 0) {
            *ret_family = formats[i].family;
            return formats[i].name;
        }
    }
    return NULL;
}

static bool is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static bool is_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

const char *format_split(const char *sql, size_t *len, size_t *ret_name_len) {
    size_t end = *len;
    while (end > 0 && (is_space(sql[end - 1]) || sql[end - 1] == ';'))
        end--;
    size_t name = end;
    while (name > 0 && is_word(sql[name - 1]))
        name--;
    size_t word = name;
    while (word > 0 && is_space(sql[word - 1]))
        word--;
    if (name == end || word == name || word < 7 || strncasecmp(sql + word - 6, "FORMAT", 6) != 0 ||
        !is_space(sql[word - 7]))
        return NULL;
    *len = word - 6;
    *ret_name_len = end - name;
    return sql + name;
}

/* Backslash escapes, as ClickHouse writes them in TabSeparated and in string literals. */
static int escape_backslash(struct buf *out, const uint8_t *p, size_t len) {
    static const char from[] = "\b\f\n\r\t\\'", to[] = "bfnrt\\'";
    int rc = 0;
    for (size_t i = 0; !rc && i < len; i++) {
        const char *known = p[i] ? strchr(from, p[i]) : NULL;
        if (!p[i])
            rc = buf_append(out, "\\0", 2);
        else if (known)
            rc = buf_append(out, (char[]){'\\', to[known - from]}, 2);
        else
            rc = buf_append_u8(out, p[i]);
    }
    return rc;
}

static int escape_csv(struct buf *out, const uint8_t *p, size_t len) {
    int rc = 0;
    for (size_t i = 0; !rc && i < len; i++)
        rc = buf_append(out, p[i] == '"' ? "\"\"" : (const char *)p + i, p[i] == '"' ? 2 : 1);
    return rc;
}

/* What goes to a terminal: control characters (C1 in UTF-8 too) are shown, not sent. */
static int escape_shown(struct buf *out, const uint8_t *p, size_t len) {
    int rc = 0;
    for (size_t i = 0; !rc && i < len; i++) {
        if (p[i] == '\n')
            rc = buf_append(out, "\\n", 2);
        else if (p[i] == '\t')
            rc = buf_append(out, "\\t", 2);
        else if (p[i] < 0x20 || p[i] == 0x7f)
            rc = buf_printf(out, "\\x%02x", p[i]);
        else if (p[i] == 0xc2 && i + 1 < len && p[i + 1] >= 0x80 && p[i + 1] < 0xa0)
            rc = buf_printf(out, "\\x%02x", p[++i]);
        else
            rc = buf_append_u8(out, p[i]);
    }
    return rc;
}

int format_escape(enum format_family family, struct buf *out, const void *text, size_t len) {
    switch (family) {
    case FORMAT_TSV:
    case FORMAT_QUOTED:
        return escape_backslash(out, text, len);
    case FORMAT_CSV:
        return escape_csv(out, text, len);
    case FORMAT_JSON:
        return json_escape(out, text, len);
    case FORMAT_PRETTY:
        return escape_shown(out, text, len);
    case FORMAT_RAW:
        return buf_append(out, text, len);
    case FORMAT_BINARY:
        break;
    }
    return ERR_UNSUPPORTED;
}
