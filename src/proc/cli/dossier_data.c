/*
 * What reports are made of (dossier.h): rows of the store, entries of the ledger, what the programs
 * say of themselves, what the configuration says. In the command line's process; nothing of it is
 * content.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"
#include "control/dialect.h"
#include "proc/cli/ledger_cli.h"
#include "proc/cli/dossier.h"
#include "proc/cli/verify_store.h"
#include "read/verify/verify.h"

#define ROWS_BYTES (64u << 20)
#define LINE_BYTES 512

json_t *dossier_text(const char *text) {
    return text && *text ? json_string(text) : json_null();
}

json_t *dossier_names(const struct config_names *n) {
    json_t *list = n->count ? json_array() : json_null();
    for (size_t i = 0; i < n->count; i++)
        json_array_append_new(list, json_string(n->at[i].text));
    return list;
}

void dossier_gap(struct dossier *r, json_t *o, const char *fmt, ...) {
    char text[LINE_BYTES];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    json_t *list = json_object_get(o, "not_known");
    if (!list) {
        list = json_array();
        json_object_set_new(o, "not_known", list);
    }
    json_array_append_new(list, json_string(text));
    r->part = true;
}

/* ---- the store ---- */

/* JSON's numbers of 64 bits come as strings. */
static json_t *take_row(const char *line, size_t len) {
    json_t *row = json_loadb(line, len, 0, NULL), *o = json_object(), *v;
    const char *key;
    json_object_foreach(row, key, v) {
        const bool number = strncmp(key, "n_", 2) == 0;
        if (number && json_is_string(v))
            json_object_set_new(o, key + 2, json_integer(strtoll(json_string_value(v), NULL, 10)));
        else
            json_object_set(o, number ? key + 2 : key, v);
    }
    json_decref(row);
    return o;
}

json_t *dossier_rows(struct dossier *r, const char *sql) {
    struct buf out;
    buf_init(&out, ROWS_BYTES);
    int rc = remote_query_whole(r->remote, "JSONEachRow", sql, &out);
    json_t *list = rc ? NULL : json_array();
    for (const char *at = (const char *)out.p, *end = at + out.len; list && at < end;) {
        const char *eol = memchr(at, '\n', (size_t)(end - at));
        json_array_append_new(list, take_row(at, (size_t)((eol ? eol : end) - at)));
        at = eol ? eol + 1 : end;
    }
    buf_wipe(&out);
    return list;
}

json_t *dossier_row(struct dossier *r, const char *sql) {
    json_t *list = dossier_rows(r, sql), *row = json_incref(json_array_get(list, 0));
    json_decref(list);
    return row;
}

/* ---- the ledger ---- */

static const char *const kinds[] = {
    NULL,      "batch",         "opened",          "asked",           "exported", "erased",
    "held",    "released",      "retention",       "grant",           "approval", "key rotated",
    "sign-in", "configuration", "report received", "high-water mark", "canary"};

/* Whoever it was: a person, or the unix user. */
static json_t *who(uint32_t uid, const char *person, size_t len) {
    char text[32];
    if (len)
        return json_stringn(person, len);
    if (uid == UINT32_MAX)
        return json_string("nobody in particular");
    snprintf(text, sizeof text, "unix user %u", uid);
    return json_string(text);
}

static json_t *entry(uint8_t kind, uint64_t index, uint64_t time_us) {
    char when[READ_TIME];
    subject_time(when, time_us);
    return json_pack("{s:s, s:I, s:s}", "time", when, "entry", (json_int_t)index, "kind",
                     kind < sizeof kinds / sizeof kinds[0] ? kinds[kind] : "unknown");
}

static int take_reading(void *arg, uint16_t msg, const uint8_t *p, size_t len) {
    struct inquiry_reading e;
    char id[UUID_TEXT + 1];
    int rc = msg == MSG_READING ? inquiry_reading_decode(&e, p, len) : ERR_DENIED;
    if (rc)
        return rc;
    json_t *o = entry(e.kind, e.index, e.time_us);
    json_object_set_new(o, "who", who(e.uid, e.person, e.person_len));
    json_object_set_new(o, "cells", json_integer(e.cells));
    json_object_set_new(o, "reason", json_stringn(e.reason, e.reason_len));
    uuid_format(id, e.subject);
    if (e.known)
        json_object_set_new(o, "subject", json_string(id));
    return json_array_append_new(arg, o) ? ERR_NOMEM : 0;
}

json_t *dossier_readings(struct dossier *r, uint64_t since_us, uint64_t until_us,
                         const uint8_t *ids, size_t count) {
    json_t *list = json_array();
    uint8_t *p = malloc(16 + UUID_BYTES * count);
    int rc = p ? 0 : ERR_NOMEM;
    if (!rc) {
        put_u64(p, since_us);
        put_u64(p + 8, until_us);
        memcpy(p + 16, count ? ids : p, UUID_BYTES * count);
        rc = remote_vault(r->remote, MSG_READINGS, p, 16 + UUID_BYTES * count, take_reading, list);
    }
    free(p);
    if (!rc)
        return list;
    json_decref(list);
    return NULL;
}

