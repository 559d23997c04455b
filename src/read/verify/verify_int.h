#ifndef VERIFY_VERIFY_INT_H
#define VERIFY_VERIFY_INT_H
/*
 * Inside src/read/verify only: one run's state, and its parts in the order in which they work.
 *
 *   spool.c     what waits on its way to the store
 *   book.c      what the ledger says: batches, retentions, high-water marks
 *   kept.c      it against checkpoints that were kept elsewhere
 *   tables.c    are the tables what they were made as
 *   window.c    all rows, by ranges of batches: do they give the roots
 *   leaves.c    of batches of which rows are missing, the leaves that the store keeps
 *   examine.c   a batch that does not, row by row
 *   changed.c   of a row that is another one: which column, whose value
 *   drops.c     rows that are not there: may they be missing
 *   exchanges.c which exchanges have a row
 *
 * and of papers, which need no installation:
 *
 *   tiles.c     an exported ledger
 *   anchor.c    whose is a checkpoint that a paper carries
 *   proof.c     one event
 *   paper.c     a receipt's parts
 *   receipt.c   do they hold
 */
#include "base/buf.h"
#include "read/verify/journal.h"
#include "read/verify/shape.h"
#include "read/verify/verify.h"

#define VERIFY_TOLD_MAX 1000   /* findings of one kind that are told singly */
#define VERIFY_EXAMINED_MAX 512 /* batches that are looked at row by row */
#define VERIFY_BATCH_ROWS (LIMIT_BATCH_ROWS + 3)

struct verify;

/* ---- file.c ---- */
/* For reading; no link is followed, and what is no file is ERR_CORRUPT. A descriptor, or ERR_*. */
int verify_open(int dir, const char *name);
/* Its first bytes: with `room` one more than it may have, *ret_len tells whether it has more. */
int verify_read_file(int dir, const char *name, uint8_t *out, size_t room, size_t *ret_len);

/* ---- kept.c ---- */
/* Of each checkpoint of the spec: was its size passed, with its root. */
struct kept {
    uint8_t *matches;
};
int kept_init(const struct verify *v, struct kept *k); /* ERR_NOMEM */
void kept_done(struct kept *k);
/* For the tree at each size, 0 first. */
void kept_size(const struct verify *v, struct kept *k, const struct tree *t);
/* After the last: tells which checkpoints, and whether the spec's key, are not this ledger's. */
void kept_judge(struct verify *v, const struct kept *k, const struct journal_end *end);

/* ---- tiles.c ---- */
/* The exported ledger in spec->tiles, with all that is wrong of it told. ret: origin, key, entries and
 * root. ERR_NOTFOUND: it cannot be read, which is told too. */
int tiles_read(struct verify *v, struct journal_end *ret);

/* ---- anchor.c ---- */
struct anchor {
    bool known;  /* whoever made the checkpoint is known, and it is theirs */
    bool has_key;
    struct verify_note_key key; /* of the spec, its ledger or its tiles */
};
/* n: a checkpoint, NULL: only the key is asked for. What speaks against it is told, and it is not known
 * then; that nothing is known is not told. */
void anchor_find(struct verify *v, const struct verify_note *n, const char *name, struct anchor *ret);
/* Says how to make it known. */
void anchor_tell(struct verify *v, const char *name);

/* ---- proof.c ---- */
#define PROOF_PATH_MAX 64
struct proof {
    uint8_t *extra; /* u16 l | l leaf | shown parts */
    size_t extra_len;
    const uint8_t *leaf, *shown;
    size_t leaf_len, shown_len;
    uint64_t index;
    uint8_t path[PROOF_PATH_MAX][SHA_BYTES];
    size_t path_len;
    struct verify_note note;
};
/* A tlog-proof. proof_done in any case; p may go. ERR_SYNTAX, ERR_LIMIT, ERR_NOMEM. */
int proof_read(struct proof *f, const uint8_t *p, size_t len);
void proof_done(struct proof *f);
/* Does it hold within its own checkpoint? NULL, or what is wrong; ret: its entry, ret_shown: how many
 * parts it shows. */
const char *proof_wrong(const struct proof *f, struct journal_leaf *ret, unsigned *ret_shown);

