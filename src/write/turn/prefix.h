#ifndef TURN_PREFIX_H
#define TURN_PREFIX_H
/*
 * The prefix state: which histories have been sealed, so that a request's known beginning is found
 * and only what is new is sealed again. It holds keyed digests and ids, no content, in a memory
 * file that outlives the sealer; it is bounded, and what was not used for longest is overwritten.
 * Losing any of it costs storage (a conversation is stored whole once more), never correctness.
 *
 * Digests are BLAKE2b-128 under a random key that lives in the same file and nowhere else:
 *   d_0 = H(0 | strings tenant, project, API key id | 16 subject | u32 partition)
 *   d_i = H(1 | d_(i-1) | m_i), m_i = H(2 | canonical form of message i)
 *   s_i = H(3 | d_(i-1) | H(4 | the significant members of message i)), for answers
 * Significant members are those that a client repeats of an answer (doc/turn.md); null, "" and []
 * are left out, so s_i is the same in whatever form the answer is repeated. The partition is the
 * store's (a month): a turn never refers to one in another partition.
 *
 * Entries become visible to prefix_find at once, but reach the file only at prefix_commit, after
 * the turns that they point to are durable; prefix_drop forgets them.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/uuid.h"
#include "llm/json.h"
#include "record/context.h"

#define PREFIX_DIGEST 16
#define PREFIX_OWNER 10

enum prefix_flags {
    PREFIX_ANSWER = 1,            /* the position is that of the turn's answer */
    PREFIX_WITHOUT_REASONING = 2, /* ... less its reasoning_content */
};

struct prefix_entry {
    uint8_t key[PREFIX_DIGEST]; /* d_i or s_i */
    uint8_t conversation[UUID_BYTES], turn[UUID_BYTES];
    uint8_t hash[CONTEXT_HASH_BYTES];                    /* of the turn's envelope */
    uint8_t params[PREFIX_DIGEST], tools[PREFIX_DIGEST]; /* of the turn's request */
    uint32_t position;                                   /* messages up to here */
    uint8_t choice, flags;
    uint8_t owner[PREFIX_OWNER]; /* whose it is, from prefix_owner */
};

struct prefix;

/* Takes over what is in the memory file, or makes it anew if it is empty, damaged, or of another
 * size. fd < 0: memory of this process only. Borrows fd. */
int prefix_open(int fd, struct prefix **ret);
void prefix_close(struct prefix *p); /* NULL-safe */

bool prefix_find(struct prefix *p, const uint8_t key[PREFIX_DIGEST], struct prefix_entry *ret);
/* Unless its key is there already; the one that is there is then used again. */
void prefix_add(struct prefix *p, const struct prefix_entry *e);
void prefix_commit(struct prefix *p);
void prefix_drop(struct prefix *p);
/* Forgets everything of one subject, at once and in the file. Looks at every entry: about a ms for
 * 6 MB. */
void prefix_forget(struct prefix *p, const uint8_t subject[UUID_BYTES]);
/* Entries of the file, for tests. */
size_t prefix_capacity(const struct prefix *p);

void prefix_start(const struct prefix *p, const char *tenant, const char *project,
                  const char *key_id, const uint8_t subject[UUID_BYTES], uint32_t partition,
                  uint8_t ret[PREFIX_DIGEST]);
/* The first bytes of H(5 | 16 subject). */
void prefix_owner(const struct prefix *p, const uint8_t subject[UUID_BYTES],
                  uint8_t ret[PREFIX_OWNER]);
/* H(2 | canonical form); all zero for an absent value. ERR_NOMEM. */
int prefix_value(const struct prefix *p, struct jv v, uint8_t ret[PREFIX_DIGEST]);
void prefix_step(const struct prefix *p, const uint8_t before[PREFIX_DIGEST],
                 const uint8_t message[PREFIX_DIGEST], uint8_t ret[PREFIX_DIGEST]);
int prefix_significant(const struct prefix *p, const uint8_t before[PREFIX_DIGEST],
                       struct jv message, bool without_reasoning, uint8_t ret[PREFIX_DIGEST]);
/* Is it one of the significant members? `key` with its quotes. */
bool prefix_is_significant(struct jv key);

#endif
