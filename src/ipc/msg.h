#ifndef IPC_MSG_H
#define IPC_MSG_H
/*
 * The one table of messages between programs: number, who sends, who receives, largest size. A
 * message on the wrong edge, or larger than its row says, ends the peer. Payload layouts are packed
 * little-endian, written and read with base/bytes.h; each is described at its row.
 *
 * Frame on the socket (SOCK_STREAM): u32 payload length | u16 message | u16 version = 1 | payload.
 * A descriptor rides on the frame's first byte (SCM_RIGHTS).
 */
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"

/* IPC_CONSOLE is a client of its own kind, on connections that it hands over itself (MSG_CHANNEL): what a
 * program answers to IPC_CLIENT it may answer to it as well. */
enum ipc_role { IPC_SUPERVISOR = 1, IPC_GATEWAY, IPC_SEALER, IPC_STORE, IPC_VAULT, IPC_CLIENT, IPC_CONSOLE };

#define IPC_VERSION 1
#define IPC_HEADER_BYTES 8

/*  name              nr  from            to              largest payload */
#define IPC_MESSAGES(X)                                                                            \
    /* supervisor <-> every program. PEER carries an fd: payload u8 role of the other end. */      \
    X(MSG_PEER,          1, IPC_SUPERVISOR, 0,              1)                                     \
    /* "I am sandboxed and serving": u8 landlock abi (0 = none), u8 seccomp on, u8 reserved[2] */  \
    X(MSG_READY,         2, 0,              IPC_SUPERVISOR, 4)                                     \
    X(MSG_STOP,          3, IPC_SUPERVISOR, 0,              0)                                     \
    /* supervisor -> vault: the passphrase's bytes */                                             \
    X(MSG_PASSPHRASE,    4, IPC_SUPERVISOR, IPC_VAULT,      1024)                                  \
    /* sealer -> vault: who am I (u64 sealer id) */                                                \
    X(MSG_HELLO,        10, IPC_SEALER,     IPC_VAULT,      8)                                     \
    /* vault -> sealer, answer to HELLO and again after an unlock:                                 \
       u32 writer | u32 pepper number | 32 pepper | 32 MAC key | 32 opening public key |           \
       u32 fingerprint key number | 32 fingerprint key */                                          \
    X(MSG_WRITER,       11, IPC_VAULT,      IPC_SEALER,     140)                                   \
    /* sealer -> vault: u32 pepper number | 32 tag | u16 n | n sealed name (crypto_box_seal to the \
       opening key of: string tenant | string project | u8 kind (1 named by the request, 2 the API \
       key) | u16 len | name) */                                                                   \
    X(MSG_SUBJECT,      12, IPC_SEALER,     IPC_VAULT,      2048)                                  \
    /* vault -> sealer: 32 tag | 16 subject id | 32 public key; zeros: the id was erased */                                  \
    X(MSG_SUBJECT_IS,   13, IPC_VAULT,      IPC_SEALER,     80)                                    \
    /* sealer -> vault: u16 how many pre-made pairs are wanted (<= 256) */                         \
    X(MSG_POOL,         14, IPC_SEALER,     IPC_VAULT,      2)                                     \
    /* vault -> sealer: n x (16 subject id | 32 public key) */                                     \
    X(MSG_POOL_IS,      15, IPC_VAULT,      IPC_SEALER,     256 * 48)                              \
    /* sealer -> vault: 16 subject id of the pool | as SUBJECT: this pair is that person's now;    \
       answered with SUBJECT_IS of the same tag, whose id is the assigned one */                   \
    X(MSG_ASSIGN,       16, IPC_SEALER,     IPC_VAULT,      2064)                                  \
    /* sealer -> vault: u64 sealer | u64 number | u32 rows | 32 previous | 32 root | 32 commitment */ \
    /* (not MSG_BATCH: sys/socket.h has that name) */                                               \
    X(MSG_BATCH_IS,     17, IPC_SEALER,     IPC_VAULT,      116)                                   \
    /* vault -> sealer: u64 number: it is on disk */                                               \
    X(MSG_BATCH_NOTED,  18, IPC_VAULT,      IPC_SEALER,     8)                                     \
    /* vault -> sealer: u32 number | n x 16 subject id: these are being erased, or are: no data key of    \
       theirs is used any more, nothing is known of them. After the assignments that it has not been    \
       answered the sealer says FORGOTTEN */                                                            \
    X(MSG_FORGET,       19, IPC_VAULT,      IPC_SEALER,     LIMIT_FRAME)                           \
    X(MSG_FORGOTTEN,    22, IPC_SEALER,     IPC_VAULT,      4)                                     \
    /* sealer -> vault, for the ledger: u64 sealer | u16 n | n x (u64 epoch | u64 highest sequence    \
       number | u32 of them still in the ring) */                                                  \
    X(MSG_MARKS,        23, IPC_SEALER,     IPC_VAULT,      LIMIT_MARKS_BYTES)                     \
    /* sealer -> store, with the batch's spool file as a read-only fd:                             \
       u64 sealer | u64 number | u32 rows | u8 again (1 = an earlier answer is unknown) */         \
    X(MSG_INSERT,       20, IPC_SEALER,     IPC_STORE,      21)                                    \
    /* store -> sealer: u64 number | i32 0 or ERR_* */                                             \
    X(MSG_INSERTED,     21, IPC_STORE,      IPC_SEALER,     12)                                    \
    /* any client -> program, first frame on D/run/<program>.sock: the token's 32 bytes */         \
    X(MSG_TOKEN,        30, IPC_CLIENT,     0,              32)                                    \
    /* program -> client: i32 0 or ERR_* | text for a person (UTF-8) : ends a request */           \
    X(MSG_END,          31, 0,              IPC_CLIENT,     4096)                                  \
    /* client -> vault: the passphrase's bytes; no payload for LOCK; answered with END */          \
    X(MSG_UNLOCK,       32, IPC_CLIENT,     IPC_VAULT,      1024)                                  \
    X(MSG_LOCK,         33, IPC_CLIENT,     IPC_VAULT,      0)                                     \
    /* client -> vault: empty; answered with STATUS_IS and END */                                  \
    X(MSG_STATUS,       34, IPC_CLIENT,     0,              0)                                     \
    /* program -> client: one JSON object */                                                      \
    X(MSG_STATUS_IS,    35, 0,              IPC_CLIENT,     LIMIT_FRAME)                           \
    /* client -> vault: u16 n | n reason. Opens a reading session: the reason for what follows */  \
    X(MSG_OPEN_WHY,     36, IPC_CLIENT,     IPC_VAULT,      LIMIT_REASON + 2)                      \
    /* client -> vault: u32 cell number | u16 n | n data-key row (record/datakey.h) | context |    \
       envelope. At most LIMIT_OPEN_CELLS, then OPEN_GO: the vault notes the opening in the        \
       ledger, then answers each cell with OPENED, then END */                                     \
    X(MSG_OPEN_CELL,    37, IPC_CLIENT,     IPC_VAULT,      LIMIT_CELL)                            \
    X(MSG_OPEN_GO,      38, IPC_CLIENT,     IPC_VAULT,      0)                                     \
    /* vault -> client: u32 cell number | i32 0 or ERR_* | u8 dictionary | padded plaintext */     \
    X(MSG_OPENED,       39, IPC_VAULT,      IPC_CLIENT,     LIMIT_CELL)                            \
    /* client -> vault: u16 n | n value | k x (u32 fingerprint key number | u8 n | n class); answered \
       with SECRET_TAGS and END after the ledger has it */                                         \
    X(MSG_SECRET_TAG,   44, IPC_CLIENT,     IPC_VAULT,      LIMIT_SECRET_TAG)                      \
    /* vault -> client: for each of them 26 characters, or zeros for a number that it never lent */ \
    X(MSG_SECRET_TAGS,  45, IPC_VAULT,      IPC_CLIENT,     LIMIT_SECRET_TAG)                      \
    /* client -> vault. People and sessions; doc/people.md describes each. s8, s16: a string with    \
       one or two length bytes */                                                                  \
    /* 32 session token: the request that follows is for that session, up to its END */            \
    X(MSG_AS,           70, IPC_CLIENT,     IPC_VAULT,      32)                                    \
    /* u8 1 | s8 name | s16 password | s8 code, or u8 2 | 32 machine token; answered with          \
       SIGNED_IN and END */                                                                        \
    X(MSG_SIGN_IN,      71, IPC_CLIENT,     IPC_VAULT,      512)                                   \
    /* vault -> client: 32 session token | u64 idle us | u64 ends (us since 1970) | s8 name | the  \
       ledger's newest checkpoint */                                                               \
    X(MSG_SIGNED_IN,    72, IPC_VAULT,      IPC_CLIENT,     8192)                                  \
    X(MSG_SIGN_OUT,     73, IPC_CLIENT,     IPC_VAULT,      0)                                     \
    /* answered with STATUS_IS and END */                                                          \
    X(MSG_WHO,          74, IPC_CLIENT,     IPC_VAULT,      0)                                     \
    /* u8 enum people_verb | its fields; answered with STATUS_IS or HANDED as the verb has it, END */ \
    X(MSG_PERSON,       75, IPC_CLIENT,     IPC_VAULT,      2048)                                  \
    /* vault -> client: what is shown once: a TOTP secret (20) or a machine token (32) */          \
    X(MSG_HANDED,       76, IPC_VAULT,      IPC_CLIENT,     64)                                    \
    /* what waits for a second person; answered with STATUS_IS for each, END */                    \
    X(MSG_PENDING,      77, IPC_CLIENT,     IPC_VAULT,      0)                                     \
    /* u8 1 approve, 0 refuse | 32 digest of the request; answered with END */                     \
    X(MSG_APPROVE,      78, IPC_CLIENT,     IPC_VAULT,      33)                                    \
    /* after OPEN_WHY: s16 statement | k x 32 cell hash: all cells that will be opened for this    \
       reason; answered with END (ERR_APPROVAL: the text has the digest) */                        \
    X(MSG_OPEN_PLAN,    79, IPC_CLIENT,     IPC_VAULT,      LIMIT_PLAN_CELLS * 32 + LIMIT_PLAN_QUERY + 2) \
    /* client -> store: u16 n | n format | SQL; answered with DATA..., END */                      \
    X(MSG_QUERY,        40, IPC_CLIENT,     IPC_STORE,      LIMIT_SQL + 66)                        \
    X(MSG_DATA,         41, IPC_STORE,      IPC_CLIENT,     LIMIT_FRAME)                           \
    /* client -> vault: the ledger, to be read; answered with LEDGER_IS and END */                \
    X(MSG_LEDGER,       46, IPC_CLIENT,     IPC_VAULT,      0)                                     \
    /* vault -> client, with a read-only descriptor of ledger.log: u64 bytes of it that are        \
       confirmed | the newest checkpoint */                                                        \
    X(MSG_LEDGER_IS,    47, IPC_VAULT,      IPC_CLIENT,     4096)                                  \
    /* client -> supervisor: read control.db again and publish; answered with END */               \
    X(MSG_RELOAD,       50, IPC_CLIENT,     IPC_SUPERVISOR, 0)                                     \
    /* client -> supervisor: read the configuration again (u8 1 = new gateway workers in any case); \
       answered with END when it is in force, or is not and why */                                 \
    X(MSG_CONFIGURE,    53, IPC_CLIENT,     IPC_SUPERVISOR, 1)                                     \
    /* client -> supervisor: answered with STATUS_IS for each key and project, and END */          \
    X(MSG_LIMITS,       54, IPC_CLIENT,     IPC_SUPERVISOR, 0)                                     \
    /* client -> supervisor: what the workers of an nginx of one's own need; answered with DESCRIPTOR \
       for each, and END */                                                                        \
    X(MSG_ATTACH,       55, IPC_CLIENT,     IPC_SUPERVISOR, 0)                                     \
    /* supervisor -> client, with a descriptor: the variable that is to have its number */         \
    X(MSG_DESCRIPTOR,   56, IPC_SUPERVISOR, IPC_CLIENT,     64)                                    \
    /* Reports from outside (doc/disclosure.md). sealer -> vault: 8 number | u64 when it came (us) |   \
       u32 bytes | 32 SHA-256 of them | n sealed to the opening key: u8 1 | u64 when | s8 content     \
       type | the bytes */                                                                        \
    X(MSG_REPORT,      105, IPC_SEALER,     IPC_VAULT,      LIMIT_REPORT + 512)                    \
    /* vault -> sealer: 8 number: it is kept, and in the ledger */                                 \
    X(MSG_REPORT_NOTED,106, IPC_VAULT,      IPC_SEALER,     8)                                     \
    /* vault -> supervisor, at the start and at each change: u32 not answered | u64 when the oldest \
       of them came (us; 0 = none) */                                                              \
    X(MSG_REPORTS_WAIT,107, IPC_VAULT,      IPC_SUPERVISOR, 12)                                    \
    /* client -> vault: u8 1 list; or 2 show, 3 answer | 8 number | s16 reason, or what was done;   \
       answered with STATUS_IS for each, REPORT_IS, and END */                                     \
    X(MSG_INBOX,       108, IPC_CLIENT,     IPC_VAULT,      LIMIT_REASON + 16)                     \
    /* vault -> client: u8 1 | u64 when | s8 content type | the bytes */                           \
    X(MSG_REPORT_IS,   109, IPC_VAULT,      IPC_CLIENT,     LIMIT_REPORT + 512)                    \
    /* Retention (doc/retention.md). supervisor -> vault: who is held? i32 0 or ERR_* | k x 16 id */  \
    X(MSG_HOLDS,        90, IPC_SUPERVISOR, IPC_VAULT,      0)                                     \
    X(MSG_HOLDS_ARE,    91, IPC_VAULT,      IPC_SUPERVISOR, LIMIT_FRAME)                           \
    /* supervisor -> store: k x 16 held id; store -> supervisor: i32 0 or ERR_* |                   \
       n x (u8 table | u32 month, as 202611 | u64 rows | u64 of them of held subjects). Here and   \
       below: table & ROWS_COPIES (record/rows.h): the copies that holds kept of that table */     \
    X(MSG_MONTHS,       92, IPC_SUPERVISOR, IPC_STORE,      LIMIT_FRAME)                           \
    X(MSG_MONTHS_ARE,   93, IPC_STORE,      IPC_SUPERVISOR, LIMIT_FRAME)                           \
    /* supervisor -> vault: u8 table | u32 month | u64 rows | u64 held | u32 days that rows are kept:  \
       the ledger is to have it; answered when it is durable, i32 0 or ERR_* */                    \
    X(MSG_RETENTION,    94, IPC_SUPERVISOR, IPC_VAULT,      25)                                    \
    X(MSG_RETENTION_IS, 95, IPC_VAULT,      IPC_SUPERVISOR, 4)                                     \
    /* supervisor -> store: u8 table | u32 month | k x 16 held id: copy theirs, drop the month;     \
       answered with i32 0 or ERR_* | u64 rows that are kept */                                    \
    X(MSG_DROP,         96, IPC_SUPERVISOR, IPC_STORE,      LIMIT_FRAME)                           \
    X(MSG_DROPPED,      97, IPC_STORE,      IPC_SUPERVISOR, 12)                                    \
    /* client -> vault, about persons (record/inquiry.h has the layouts): find, export, erase, hold,   \
       release; answered with SUBJECTS_ARE for each person, or RECEIPT, and END */                 \
    X(MSG_SUBJECTS,     80, IPC_CLIENT,     IPC_VAULT,      LIMIT_FRAME)                           \
    X(MSG_SUBJECTS_ARE, 81, IPC_VAULT,      IPC_CLIENT,     LIMIT_FRAME)                           \
    /* vault -> client: a signed note (doc/erasure.md, doc/export.md) */                           \
    X(MSG_RECEIPT,      82, IPC_VAULT,      IPC_CLIENT,     LIMIT_FRAME)                           \
    /* vault -> client, after the receipt of an erasure or an export: the tlog-proof of its entry */ \
    X(MSG_PROOF,        25, IPC_VAULT,      IPC_CLIENT,     LIMIT_FRAME)                           \
    /* vault -> client, after the receipt of a report: the ledger's newest checkpoint */           \
    X(MSG_CHECKPOINT,   26, IPC_VAULT,      IPC_CLIENT,     4096)                                  \
    /* client -> vault: who read what, of these subjects and that time; answered with READING for     \
       each entry of the ledger, and END */                                                        \
    X(MSG_READINGS,     83, IPC_CLIENT,     IPC_VAULT,      LIMIT_FRAME)                           \
    X(MSG_READING,      84, IPC_VAULT,      IPC_CLIENT,     4096)                                  \
    /* client -> vault: 16 request | 32 SHA-256 of the file | u32 cells: an export is whole; answered   \
       with RECEIPT, PROOF and END */                                                              \
    X(MSG_EXPORTED,     85, IPC_CLIENT,     IPC_VAULT,      52)                                    \
    /* client -> vault: a new generation of keys now; answered with END when it is there */        \
    X(MSG_RENEW,        86, IPC_CLIENT,     IPC_VAULT,      0)                                     \
    /* client -> vault: what else the ledger has of that time, for reports; answered with EVENT for   \
       each entry, and END (record/inquiry.h) */                                                   \
    X(MSG_EVENTS,       87, IPC_CLIENT,     IPC_VAULT,      20)                                    \
    X(MSG_EVENT,        88, IPC_VAULT,      IPC_CLIENT,     LIMIT_FRAME)                           \
    /* client -> vault: u8 1 records, 2 breach, 3 subject | 32 SHA-256 of a report; answered with    \
       RECEIPT, CHECKPOINT and END */                                                              \
    X(MSG_REPORTED,     89, IPC_CLIENT,     IPC_VAULT,      33)                                    \
    /* client -> supervisor: u8 1 = only say what would be done; answered with STATUS_IS for each     \
       month that is due, and END */                                                               \
    X(MSG_RETAIN,       98, IPC_CLIENT,     IPC_SUPERVISOR, 1)                                     \
    /* console -> store, vault, with a descriptor: one more connection of it */                    \
    X(MSG_CHANNEL,     100, IPC_CONSOLE,    0,              0)                                     \
    /* console -> store, on a channel: a person's statement. u8 flags (0) | u32 seconds at most |      \
       u64 rows at most (0: the store's default, both) | s16 database | s16 format |               \
       u16 n, n x s8 project, or n = 0xffff: all of them | u16 n, n x (s16 name | u32 n | n value) \
       parameters | u32 n | n SQL. Answered with DATA..., RESULT; a channel that closes cancels it */ \
    X(MSG_CONSOLE_QUERY, 110, IPC_CONSOLE,  IPC_STORE,      LIMIT_CONSOLE_QUERY)                   \
    /* store -> console: i32 0 or ERR_* | u32 ClickHouse's code of it (0: none) | u64 rows read |    \
       u64 bytes read | u64 rows of the result | u64 its bytes | u64 ns | s16 text for a person */ \
    X(MSG_RESULT,      111, IPC_STORE,      IPC_CONSOLE,    4096)                                  \
    /* console -> clerk (proc/cli/clerk.c), on a connection that it handed to the supervisor: a command of  \
       a person. 32 session | u8 enum ipc_command | u8 n, n x (u8 n | n option | u16 n | n value); answered \
       with OUTPUT..., END */                                                                      \
    X(MSG_COMMAND,     112, IPC_CONSOLE,    IPC_SUPERVISOR, LIMIT_COMMAND)                         \
    /* clerk -> console: bytes of the command's output; none: it goes on */                        \
    X(MSG_OUTPUT,      113, IPC_SUPERVISOR, IPC_CONSOLE,    65536)                                 \
    /* client -> vault: an admin's wish about API keys. u8 0 may it be asked?, 1 a key is made, 2 changed, \
       3 revoked, 4 a project is changed | s8 key | s8 project: the ledger has it before END says 0 */ \
    X(MSG_KEY_CHANGE,  114, IPC_CLIENT,     IPC_VAULT,      256)                                   \
    /* Canaries (doc/canary.md). client -> vault: u8 1 plant, 2 list, 3 remove | the encoded name, none of \
       list; answered with CANARY_IS for each, and END */                                          \
    X(MSG_CANARY,       60, IPC_CLIENT,     IPC_VAULT,      1024)                                  \
    /* vault -> client: u64 since (us) | u32 subject ids that it has | the encoded name */         \
    X(MSG_CANARY_IS,    61, IPC_VAULT,      IPC_CLIENT,     1024)                                  \
    /* vault -> supervisor: cells of canaries are being opened: u64 entry of the ledger | u64 time (us) | \
       u32 uid | u32 cells | s8 person */                                                          \
    X(MSG_ALARM,        62, IPC_VAULT,      IPC_SUPERVISOR, 128)                                   \
    /* supervisor -> vault, at its start and at each change: 32 SHA-256 of the configuration in force |  \
       u32 uid of who asked for it (0xffffffff: nobody) */                                         \
    X(MSG_CONFIGURATION,63, IPC_SUPERVISOR, IPC_VAULT,      36)                                    \
    /* supervisor -> sealer: how full is it? */                                                    \
    X(MSG_USAGE,        51, IPC_SUPERVISOR, IPC_SEALER,     0)                                     \
    /* sealer -> supervisor: struct ring_usage in its order: u64 slots | u64 used | u64 bytes |    \
       u64 used | u64 admitted | u64 refused | u64 cut | u64 oldest READY (monotonic ns, 0 = none) \
       | u64 batches in the spool | i32 0 or the spool's ERR_* */                                  \
    X(MSG_USAGE_IS,     52, IPC_SEALER,     IPC_SUPERVISOR, 76)

enum ipc_msg {
#define IPC_ENUM_(name, nr, from, to, max) name = (nr),
    IPC_MESSAGES(IPC_ENUM_)
#undef IPC_ENUM_
};

/* What MSG_COMMAND may ask for: subcommands of the command line. */
enum ipc_command {
    COMMAND_KEYS = 1,
    COMMAND_KEY_CREATE,
    COMMAND_KEY_UPDATE,
    COMMAND_KEY_REVOKE,
    COMMAND_PROJECTS,
    COMMAND_PROJECT_UPDATE,
    COMMAND_SUBJECT_FIND,
    COMMAND_SUBJECT_EXPORT,
    COMMAND_SUBJECT_ERASE,
    COMMAND_SUBJECT_HOLD,
    COMMAND_SUBJECT_RELEASE,
    COMMAND_REPORT_RECORDS,
    COMMAND_REPORT_BREACH,
    COMMAND_REPORT_SUBJECT,
};

/* May `from` send this message to `to`, with a payload of that size? 0 in the table = anyone. */
int ipc_allowed(uint16_t msg, enum ipc_role from, enum ipc_role to, size_t len);

#endif
