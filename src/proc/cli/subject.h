#ifndef PROC_CLI_SUBJECT_H
#define PROC_CLI_SUBJECT_H
/* What `safehouse subject` and `safehouse report subject` share: one person, asked for by name. */
#include "base/buf.h"
#include "proc/cli/read.h"
#include "proc/cli/receipt.h"
#include "proc/cli/session.h"
#include "record/inquiry.h"
#include "record/subject.h"

struct subject_ask {
    const char *dir, *name, *project, *reason;
    bool key, json; /* key: the name is an API key's public id */
    struct cli_session session;
    struct remote *remote;
};

/* One person of an answer; the ids live as long as the buffer that they were copied to. */
struct subject_person {
    struct subject_name name;
    uint8_t request[INQUIRY_REQUEST_BYTES];
    uint64_t held_since_us;
    char reason[LIMIT_REASON + 1];
    struct buf ids; /* rows of INQUIRY_ID_ROW bytes */
};
#define SUBJECT_PERSONS_MAX 64
struct subject_answer {
    struct subject_person at[SUBJECT_PERSONS_MAX];
    size_t count;
    struct receipt receipt;
};
/* On the heap: zeroed, and freed with subject_answer_free. */
void subject_answer_free(struct subject_answer *a);

/* Asks the vault: the name in every project (or the one), as a person's and as a key's. ERR_NOTFOUND:
 * nobody. */
int subject_ask(struct subject_ask *s, enum inquiry_verb verb, struct subject_answer *a);
/* Of the erasure that is answered: the project of the person, which the receipt's note knows by a hash
 * alone. False: it is not known. */
bool subject_erased_project(const struct subject_ask *s, const struct receipt *r,
                            char ret[LIMIT_NAME]);
/* A list of objects: each id, and when it was made (null: not known), under these names. */
json_t *subject_ids(const struct subject_person *p, const char *id_name, const char *made_name);
/* "'id','id'" for a statement. */
int subject_id_list(const struct subject_person *p, struct buf *out);
/* µs since 1970 as RFC 3339. */
void subject_time(char out[READ_TIME], uint64_t us);

/* export.c: everything of one person, JSON lines, to `out`; *ret_count: interactions. */
int subject_export(struct subject_ask *s, const struct subject_person *p, struct out *out,
                   uint8_t ret_sha256[32], uint32_t *ret_count);

#endif
