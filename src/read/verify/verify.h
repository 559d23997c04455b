#ifndef VERIFY_VERIFY_H
#define VERIFY_VERIFY_H
/*
 * Is the log what was written, and the ledger what it was? Reads D/vault/ledger.log, D/spool and the
 * rows that the store gives, on a code path of its own: of the project's formats it takes nothing but
 * their documents (doc/ledger.md, doc/batch.md, doc/spool.md), and shares no code with what wrote them.
 * The store is only asked for rows; each is hashed here and compared with the ledger's roots.
 *
 *   struct verify_spec spec = {.dir = "var", .query = ..., .report = ...};
 *   struct verify_totals totals;
 *   int rc = verify_run(&spec, &totals);
 *
 * Memory: 40 bytes a batch, one bit an exchange, and a window of some 50 MB of rows' hashes. What is
 * wrong costs more: each batch with a wrong row is fetched whole.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "read/verify/finding.h"
#include "read/verify/note.h"

/* The rows: runs one statement, gives the result's bytes to the sink in order. 0, ERR_*. */
typedef int verify_sink(void *arg, const void *p, size_t len);
typedef int verify_query(void *arg, const char *format, const char *sql, size_t sql_len,
                         verify_sink *sink, void *sink_arg);

struct verify_spec {
    const char *dir; /* the installation's folder */
    const char *tiles; /* of papers: an exported ledger's folder, or NULL */
    verify_query *query; /* NULL: the ledger alone is checked */
    void *query_arg;
    /* Earlier checkpoints, which the ledger must fit; each with the name that findings call it by. */
    const struct verify_note *checkpoints;
    const char *const *names;
    size_t checkpoint_count;
    const struct verify_note_key *key; /* NULL: the ledger's own, which proves less */
    void (*report)(void *arg, const struct verify_finding *f);
    /* Now and then: what is done, of how much (0: not known). May be NULL. */
    void (*progress)(void *arg, const char *what, uint64_t done, uint64_t all);
    void *arg;
};

struct verify_totals {
    uint64_t rows, batches, entries; /* checked */
    uint64_t gone;                   /* rows that retention dropped */
    uint64_t exchanges;              /* by the high-water marks */
    uint64_t found, pending, part;   /* findings by level */
    bool has_newest;
    struct verify_note newest; /* the ledger's newest checkpoint; without signatures of others */
};

/* 0 when it ran to its end, whatever it found; ERR_NOMEM. What cannot be read is a finding. */
int verify_run(const struct verify_spec *spec, struct verify_totals *ret);

/*
 * One tlog-proof (doc/ledger.md): is this event in a log that is known? Anchors are the checkpoints of
 * the spec, its key, and, where `dir` or `tiles` is not NULL, the ledger there. Reports what is wrong, and
 * counts it in totals. True: it holds; ret gets the event.
 */
struct verify_event {
    uint64_t index, time_us, size; /* in the log of `size` entries */
    uint8_t kind;
    const char *kind_name;
    unsigned shown; /* parts that were shown and fit */
};
bool verify_proof(const struct verify_spec *spec, const char *name, const uint8_t *p, size_t len,
                  struct verify_totals *totals, struct verify_event *ret);

/*
 * One receipt (doc/receipts.md): is it the vault's, and does it say what the ledger has? The same anchors;
 * of checkpoints alone nothing follows, since they do not have the key. `file_sha256` is the digest of the
 * file that an export's or a report's is about, NULL where it is not there.
 */
enum verify_paper_kind { VERIFY_ERASURE = 1, VERIFY_EXPORT, VERIFY_REPORT };
struct verify_paper {
    enum verify_paper_kind kind;
    const char *kind_name; /* a literal */
    uint64_t time_us;
    uint64_t count;       /* subject ids, interactions, or entries of the ledger then */
    uint64_t index, size; /* its entry, in the log of `size` entries; a report has none */
    bool named;           /* it is about the name and project that stand in it */
    bool pending;         /* not everywhere yet */
};
/* True: it holds, though it may be pending; ret gets what it says. */
bool verify_receipt(const struct verify_spec *spec, const char *name, const uint8_t *p, size_t len,
                    const uint8_t *file_sha256, struct verify_totals *totals, struct verify_paper *ret);

#endif
