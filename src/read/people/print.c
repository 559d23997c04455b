/* People, grants and requests as JSON (people.h). Names, roles and projects have no character that
 * needs an escape; reasons and statements are outside bytes. */
#include "base/bytes.h"
#include "base/err.h"
#include "base/utf8.h"
#include "read/people/people_int.h"

/* Control characters become '?', and so does what is above ASCII in a text that is no UTF-8. */
static int print_text(struct buf *out, const char *text, size_t len) {
    const bool utf8 = utf8_valid(text, len);
    int rc = buf_append_u8(out, '"');
    for (size_t i = 0; !rc && i < len; i++) {
        uint8_t b = (uint8_t)text[i];
        if (b < 0x20 || b == 0x7f || (b >= 0x80 && !utf8))
            b = '?';
        if (b == '"' || b == '\\')
            rc = buf_append_u8(out, '\\');
        if (!rc)
            rc = buf_append_u8(out, b);
    }
    return rc ? rc : buf_append_u8(out, '"');
}

static int print_projects(struct buf *out, const char *projects) {
    int rc = buf_append_str(out, "[\"");
    for (const char *c = projects; !rc && *c; c++)
        rc = *c == ',' ? buf_append_str(out, "\",\"") : buf_append_u8(out, (uint8_t)*c);
    return rc ? rc : buf_append_str(out, "\"]");
}

static int print_grant(const struct people *p, const struct grant *g, uint64_t now_us,
                       struct buf *out) {
    int rc = buf_printf(out, "{\"number\":%u,\"role\":\"%s\",\"state\":\"%s\",\"projects\":", g->row,
                        people_role_name(g->role),
                        g->waits                    ? "waits"
                        : grant_in_force(g, now_us) ? "in force"
                                                    : "expired");
    if (!rc)
        rc = print_projects(out, g->projects);
    if (!rc && g->role == PEOPLE_READER)
        rc = buf_printf(out, ",\"cells_per_hour\":%u", g->cells);
    if (!rc && g->expires_us)
        rc = buf_printf(out, ",\"expires_us\":%llu", (unsigned long long)g->expires_us);
    return rc ? rc
              : buf_printf(out, ",\"since_us\":%llu,\"by\":\"%s\"}",
                           (unsigned long long)g->since_us, people_name(p, g->by));
}

static int print_grants(const struct people *p, uint32_t id, uint64_t now_us, struct buf *out) {
    bool any = false;
    int rc = buf_append_str(out, ",\"grants\":[");
    for (size_t i = 0; !rc && i < PEOPLE_GRANTS_MAX; i++) {
        if (!p->grants[i].used || p->grants[i].person != id)
            continue;
        if (any)
            rc = buf_append_u8(out, ',');
        any = true;
        if (!rc)
            rc = print_grant(p, &p->grants[i], now_us, out);
    }
    return rc ? rc : buf_append_u8(out, ']');
}

static int print_tokens(const struct people *p, uint32_t id, uint64_t now_us, struct buf *out) {
    bool any = false;
    int rc = buf_append_str(out, ",\"tokens\":[");
    for (size_t i = 0; !rc && i < PEOPLE_TOKENS_MAX; i++) {
        const struct token *t = &p->tokens[i];
        if (!t->used || t->person != id)
            continue;
        rc = buf_printf(out, "%s{\"label\":\"%s\",\"created_us\":%llu,\"expires_us\":%llu,\"state\":\"%s\"}",
                        any ? "," : "", t->label, (unsigned long long)t->created_us,
                        (unsigned long long)t->expires_us,
                        t->expires_us && now_us >= t->expires_us ? "expired" : "in force");
        any = true;
    }
    return rc ? rc : buf_append_u8(out, ']');
}

static int print_roles(struct buf *out, unsigned roles) {
    bool any = false;
    int rc = buf_append_str(out, ",\"roles\":[");
    for (unsigned r = PEOPLE_ANALYST; !rc && r <= PEOPLE_ROLE_LAST; r++) {
        if (!(roles & PEOPLE_BIT(r)))
            continue;
        rc = buf_printf(out, "%s\"%s\"", any ? "," : "", people_role_name(r));
        any = true;
    }
    return rc ? rc : buf_append_u8(out, ']');
}