/* ---- paper.c ---- */
#define PAPER_ID_BYTES 16
struct paper {
    enum verify_paper_kind kind;
    const char *name, *project;   /* NULL: not there */
    const char *proof, *checkpoint; /* the same */
    bool has_pending, pending;    /* as its member says */
    struct verify_signed note;
    /* What the note's text says, as the kind has it: */
    char origin[VERIFY_NOTE_NAME];
    uint8_t id[PAPER_ID_BYTES];   /* erasure, or request */
    uint64_t leaf, time_us;
    uint64_t count;               /* subject ids, interactions, or entries of the ledger */
    uint8_t salt[16], name_hash[32];
    uint8_t sha256[SHA_BYTES], root[SHA_BYTES];
    char what[16];                /* report */
    unsigned waiting;             /* lines that say "pending" */
    void *json;                   /* owns all text */
    char *copy;                   /* of a bare note */
};
/* A receipt. NULL, or what is wrong with its form. paper_done in any case; p may go. */
const char *paper_read(struct paper *r, const uint8_t *p, size_t len);
void paper_done(struct paper *r);

/* ---- spool.c ---- */
struct spool_file {
    uint64_t sealer, number;
    uint32_t rows;
    bool ended;
    uint8_t root[SHA_BYTES]; /* of its rows, as they stand there */
    bool excuses;            /* something that is not there was not told, because of it */
};
struct spool_list {
    struct spool_file *files; /* by sealer and number */
    size_t count, room;
};
/* What is in D/spool now; its exchanges go to v->exchanges. Read after the rows: what is not there any
 * more is in the store, and what is not there yet is in no row. Tells which files are damaged. */
int spool_list_read(struct verify *v, struct spool_list *l);
/* Anybody who can write to the disk can put a file there, so what it excuses is pending and never clean. */
struct spool_file *spool_list_find(const struct spool_list *l, uint64_t sealer, uint64_t number);
/* Is there a finished file of this batch? Then what is missing of it is on its way. `root`: the ledger's,
 * NULL where it does not have the batch yet. */
bool spool_list_excuses(struct spool_list *l, uint64_t sealer, uint64_t number, const uint8_t *root);

/* ---- book.c ---- */
struct book_batch {
    uint64_t sealer, number;
    uint64_t at;      /* of its fields in the ledger's file */
    uint64_t time_us; /* when it was noted */
    uint32_t rows;
};
struct book_mark {
    uint64_t epoch, highest;
    uint32_t open;
    size_t order; /* in the ledger */
};
struct book_drop {
    char table[32];
    uint32_t month;
    uint64_t rows, held;
    uint64_t at; /* in the ledger's file */
};
struct book {
    int fd;
    struct journal_end end;
    struct book_batch *batches; /* by sealer and number */
    size_t count, room, sure;
    struct book_mark *marks; /* by epoch */
    size_t mark_count, mark_room, mark_sure;
    struct book_drop *drops;
    size_t drop_count, drop_room, drop_sure;
};
/* Whatever is wrong is reported when `tell`. ERR_NOMEM; ERR_NOTFOUND: there is no ledger to compare
 * with. */
int book_read(struct verify *v, struct book *b, bool tell);
void book_done(struct book *b);
/* The retentions of what the ledger has now, in the place of those of b. */
int book_refresh_drops(struct verify *v, struct book *b);
/* Index of the first batch that is not below. */
size_t book_lower(const struct book *b, uint64_t sealer, uint64_t number);

struct book_fields {
    uint64_t sealer, number;
    uint32_t rows;
    uint8_t previous[SHA_BYTES], root[SHA_BYTES], commitment[SHA_BYTES];
};
int book_fields(const struct book *b, size_t i, struct book_fields *ret);
/* Gaps of numbers, `previous`, commitments. */
int book_check_chains(struct verify *v, const struct book *b);

/* ---- tables.c ---- */
int tables_check(struct verify *v);

/* ---- exchanges.c ---- */
struct exchanges {
    struct exchange_page **pages; /* a hash table */
    size_t count, room;
};
/* ERR_EXISTS: it is there already; ERR_LIMIT. */
int exchanges_add(struct exchanges *x, uint64_t epoch, uint64_t sequence);
/* Of 1..highest how many are not there; the first few go to `first`. */
uint64_t exchanges_absent(const struct exchanges *x, uint64_t epoch, uint64_t highest,
                          uint64_t *first, size_t room, size_t *ret_listed);
void exchanges_done(struct exchanges *x);

/* ---- drops.c ---- */
struct missing_row {
    uint64_t sealer, batch;
    uint32_t index, month;
    uint8_t table; /* 0: all rows of the batch */
    uint32_t rows;
    unsigned before; /* drops_before, of its batch */
};
#define DROPS_TOLD 8 /* retentions of one month that are told apart */
struct month_rows {
    uint32_t month;
    uint64_t there; /* the store's word */
    uint64_t missing, batches, rows;
    uint64_t late[DROPS_TOLD]; /* of missing, or of batches: those before which there were so many retentions */
};
struct drops {
    struct missing_row *rows; /* as many as are told singly */
    size_t count, room;
    struct month_rows *months[SHAPE_TABLES + 1]; /* of 0: batches of which nothing is there */
    size_t month_count[SHAPE_TABLES + 1];
};
int drops_missing(struct drops *d, const struct missing_row *r);
/* NULL: no memory. */
struct month_rows *drops_month(struct drops *d, int table, uint32_t month);
uint32_t drops_month_of(uint64_t time_us);
/* How many retentions of that table (0: leaves) and month the ledger has before `at`: those let no row of a
 * batch go that was noted there. */
