#ifndef VERIFY_FINDING_H
#define VERIFY_FINDING_H
/*
 * What verify can find: the one table of kinds. doc/verify.md says for each what it means and what to
 * do; `name` is what scripts look for.
 *
 * Levels: FOUND something is not as it was written; PENDING it is not checked yet and will be; PART it
 * could not be checked at all, so that the answer is incomplete.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/uuid.h"

enum verify_level { VERIFY_FOUND, VERIFY_PENDING, VERIFY_PART };

#define VERIFY_KINDS(X)                                                                            \
    X(VERIFY_ROW_CHANGED, "row-changed", VERIFY_FOUND)                                             \
    X(VERIFY_ROW_SWAPPED, "row-swapped", VERIFY_FOUND)                                             \
    X(VERIFY_ROW_REPLAYED, "row-replayed", VERIFY_FOUND)                                           \
    X(VERIFY_LEAVES_CHANGED, "leaves-changed", VERIFY_FOUND)                                       \
    X(VERIFY_ROW_ADDED, "row-added", VERIFY_FOUND)                                                 \
    X(VERIFY_ROW_MISSING, "row-missing", VERIFY_FOUND)                                             \
    X(VERIFY_BATCH_CHANGED, "batch-changed", VERIFY_FOUND)                                         \
    X(VERIFY_BATCH_MISSING, "batch-missing", VERIFY_FOUND)                                         \
    X(VERIFY_BATCH_GAP, "batch-gap", VERIFY_FOUND)                                                 \
    X(VERIFY_BATCH_CHAIN, "batch-chain", VERIFY_FOUND)                                             \
    X(VERIFY_PARTITION_DROPPED, "partition-dropped", VERIFY_FOUND)                                 \
    X(VERIFY_EXCHANGE_MISSING, "exchange-missing", VERIFY_FOUND)                                   \
    X(VERIFY_EXCHANGE_TWICE, "exchange-twice", VERIFY_FOUND)                                       \
    X(VERIFY_TABLE_CHANGED, "table-changed", VERIFY_FOUND)                                         \
    X(VERIFY_TABLE_TTL, "table-ttl", VERIFY_FOUND)                                                 \
    X(VERIFY_SPOOL_DAMAGED, "spool-damaged", VERIFY_FOUND)                                         \
    X(VERIFY_LEDGER_DAMAGED, "ledger-damaged", VERIFY_FOUND)                                       \
    X(VERIFY_LEDGER_MISSING, "ledger-missing", VERIFY_FOUND)                                       \
    X(VERIFY_LEDGER_ROOT, "ledger-root", VERIFY_FOUND)                                             \
    X(VERIFY_LEDGER_SIGNATURE, "ledger-signature", VERIFY_FOUND)                                   \
    X(VERIFY_LEDGER_TIME, "ledger-time", VERIFY_FOUND)                                             \
    X(VERIFY_LEDGER_BATCH_TWICE, "ledger-batch-twice", VERIFY_FOUND)                               \
    X(VERIFY_LEDGER_SHORTENED, "ledger-shortened", VERIFY_FOUND)                                   \
    X(VERIFY_LEDGER_FORKED, "ledger-forked", VERIFY_FOUND)                                         \
    X(VERIFY_LEDGER_KEY, "ledger-key", VERIFY_FOUND)                                               \
    X(VERIFY_CHECKPOINT_WRONG, "checkpoint-wrong", VERIFY_FOUND)                                   \
    X(VERIFY_PROOF_WRONG, "proof-wrong", VERIFY_FOUND)                                             \
    X(VERIFY_RECEIPT_WRONG, "receipt-wrong", VERIFY_FOUND)                                         \
    X(VERIFY_RECEIPT_SIGNATURE, "receipt-signature", VERIFY_FOUND)                                 \
    X(VERIFY_RECEIPT_KEY, "receipt-key", VERIFY_FOUND)                                             \
    X(VERIFY_RECEIPT_PROOF, "receipt-proof", VERIFY_FOUND)                                         \
    X(VERIFY_RECEIPT_NAME, "receipt-name", VERIFY_FOUND)                                           \
    X(VERIFY_RECEIPT_FILE, "receipt-file", VERIFY_FOUND)                                           \
    X(VERIFY_RECEIPT_PENDING, "receipt-pending", VERIFY_PENDING)                                   \
    X(VERIFY_SPOOL_WAITING, "spool-waiting", VERIFY_PENDING)                                       \
    X(VERIFY_EXCHANGE_OPEN, "exchange-open", VERIFY_PENDING)                                       \
    X(VERIFY_STORE_UNREAD, "store-unread", VERIFY_PART)                                            \
    X(VERIFY_LEDGER_UNKNOWN, "ledger-unknown", VERIFY_PART)                                        \
    X(VERIFY_PROOF_UNANCHORED, "proof-unanchored", VERIFY_PART)                                    \
    X(VERIFY_CHECKPOINT_UNLINKED, "checkpoint-unlinked", VERIFY_PART)                              \
    X(VERIFY_RECEIPT_UNPROVEN, "receipt-unproven", VERIFY_PART)                                    \
    X(VERIFY_MANY, "many", VERIFY_PART)

enum verify_kind {
#define VERIFY_ENUM_(kind, name, level) kind,
    VERIFY_KINDS(VERIFY_ENUM_)
#undef VERIFY_ENUM_
        VERIFY_KIND_COUNT
};

const char *verify_kind_name(enum verify_kind k);
enum verify_level verify_kind_level(enum verify_kind k);

/* Only the fields that are known are set: a table of NULL, no_place, no_index, an id of zeros. */
#define VERIFY_NO_INDEX UINT32_MAX
#define VERIFY_TEXT 400
struct verify_finding {
    enum verify_kind kind;
    const char *table;  /* a literal */
    const char *column; /* a literal */
    bool placed;        /* sealer and batch are set */
    uint64_t sealer, batch;
    uint32_t index; /* VERIFY_NO_INDEX: not known */
    uint8_t id[UUID_BYTES];
    char text[VERIFY_TEXT]; /* a sentence without its end, of this source's words and numbers */
};

#endif
