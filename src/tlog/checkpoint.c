/* Checkpoints and proofs (checkpoint.h), line by line. */
#include "tlog/checkpoint.h"

#include <string.h>

#include "base/bytes.h"
#include "base/err.h"

/* ---- lines ---- */

bool tlog_take_line(const char **p, size_t *len, const char **ret_line, size_t *ret_len) {
    const char *end = *len ? memchr(*p, '\n', *len) : NULL;
    if (!end)
        return false;
    *ret_line = *p;
    *ret_len = (size_t)(end - *p);
    *len -= *ret_len + 1;
    *p = end + 1;
    return true;
}

bool tlog_take_number(const char *p, size_t len, uint64_t *ret) {
    uint64_t v = 0;
    if (len == 0 || len > 19 || (p[0] == '0' && len > 1))
        return false;
    for (size_t i = 0; i < len; i++) {
        if (p[i] < '0' || p[i] > '9')
            return false;
        v = v * 10 + (uint64_t)(p[i] - '0'); /* 19 digits fit */
    }
    *ret = v;
    return v <= INT64_MAX;
}

bool tlog_take_hash(const char *p, size_t len, merkle_hash ret) {
    uint8_t out[B64_LEN(MERKLE_HASH_BYTES) * 3 / 4];
    if (len != B64_LEN(MERKLE_HASH_BYTES) || b64_decode(out, p, len) != MERKLE_HASH_BYTES)
        return false;
    memcpy(ret, out, MERKLE_HASH_BYTES);
    return true;
}

int tlog_put_hash(struct buf *out, const merkle_hash hash) {
    char line[B64_LEN(MERKLE_HASH_BYTES) + 1];
    size_t n = b64_encode(line, hash, MERKLE_HASH_BYTES);
    line[n++] = '\n';
    return buf_append(out, line, n);
}

/* ---- checkpoints ---- */

int checkpoint_format(struct buf *out, const struct checkpoint *c) {
    int rc = buf_printf(out, "%s\n%llu\n", c->origin, (unsigned long long)c->size);
    return rc ? rc : tlog_put_hash(out, c->root);
}

int checkpoint_parse(struct checkpoint *ret, const char *text, size_t len) {
    const char *line;
    size_t n;
    if (!tlog_take_line(&text, &len, &line, &n) || n == 0 || n >= sizeof ret->origin ||
        memchr(line, 0, n))
        return ERR_SYNTAX;
    memcpy(ret->origin, line, n);
    ret->origin[n] = 0;
    if (!tlog_take_line(&text, &len, &line, &n) || !tlog_take_number(line, n, &ret->size) ||
        !tlog_take_line(&text, &len, &line, &n) || !tlog_take_hash(line, n, ret->root))
        return ERR_SYNTAX;
    while (len)
        if (!tlog_take_line(&text, &len, &line, &n) || n == 0)
            return ERR_SYNTAX;
    return 0;
}

int checkpoint_open(struct checkpoint *ret, const struct note_key *log, const char *p, size_t len) {
    struct note n;
    struct checkpoint c;
    int rc = note_parse(&n, p, len);
    if (!rc)
        rc = checkpoint_parse(&c, n.text, n.text_len);
    if (rc)
        return rc;
    if (strcmp(c.origin, log->name))
        return ERR_DENIED;
    if (note_check(&n, log, NULL))
        return ERR_UNAUTHENTICATED;
    *ret = c;
    return 0;
}

/* ---- proofs ---- */

static bool begins(const char *line, size_t len, const char *with) {
    return len > strlen(with) && memcmp(line, with, strlen(with)) == 0;
}

int tlog_proof_parse(struct tlog_proof *ret, const char *p, size_t len) {
    const char *line;
    size_t n;
    ret->extra = NULL;
    ret->extra_len = ret->count = 0;
    if (len > TLOG_PROOF_MAX)
        return ERR_LIMIT;
    if (len < strlen(TLOG_PROOF_FIRST) || memcmp(p, TLOG_PROOF_FIRST, strlen(TLOG_PROOF_FIRST)))
        return ERR_SYNTAX;
    p += strlen(TLOG_PROOF_FIRST);
    len -= strlen(TLOG_PROOF_FIRST);
    if (!tlog_take_line(&p, &len, &line, &n))
        return ERR_SYNTAX;
    if (begins(line, n, "extra ")) {
        ret->extra = line + 6;
        ret->extra_len = n - 6;
        if (!tlog_take_line(&p, &len, &line, &n))
            return ERR_SYNTAX;
    }
    if (!begins(line, n, "index ") || !tlog_take_number(line + 6, n - 6, &ret->index))
        return ERR_SYNTAX;
    for (;;) {
        if (!tlog_take_line(&p, &len, &line, &n))
            return ERR_SYNTAX;
        if (n == 0)
            break;
        if (ret->count == MERKLE_PROOF_MAX || !tlog_take_hash(line, n, ret->hashes[ret->count++]))
            return ERR_SYNTAX;
    }
    ret->note = p;
    ret->note_len = len;
    return len ? 0 : ERR_SYNTAX;
}

static int put_extra(struct buf *out, const void *extra, size_t len) {
    int rc = buf_append_str(out, "extra ");
    if (!rc)
        rc = buf_reserve(out, B64_LEN(len) + 1);
    if (rc)
        return rc;
    out->len += b64_encode((char *)out->p + out->len, extra, len);
    return buf_append_u8(out, '\n');
}

int tlog_proof_format(struct buf *out, const void *extra, size_t extra_len, uint64_t index,
                      const merkle_hash *hashes, size_t count, const char *note, size_t note_len) {
    int rc = buf_append_str(out, TLOG_PROOF_FIRST);
    if (!rc && extra_len)
        rc = put_extra(out, extra, extra_len);
    if (!rc)
        rc = buf_printf(out, "index %llu\n", (unsigned long long)index);
    for (size_t i = 0; !rc && i < count; i++)
        rc = tlog_put_hash(out, hashes[i]);
    if (!rc)
        rc = buf_append_u8(out, '\n');
    return rc ? rc : buf_append(out, note, note_len);
}

int tlog_proof_check(const struct tlog_proof *p, const struct note_key *log, const merkle_hash leaf,
                     struct checkpoint *ret) {
    struct checkpoint c;
    int rc = checkpoint_open(&c, log, p->note, p->note_len);
    if (!rc && !merkle_check_inclusion(p->index, c.size, leaf, p->hashes, p->count, c.root))
        rc = ERR_UNAUTHENTICATED;
    if (!rc && ret)
        *ret = c;
    return rc;
}