unsigned drops_before(const struct book *b, int table, uint32_t month, uint64_t at);
/* Does the ledger have a retention of the row's table and month? Only then may it stand in the held_ table. */
bool drops_retained(const struct book *b, int table, const struct shape_row *r);
bool drops_leaves_retained(const struct book *b, uint32_t month); /* or of the month of the table leaves? */
/* Tells what is unlawfully missing; *ret_interactions gets how many interactions are missing at all, or
 * may be. */
int drops_judge(struct verify *v, const struct book *b, uint64_t *ret_interactions);
void drops_done(struct drops *d);

/* ---- changed.c ---- */
struct changed_row {
    int table;
    uint32_t index;
    uint64_t sealer, batch;
    uint8_t leaf[SHA_BYTES]; /* what it should be */
    uint8_t *bytes;
    struct shape_row row; /* of bytes */
    bool told;
};
struct changed {
    struct changed_row *rows;
    size_t count, bytes;
};
/* Takes a copy. ERR_LIMIT: too many are kept; the caller tells it itself. */
int changed_add(struct changed *c, int table, const struct shape_place *place,
                const struct shape_row *row, const uint8_t leaf[SHA_BYTES]);
int changed_tell(struct verify *v);
void changed_done(struct changed *c);

/* ---- window.c, examine.c ---- */
struct strange {
    uint64_t sealer, batch;
};
/* All rows that the store has, against b. Batches that do not give their root go to v->failing, rows
 * of batches that b does not have to v->strange. */
int window_run(struct verify *v, const struct book *b);
int strange_add(struct strange **list, size_t *count, size_t *room, uint64_t sealer, uint64_t batch);
/* One batch, row by row. `i` is its index in the book. */
int examine_batch(struct verify *v, const struct book *b, size_t i);
/* Another row with this one's id: where. Only tables with ids of their own can tell. */
int examine_copy(struct verify *v, int table, const struct shape_row *r,
                 const struct shape_place *own, struct shape_place *ret, bool *ret_found);
/* The rows of a batch that the ledger does not have. */
int examine_strange(struct verify *v, const struct book *book, uint64_t sealer, uint64_t batch);

/* Leaves of batches, from the store; believed only with the root. */
struct leaves {
    uint64_t sealer, batch;
    size_t count;
    const uint8_t *tables, *months, *hashes; /* 1, 4 and 32 bytes a row */
};
typedef int leaves_fn(void *arg, const struct leaves *l);
int leaves_ask(struct verify *v, const char *condition, leaves_fn *fn, void *arg);

/* ---- verify.c ---- */
struct verify {
    const struct verify_spec *spec;
    struct verify_totals *totals;
    uint64_t told[VERIFY_KIND_COUNT];
    struct spool_list spool;
    struct exchanges exchanges;
    struct drops drops;
    struct changed changed;
    struct strange *strange, *failing;
    size_t strange_count, strange_room, failing_count, failing_room;
    size_t examined;
    bool has_held[SHAPE_TABLES + 1], in_held;
    uint64_t interactions_changed; /* rows of it that are others: their exchange is not counted */
    uint64_t rows_expected; /* the store's word, for the progress only */
};

/* Tells it, or counts it when there were too many of its kind. */
void verify_tell(struct verify *v, const struct verify_finding *f);
void verify_say(struct verify *v, enum verify_kind kind, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* About a batch, or with an index a row of it; table may be NULL. */
void verify_say_at(struct verify *v, enum verify_kind kind, const char *table, uint64_t sealer,
                   uint64_t batch, uint32_t index, const char *fmt, ...)
    __attribute__((format(printf, 7, 8)));
void verify_progress(struct verify *v, const char *what, uint64_t done, uint64_t all);
/* A statement; failures are told as store-unread. */
int verify_ask(struct verify *v, const char *format, const char *sql, verify_sink *sink, void *arg);
/* The rows of table t that fulfil the condition, and then those that a hold kept of it when its partition
 * was dropped (v->in_held). */
int verify_rows(struct verify *v, int t, const char *condition, shape_fn *fn, void *arg);

#endif
