/* The reader of question.h. */
#include "proc/store/question.h"

#include <string.h>

#include "base/bytes.h"
#include "base/err.h"

#define ALL_PROJECTS 0xffff

struct cursor {
    const uint8_t *p;
    size_t left;
};

static const uint8_t *take(struct cursor *c, size_t n) {
    if (c->left < n)
        return NULL;
    c->p += n;
    c->left -= n;
    return c->p - n;
}

/* A string behind a length of 1, 2 or 4 bytes. */
static int take_string(struct cursor *c, size_t head, const char **ret, size_t *ret_len) {
    const uint8_t *h = take(c, head);
    if (!h)
        return ERR_SYNTAX;
    *ret_len = head == 1 ? *h : head == 2 ? get_u16(h) : get_u32(h);
    *ret = (const char *)take(c, *ret_len);
    return *ret ? 0 : ERR_SYNTAX;
}

/* Joined by line feeds, as the terms have them. A name with one in it makes the list one that the store
 * refuses, or another list of the same sender; it is refused here. */
static int take_projects(struct question *q, struct cursor *c) {
    const uint8_t *h = take(c, 2);
    const unsigned n = h ? get_u16(h) : 0;
    int rc = h ? 0 : ERR_SYNTAX;
    q->terms.all = n == ALL_PROJECTS;
    if (!q->terms.all && n > LIMIT_PROJECTS)
        rc = ERR_LIMIT;
    for (unsigned i = 0; !rc && !q->terms.all && i < n; i++) {
        const char *name;
        size_t len;
        rc = take_string(c, 1, &name, &len);
        if (!rc && memchr(name, '\n', len))
            rc = ERR_SYNTAX;
        if (!rc && i)
            rc = buf_append(&q->projects, "\n", 1);
        if (!rc)
            rc = buf_append(&q->projects, name, len);
    }
    q->terms.projects = (const char *)q->projects.p;
    q->terms.projects_len = q->projects.len;
    return rc;
}

static int take_parameters(struct question *q, struct cursor *c) {
    const uint8_t *h = take(c, 2);
    const size_t n = h ? get_u16(h) : 0;
    size_t bytes = 0;
    int rc = !h ? ERR_SYNTAX : n > LIMIT_PARAMETERS ? ERR_LIMIT : 0;
    for (size_t i = 0; !rc && i < n; i++) {
        struct store_parameter *p = &q->parameters[i];
        rc = take_string(c, 2, &p->name, &p->name_len);
        if (!rc)
            rc = take_string(c, 4, &p->value, &p->value_len);
        bytes += rc ? 0 : p->name_len + p->value_len;
        if (bytes > LIMIT_PARAMETER_BYTES)
            rc = ERR_LIMIT;
    }
    q->question.parameters = q->parameters;
    q->question.parameters_n = n;
    return rc;
}

static int check_database(const char *name, size_t len) {
    static const char *const names[] = {"", "default", STORE_DATABASE};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strlen(names[i]) == len && memcmp(name, names[i], len) == 0)
            return 0;
    return ERR_NOTFOUND;
}

int question_read(struct question *q, const uint8_t *p, size_t len) {
    struct cursor c = {p, len};
    const char *database = NULL;
    size_t database_len = 0;
    memset(q, 0, sizeof *q);
    buf_init(&q->projects, LIMIT_CONSOLE_QUERY);
    const uint8_t *h = take(&c, 13);
    if (!h || h[0])
        return ERR_SYNTAX;
    q->terms.client = true;
    q->terms.seconds = get_u32(h + 1);
    q->terms.rows = get_u64(h + 5);
    int rc = take_string(&c, 2, &database, &database_len);
    if (!rc)
        rc = take_string(&c, 2, &q->question.format, &q->question.format_len);
    if (!rc)
        rc = take_projects(q, &c);
    if (!rc)
        rc = take_parameters(q, &c);
    if (!rc)
        rc = take_string(&c, 4, &q->question.sql, &q->question.sql_len);
    if (!rc && c.left)
        rc = ERR_SYNTAX;
    return rc ? rc : check_database(database, database_len);
}

void question_done(struct question *q) {
    buf_wipe(&q->projects);
}
