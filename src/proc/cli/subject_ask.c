/*
 * One person, asked of the vault by name. The vault cannot know in which project a name is meant, so
 * it is sent once for each project of control.db, as a person's and as an API key's. Names are secret:
 * what held them is zeroed.
 */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/bytes.h"
#include "base/err.h"
#include "control/control_db.h"
#include "proc/cli/cli.h"
#include "proc/cli/subject.h"

struct names {
    const struct subject_ask *ask;
    struct buf *out;
};

static int add_name(const struct names *n, const char *project, uint8_t kind) {
    uint8_t encoded[SUBJECT_NAME_MAX];
    const size_t len = subject_encode_name(encoded, sizeof encoded, CONTROL_TENANT, project, kind,
                                           n->ask->name, strlen(n->ask->name));
    int rc = len ? inquiry_add(n->out, encoded, len) : ERR_LIMIT;
    sodium_memzero(encoded, sizeof encoded);
    return rc;
}

static int add_project(void *arg, const struct control_project *p) {
    const struct names *n = arg;
    if (n->ask->project && strcmp(n->ask->project, p->name) != 0)
        return 0;
    int rc = n->ask->key ? 0 : add_name(n, p->name, SUBJECT_NAMED);
    return rc ? rc : add_name(n, p->name, SUBJECT_KEY);
}

static int add_names(const struct subject_ask *s, struct buf *out) {
    char path[CLI_PATH];
    struct control_db *db = NULL;
    struct names n = {s, out};
    const size_t before = out->len;
    if (!cli_path(path, s->dir, CONTROL_DB_PATH))
        return ERR_LIMIT;
    int rc = control_db_open(path, false, &db);
    if (!rc)
        rc = control_db_projects(db, add_project, &n);
    control_db_close(db);
    return rc ? rc : out->len == before ? ERR_NOTFOUND : 0;
}

static int take(void *arg, uint16_t msg, const uint8_t *p, size_t len) {
    struct subject_answer *a = arg;
    struct inquiry_person found;
    if (msg != MSG_SUBJECTS_ARE)
        return receipt_take(&a->receipt, msg, p, len);
    int rc = inquiry_person_decode(&found, p, len);
    if (rc || a->count == SUBJECT_PERSONS_MAX)
        return rc ? rc : ERR_LIMIT;
    struct subject_person *s = &a->at[a->count++];
    memcpy(s->request, found.request, sizeof s->request);
    s->held_since_us = found.held_since_us;
    if (found.reason_len > LIMIT_REASON)
        return ERR_SYNTAX;
    memcpy(s->reason, found.reason, found.reason_len);
    buf_init(&s->ids, LIMIT_FRAME);
    rc = subject_decode_name(&s->name, found.name, found.name_len);
    return rc ? rc : buf_append(&s->ids, found.ids, found.count * INQUIRY_ID_ROW);
}

int subject_ask(struct subject_ask *s, enum inquiry_verb verb, struct subject_answer *a) {
    struct buf q;
    const char *reason = s->reason ? s->reason : "";
    buf_init(&q, LIMIT_FRAME);
    receipt_init(&a->receipt);
    int rc = inquiry_begin(&q, verb, reason, strlen(reason));
    if (!rc)
        rc = add_names(s, &q);
    if (!rc)
        rc = remote_vault(s->remote, MSG_SUBJECTS, q.p, q.len, take, a);
    buf_wipe(&q);
    return rc ? rc : a->count || a->receipt.note.len ? 0 : ERR_NOTFOUND;
}

/* ---- whose erasure it was ---- */

struct erased {
    const struct subject_ask *ask;
    uint8_t salt[16], hash[32];
    char *project; /* LIMIT_NAME; "" until it is found */
};

static int try_project(void *arg, const struct control_project *p) {
    struct erased *e = arg;
    uint8_t encoded[SUBJECT_NAME_MAX], hash[sizeof e->hash];
    for (uint8_t kind = SUBJECT_NAMED; kind <= SUBJECT_KEY; kind++) {
        const size_t len = subject_encode_name(encoded, sizeof encoded, CONTROL_TENANT, p->name, kind,
                                               e->ask->name, strlen(e->ask->name));
        crypto_generichash(hash, sizeof hash, encoded, len, e->salt, sizeof e->salt);
        if (len && memcmp(hash, e->hash, sizeof hash) == 0)
            snprintf(e->project, LIMIT_NAME, "%s", p->name);
    }
    sodium_memzero(encoded, sizeof encoded);
    return 0;
}

bool subject_erased_project(const struct subject_ask *s, const struct receipt *r,
                            char ret[LIMIT_NAME]) {
    static const char word[] = "\nname ";
    struct erased e = {.ask = s, .project = ret};
    char path[CLI_PATH];
    struct control_db *db = NULL;
    const char *end = (const char *)r->note.p + r->note.len;
    const char *p = memmem(r->note.p, r->note.len, word, sizeof word - 1);
    *ret = 0;
    if (!p || end - p < (ptrdiff_t)(sizeof word - 1 + 32 + 1 + 64) ||
        !hex_decode(e.salt, sizeof e.salt, p + sizeof word - 1, 32) ||
        !hex_decode(e.hash, sizeof e.hash, p + sizeof word - 1 + 33, 64) ||
        !cli_path(path, s->dir, CONTROL_DB_PATH))
        return false;
    if (control_db_open(path, false, &db) == 0)
        (void)control_db_projects(db, try_project, &e);
    control_db_close(db);
    return *ret != 0;
}

void subject_answer_free(struct subject_answer *a) {
    if (!a)
        return;
    for (size_t i = 0; i < a->count; i++)
        buf_wipe(&a->at[i].ids);
    receipt_done(&a->receipt);
    sodium_memzero(a, sizeof *a);
    free(a);
}

json_t *subject_ids(const struct subject_person *p, const char *id_name, const char *made_name) {
    json_t *list = json_array();
    for (size_t at = 0; at < p->ids.len; at += INQUIRY_ID_ROW) {
        char id[UUID_TEXT + 1], made[READ_TIME] = "";
        const uint64_t us = get_u64(p->ids.p + at + UUID_BYTES);
        uuid_format(id, p->ids.p + at);
        if (us)
            subject_time(made, us);
        json_array_append_new(
            list, json_pack("{s:s, s:s?}", id_name, id, made_name, us ? made : NULL));
    }
    return list;
}

int subject_id_list(const struct subject_person *p, struct buf *out) {
    char id[UUID_TEXT + 1];
    int rc = 0;
    for (size_t at = 0; !rc && at < p->ids.len; at += INQUIRY_ID_ROW) {
        uuid_format(id, p->ids.p + at);
        rc = buf_printf(out, "%s'%s'", at ? "," : "", id);
    }
    return rc;
}

void subject_time(char out[READ_TIME], uint64_t us) {
    const time_t s = (time_t)(us / 1000000u);
    struct tm t;
    char day[24];
    strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", gmtime_r(&s, &t));
    snprintf(out, READ_TIME, "%s.%06uZ", day, (unsigned)(us % 1000000u));
}
