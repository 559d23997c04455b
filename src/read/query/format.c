/* Formats of format.h: pure functions over bytes. Runs in the command line. */
#include "read/query/format.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "llm/json.h"

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

/* Behind what begins at `at`: white space, a comment, a quoted text, a word, or one character. */
static size_t after_token(const char *sql, size_t len, size_t at) {
    char c = sql[at], next = at + 1 < len ? sql[at + 1] : 0;
    const char *rest = sql + at, *end;
    if ((c == '-' && next == '-') || (c == '/' && next == '*')) {
        end = c == '-' ? memchr(rest, '\n', len - at) : memmem(rest + 2, len - at - 2, "*/", 2);
        return !end ? len : (size_t)(end - sql) + (c == '-' ? 1 : 2);
    }
    size_t i = at + 1;
    if (c == '\'' || c == '"' || c == '`') {
        while (i < len && sql[i] != c)
            i += sql[i] == '\\' ? 2 : 1;
        return i < len ? i + 1 : len;
    }
    while (i < len && is_word(c) && is_word(sql[i]))
        i++;
    return i;
}

const char *format_split(const char *sql, size_t *len, size_t *ret_name_len) {
    size_t format = 0, name = 0, name_len = 0, end;
    bool is_format = false; /* the word before was FORMAT, and began at `format` */
    for (size_t at = 0; at < *len; at = end) {
        bool skipped = is_space(sql[at]) || sql[at] == ';';
        end = after_token(sql, *len, at);
        if (skipped || (end - at > 1 && (sql[at] == '-' || sql[at] == '/')))
            continue;
        name_len = is_format && is_word(sql[at]) ? end - at : 0;
        name = at;
        is_format = !name_len && end - at == 6 && strncasecmp(sql + at, "FORMAT", 6) == 0;
        if (is_format)
            format = at;
    }
    if (!name_len)
        return NULL;
    *len = format;
    *ret_name_len = name_len;
    return sql + name;
}

static bool is_plain(uint8_t c) {
    return c >= 0x20 && c != 0x7f && c != '\\' && c != '\'';
}

/* Backslash escapes, as ClickHouse reads them in TabSeparated and in string literals; of control
 * characters it writes some raw, here none is. */
static int escape_backslash(struct buf *out, const uint8_t *p, size_t len) {
    static const char from[] = "\b\f\n\r\t\\'", to[] = "bfnrt\\'";
    int rc = 0;
    for (size_t i = 0, run; !rc && i < len; i = run + 1) {
        for (run = i; run < len && is_plain(p[run]); run++)
            ;
        rc = buf_append(out, p + i, run - i);
        if (rc || run == len)
            break;
        const char *known = p[run] ? strchr(from, p[run]) : NULL;
        if (!p[run])
            rc = buf_append(out, "\\0", 2);
        else if (known)
            rc = buf_append(out, (char[]){'\\', to[known - from]}, 2);
        else
            rc = buf_printf(out, "\\x%02x", p[run]);
    }
    return rc;
}

static int escape_csv(struct buf *out, const uint8_t *p, size_t len) {
    int rc = 0;
    for (size_t i = 0; !rc && i < len;) {
        const uint8_t *quote = memchr(p + i, '"', len - i);
        const size_t end = quote ? (size_t)(quote - p) + 1 : len;
        rc = buf_append(out, p + i, end - i);
        if (!rc && quote)
            rc = buf_append_u8(out, '"');
        i = end;
    }
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
        return jv_escape(out, text, len);
    case FORMAT_PRETTY:
        return escape_shown(out, text, len);
    case FORMAT_RAW:
        return buf_append(out, text, len);
    case FORMAT_BINARY:
        break;
    }
    return ERR_UNSUPPORTED;
}
