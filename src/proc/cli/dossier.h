#ifndef PROC_CLI_DOSSIER_H
#define PROC_CLI_DOSSIER_H
/*
 * What the reports share (doc/reports.md). A report is one JSON object; its text for people is made
 * of the same object, so both say the same:
 *
 *   a member that is an object or a list     a section; its name is the heading
 *   a list of objects                        a table
 *   "note"                                   a paragraph
 *   null                                     "not stated"
 */
#include "base/buf.h"
#include "control/config.h"
#include "proc/cli/session.h"
#include "proc/cli/subject.h"
#include "record/inquiry.h"

struct dossier {
    const char *dir, *config_file;
    struct cli_session session;
    struct remote *remote;
    json_t *status;        /* as `safehouse status --json` has it */
    struct config *config; /* the file; defaults if there is none */
    json_t *o;             /* the report */
    bool part;             /* something could not be found out; the report says what */
};

/* Kinds of the ledger, for dossier_events. */
#define DOSSIER_KIND(k) (1u << (k))

/* ---- dossier_data.c ---- */
/* A sentence on what could not be found out, for the section `o`; the exit code will be 3. */
void dossier_gap(struct dossier *r, json_t *o, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The rows of a statement as objects, a new list. Columns whose name begins with "n_" are numbers,
 * and lose that. NULL: the store did not answer. */
json_t *dossier_rows(struct dossier *r, const char *sql);
/* The only row of one. NULL, or a new reference. */
json_t *dossier_row(struct dossier *r, const char *sql);
/* Entries of the ledger: opened and exported of these ids (none: everybody's), and others. Each is
 * an object with time, entry, kind, person, reason and what its kind has. NULL: remote_why says
 * why. */
json_t *dossier_readings(struct dossier *r, uint64_t since_us, uint64_t until_us,
                         const uint8_t *ids, size_t count);
json_t *dossier_events(struct dossier *r, uint64_t since_us, uint64_t until_us, uint32_t kinds);
/* The ledger alone, or the rows as well, against what is known: result, what was found, by kind. */
json_t *dossier_verify(struct dossier *r, bool rows);
/* How many entries the newest cosigned checkpoint has, or "none". */
json_t *dossier_witness(const struct dossier *r);
/* Days, or null for no limit. */
json_t *dossier_limits(const struct dossier *r);
/* Providers of the configuration, and what was sent to them of these rows ("" or " AND ..."). */
json_t *dossier_recipients(struct dossier *r, const char *where);
json_t *dossier_names(const struct config_names *n); /* null for none */
json_t *dossier_text(const char *text); /* null for "" */

/* ---- dossier_print.c ---- */
/* The whole object as text. */
int dossier_markdown(const json_t *o, struct buf *out);

/* ---- each report fills r->o; CLI_GO, or the exit code after it said what is wrong ---- */
int dossier_records(struct dossier *r);
int dossier_breach(struct dossier *r, uint64_t since_us, uint64_t until_us, bool rows);
int dossier_subject(struct dossier *r, struct subject_ask *ask);

#endif
