#ifndef QUERY_REMOTE_H
#define QUERY_REMOTE_H
/*
 * A running installation, as the command line and the console ask it: statements to the store, cells to the vault.
 * Connections are made when they are first needed and made again when the other end let go.
 */
#include <stddef.h>

#include "base/buf.h"
#include "ipc/peer.h"
#include "read/query/cells.h"

struct remote;
typedef int remote_sink(void *arg, const void *p, size_t len);

/* `dir` is the installation's folder; `reason` NULL: nothing will be opened. Both are borrowed. */
int remote_new(struct remote **ret, const char *dir, const char *reason);

/* Another way to store and vault than the command line's sockets. */
struct remote_ways {
    void *arg; /* of both */
    /* A connection to that program. */
    int (*reach)(void *arg, enum ipc_role role, struct peer **ret);
    /* Statements, whole; NULL: MSG_QUERY on such a connection. The sentence of a failure is not kept. */
    int (*query)(void *arg, const char *format, const char *sql, size_t sql_len, remote_sink *sink,
                 void *sink_arg);
};
int remote_new_by(struct remote **ret, const struct remote_ways *ways, const char *reason);
void remote_free(struct remote *r); /* NULL-safe */
/* What the vault is asked for is for this session (32 bytes, borrowed); NULL: for the unix user. */
void remote_session(struct remote *r, const uint8_t *token);

/* One statement; the result's bytes go to the sink in order, which asks for nothing else meanwhile (no
 * opening either: that needs data keys). A failure's sentence is remote_why. */
int remote_query(struct remote *r, const char *format, const char *sql, size_t sql_len,
                 remote_sink *sink, void *arg);
/* The same, whole, appended to out. */
int remote_query_whole(struct remote *r, const char *format, const char *sql, struct buf *out);

/*
 * Many cells are opened in several requests. Before the first, the vault is told which there will be, so
 * that it can judge them as one: their hashes (BLAKE2b-256 of context | envelope), and the statement that
 * they come from, which a second person is shown. ERR_APPROVAL, ERR_QUOTA: remote_why says more.
 */
int remote_plan(struct remote *r, const char *query, size_t query_len, const uint8_t (*hashes)[32],
                size_t count);

/* A cells_open: fetches the cells' data keys, asks the vault, unpads and decompresses. */
void remote_open(void *remote, const struct cell *cells, size_t n, struct opened *ret);

/* The vault's fingerprints of a value, for a list of u32 key number | u8 n | n class: FINGERPRINT_TEXT
 * characters each, zeros for a number that it does not know. ERR_LOCKED, ERR_AGAIN: too often. */
int remote_secret_tags(struct remote *r, const uint8_t *value, size_t len, const uint8_t *wanted,
                       size_t wanted_len, struct buf *ret_tags);

/* Asks the vault one thing: every frame of its answer goes to `fn` (not 0 ends it), then END's code. */
typedef int remote_frame(void *arg, uint16_t msg, const uint8_t *p, size_t len);
int remote_vault(struct remote *r, enum ipc_msg msg, const void *p, size_t len, remote_frame *fn,
                 void *arg);

/* Lets the connections go until they are needed again: the store serves few clients at a time. */
void remote_rest(struct remote *r);

/* The sentence that came with the last failure, without control characters; "" if none. */
const char *remote_why(const struct remote *r);

#endif