int people_print_person(struct people *p, uint32_t id, uint64_t now_us, struct buf *out) {
    const struct person *x = people_person(p, id);
    if (!x)
        return ERR_NOTFOUND;
    const char *password = id == PEOPLE_OWNER     ? "unix user"
                           : !x->password.set     ? "none"
                           : x->password.by_other ? "chosen by another"
                                                  : "own";
    int rc = buf_printf(out, "{\"name\":\"%s\",\"password\":\"%s\",\"totp\":%s", x->name, password,
                        x->totp_state == TOTP_ON ? "true" : "false");
    if (!rc)
        rc = print_roles(out, people_roles(p, id, now_us));
    if (!rc)
        rc = print_grants(p, id, now_us, out);
    if (!rc)
        rc = print_tokens(p, id, now_us, out);
    return rc ? rc : buf_append_u8(out, '}');
}

int people_print_actor(struct people *p, const struct people_actor *a, uint64_t now_us,
                       uint64_t now_ns, struct buf *out) {
    struct people_opener o;
    const bool local = uuid_is_zero(a->session);
    const struct session *s = local ? NULL : session_by_id(p->sessions, a->session, now_ns);
    int rc = buf_printf(out, "{\"name\":\"%s\",\"session\":%s,\"one_person_mode\":%s",
                        people_name(p, a->id), local ? "false" : "true",
                        people_one_person(p) ? "true" : "false");
    if (!rc)
        rc = print_roles(out, people_roles(p, a->id, now_us));
    if (!rc && s)
        rc = buf_printf(out, ",\"ends_in_s\":%llu,\"idle_limit_s\":%llu",
                        (unsigned long long)((SESSION_AGE_NS - (now_ns - s->began_ns)) / 1000000000u),
                        (unsigned long long)(SESSION_IDLE_NS / 1000000000u));
    if (!rc && people_opener(p, a, now_us, &o) == 0) {
        rc = o.unlimited ? buf_append_str(out, ",\"opens\":{\"projects\":[\"*\"]}")
                         : buf_append_str(out, ",\"opens\":{\"projects\":");
        if (!rc && !o.unlimited)
            rc = print_projects(out, (const char *)o.projects.p);
        if (!rc && !o.unlimited)
            rc = buf_printf(out, ",\"cells_per_hour\":%llu,\"cells_left\":%llu}",
                            (unsigned long long)o.cells,
                            (unsigned long long)people_left(p, &o, now_us));
        opener_done(&o);
    }
    if (!rc)
        rc = print_grants(p, a->id, now_us, out);
    return rc ? rc : buf_append_u8(out, '}');
}

bool people_next(const struct people *p, size_t *at, uint32_t *ret_id) {
    while (*at < PEOPLE_MAX) {
        const struct person *x = &p->persons[(*at)++];
        *ret_id = x->id;
        if (x->used)
            return true;
    }
    return false;
}

static int print_digest(struct buf *out, const uint8_t digest[APPROVAL_DIGEST_BYTES]) {
    char hex[2 * APPROVAL_DIGEST_BYTES + 1];
    hex_encode(hex, digest, APPROVAL_DIGEST_BYTES);
    return buf_printf(out, "{\"digest\":\"%s\"", hex);
}

int people_print_waiting(const struct people *p, const struct grant *g, struct buf *out) {
    const struct person *x = people_person(p, g->person);
    uint8_t digest[APPROVAL_DIGEST_BYTES];
    grant_digest(g, digest);
    int rc = print_digest(out, digest);
    if (!rc)
        rc = buf_printf(out, ",\"kind\":\"grant\",\"by\":\"%s\",\"person\":\"%s\",\"password\":\"%s\",\"grant\":",
                        people_name(p, g->by), x ? x->name : "",
                        x && x->password.by_other ? "chosen by another" : "own");
    if (!rc)
        rc = print_grant(p, g, g->since_us, out);
    return rc ? rc : buf_append_u8(out, '}');
}

int people_print_approval(const struct people *p, const struct approval *a, uint64_t now_ns,
                          struct buf *out) {
    int rc = print_digest(out, a->digest);
    if (!rc)
        rc = buf_printf(out, ",\"kind\":\"opening\",\"by\":\"%s\",\"cells\":%u,\"waits_s\":%llu,\"reason\":",
                        people_name(p, a->person), a->cells,
                        (unsigned long long)((now_ns - a->since_ns) / 1000000000u));
    if (!rc)
        rc = print_text(out, a->reason, a->reason_len);
    if (!rc)
        rc = buf_append_str(out, ",\"query\":");
    if (!rc)
        rc = print_text(out, a->query, a->query_len);
    return rc ? rc : buf_append_u8(out, '}');
}