/* s8 at *at; NULL: there is none. */
static json_t *text_at(const uint8_t *p, size_t len, size_t *at) {
    if (*at >= len || p[*at] > len - *at - 1)
        return json_null();
    const size_t n = p[*at];
    json_t *o = json_stringn((const char *)p + *at + 1, n);
    *at += 1 + n;
    return o ? o : json_null();
}

static const char *word(const char *const *words, size_t count, unsigned n) {
    return n >= 1 && n <= count ? words[n - 1] : "unknown";
}
#define WORD(words, n) word(words, sizeof(words) / sizeof(words)[0], n)

/* What doc/ledger.md says of each kind. */
static void put_kind(json_t *o, const struct inquiry_event *e) {
    static const char *const results[] = {"signed in", "refused", "locked out", "signed out"},
                             *const by[] = {"password", "password and code", "machine token",
                                            "unix user"},
                             *const changes[] = {"granted",
                                                 "withdrawn",
                                                 "person added",
                                                 "person removed",
                                                 "token made",
                                                 "token revoked",
                                                 "password set",
                                                 "one-person mode on",
                                                 "one-person mode off",
                                                 "codes by time begun or ended"},
                             *const steps[] = {"asked", "given", "refused"},
                             *const keys[] = {"generation", "pepper", "fingerprint key",
                                              "passphrase"},
                             *const key_changes[] = {"key made", "key changed", "key revoked",
                                                     "project changed"},
                             *const canary[] = {"planted", "opened", "removed"};
    const uint8_t *f = e->fields, *rest = e->rest;
    char hex[65];
    size_t at = 0;
    if (e->kind == 12 && e->rest_len >= 2) {
        json_object_set_new(o, "result", json_string(WORD(results, rest[0])));
        json_object_set_new(o, "by", json_string(WORD(by, rest[1])));
    } else if (e->kind == 9 && e->rest_len >= 2) {
        at = 1;
        json_object_set_new(o, "change", json_string(WORD(changes, rest[0])));
        json_object_set_new(o, "person", text_at(rest, e->rest_len, &at));
        json_object_set_new(o, "role", text_at(rest, e->rest_len, &at));
    } else if (e->kind == 10 && e->rest_len >= 33) {
        hex_encode(hex, rest + 1, 32);
        json_object_set_new(o, "step", json_string(WORD(steps, rest[0])));
        json_object_set_new(o, "request", json_string(hex));
    } else if (e->kind == 16 && e->rest_len >= 1) {
        json_object_set_new(o, "step", json_string(WORD(canary, rest[0])));
        if (rest[0] == 2 && e->rest_len >= 5)
            json_object_set_new(o, "cells", json_integer(get_u32(rest + 1)));
    } else if (e->kind == 11 && e->fields_len >= 5) {
        json_object_set_new(o, "key", json_string(WORD(keys, f[0])));
        json_object_set_new(o, "number", json_integer(get_u32(f + 1)));
    } else if (e->kind == 13 && e->fields_len >= 32) {
        hex_encode(hex, f, 32);
        json_object_set_new(o, "sha256", json_string(hex));
        if (e->rest_len >= 3) {
            at = 1;
            json_object_set_new(o, "change", json_string(WORD(key_changes, rest[0])));
            json_object_set_new(o, "key", text_at(rest, e->rest_len, &at));
            json_object_set_new(o, "project", text_at(rest, e->rest_len, &at));
        }
    } else if (e->kind == 8) {
        json_object_set_new(o, "table", text_at(f, e->fields_len, &at));
        json_object_set_new(o, "month", text_at(f, e->fields_len, &at));
    } else if (e->kind == 5 && e->fields_len >= 2) {
        json_object_set_new(o, "replicas", json_integer(f[0]));
        json_object_set_new(o, "pending", json_integer(f[1]));
    }
}

static int take_event(void *arg, uint16_t msg, const uint8_t *p, size_t len) {
    struct inquiry_event e;
    int rc = msg == MSG_EVENT ? inquiry_event_decode(&e, p, len) : ERR_DENIED;
    if (rc)
        return rc;
    json_t *o = entry(e.kind, e.index, e.time_us);
    json_object_set_new(o, "who", who(e.uid, e.person, e.person_len));
    put_kind(o, &e);
    if (e.reason_len)
        json_object_set_new(o, "reason", json_stringn(e.reason, e.reason_len));
    return json_array_append_new(arg, o) ? ERR_NOMEM : 0;
}

json_t *dossier_events(struct dossier *r, uint64_t since_us, uint64_t until_us, uint32_t wanted) {
    json_t *list = json_array();
    uint8_t p[INQUIRY_EVENTS_BYTES];
    put_u64(p, since_us);
    put_u64(p + 8, until_us);
    put_u32(p + 16, wanted);
    if (remote_vault(r->remote, MSG_EVENTS, p, sizeof p, take_event, list) == 0)
        return list;
    json_decref(list);
    return NULL;
}

/* ---- verify ---- */

static void count_finding(void *arg, const struct verify_finding *f) {
    json_t *o = arg;
    const char *name = verify_kind_name(f->kind);
    json_object_set_new(o, name, json_integer(json_integer_value(json_object_get(o, name)) + 1));
}

json_t *dossier_verify(struct dossier *r, bool rows) {
    struct verify_store *store = NULL;
    struct verify_totals t;
    json_t *found = json_object(), *list = json_array(), *n;
    const char *name;
    if (rows && verify_store_open(r->dir, &store) != CLI_GO)
        rows = false;
    const struct verify_spec spec = {.dir = r->dir,
                                     .query = store ? verify_store_query : NULL,
                                     .query_arg = store,
                                     .report = count_finding,
                                     .arg = found};
    int rc = verify_run(&spec, &t);
    verify_store_close(store);
    json_object_foreach(found, name, n)
        json_array_append_new(list, json_pack("{s:s, s:O}", "finding", name, "times", n));
    json_decref(found);
    json_t *o =
        json_pack("{s:s, s:s, s:o}", "checked", rows ? "ledger and rows" : "ledger", "result",
                  rc          ? "could not be verified"
                  : t.found   ? "found"
                  : t.part    ? "incomplete"
                  : t.pending ? "pending"
                              : "clean",
                  "findings", list);
    if (!rc)
        json_object_set_new(o, "entries", json_integer((json_int_t)t.entries));
    if (!rc && rows)
        json_object_set_new(o, "rows", json_integer((json_int_t)t.rows));
    if (rc || t.part)
        r->part = true;
    return o;
}

json_t *dossier_witness(const struct dossier *r) {
    struct checkpoint c;
    struct ledger_source s;
    struct buf note;
    json_t *o = json_string("none");
    buf_init(&note, NOTE_MAX);
    if (ledger_witnessed_read(r->dir, &note) == 0 &&
        ledger_source_open(&s, r->dir, NULL) == CLI_GO) {
        if (checkpoint_open(&c, &s.key, (const char *)note.p, note.len) == 0)
            o = json_integer((json_int_t)c.size);
        ledger_source_close(&s);
    }
    buf_wipe(&note);
    return o;
}

/* ---- the configuration ---- */

static json_t *days(uint64_t n) {
    return n ? json_integer((json_int_t)n) : json_string("no limit");
}

json_t *dossier_limits(const struct dossier *r) {
    return json_pack("{s:o, s:o}", "content_days", days(r->config->retention.content_days),
                     "metadata_days", days(r->config->retention.metadata_days));
}

static json_t *find(json_t *list, const char *name) {
    size_t i;
    json_t *o;
    json_array_foreach(list, i, o) {
        if (strcmp(json_string_value(json_object_get(o, "provider")), name) == 0)
            return o;
    }
    return NULL;
}

/* A provider that is in the rows and not in the configuration any more was one all the same. */
json_t *dossier_recipients(struct dossier *r, const char *where) {
    const json_t *upstream = json_object_get(r->status, "upstream");
    char sql[LIMIT_SQL / 4];
    json_t *list = json_array(), *row;
    size_t i;
    for (i = 0; i < r->config->providers.count; i++) {
        const struct config_provider *p = &r->config->providers.at[i];
        json_array_append_new(
            list, json_pack("{s:s, s:s, s:i}", "provider", p->name, "url", p->url, "requests", 0));
    }
    if (json_is_object(upstream))
        json_array_append_new(list, json_pack("{s:O, s:O, s:i}", "provider",
                                              json_object_get(upstream, "name"), "url",
                                              json_object_get(upstream, "url"), "requests", 0));
    if (snprintf(sql, sizeof sql,
                 "SELECT provider, count() AS n_requests FROM interactions"
                 " WHERE provider != ''%s GROUP BY provider ORDER BY provider",
                 where) >= (int)sizeof sql)
        return list;
    json_t *rows = dossier_rows(r, sql);
    if (!rows)
        dossier_gap(r, r->o, "how many requests each recipient got: %s", remote_why(r->remote));
    json_array_foreach(rows, i, row) {
        const char *name = json_string_value(json_object_get(row, "provider"));
        json_t *known = name ? find(list, name) : NULL;
        if (known)
            json_object_set(known, "requests", json_object_get(row, "requests"));
        else if (name)
            json_array_append_new(list, json_pack("{s:s, s:s, s:O}", "provider", name, "url",
                                                  "not in the configuration any more", "requests",
                                                  json_object_get(row, "requests")));
    }
    json_decref(rows);
    return list;
}
