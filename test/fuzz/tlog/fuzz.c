/* Notes, checkpoints, proofs and keys of others: the first byte says as what the rest is read. What is
 * accepted stays within its bytes, and a key that was read is written back as it was. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tlog/checkpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_note(const char *p, size_t len) {
    static struct note n;
    struct note_key k;
    const uint8_t zero[NOTE_PUBLIC_BYTES] = {0};
    if (note_parse(&n, p, len))
        return;
    if (n.text != p || n.text_len >= len || n.count == 0 || n.text[n.text_len - 1] != '\n')
        abort();
    for (size_t i = 0; i < n.count; i++) {
        const struct note_signature *s = &n.signatures[i];
        if (s->line < p || s->line + s->line_len > p + len || s->name_len == 0)
            abort();
    }
    if (note_key_make(&k, "example.com/log", NOTE_COSIGNATURE, zero) || !note_check(&n, &k, NULL))
        abort(); /* nobody has that key */
}

static void read_key(const char *p, size_t len) {
    struct note_key k;
    struct buf again;
    if (note_key_parse(&k, p, len))
        return;
    buf_init(&again, 1024);
    /* Upper-case digits of an id are the same id. */
    if (note_key_format(&again, &k) || again.len != len)
        abort();
    buf_wipe(&again);
}

static void read_proof(const char *p, size_t len) {
    static struct tlog_proof t;
    if (tlog_proof_parse(&t, p, len))
        return;
    if (t.note < p || t.note + t.note_len != p + len || t.count > MERKLE_PROOF_MAX)
        abort();
    read_note(t.note, t.note_len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct checkpoint c;
    if (size < 1)
        return 0;
    /* Its own memory, so that a byte beyond is seen. */
    char *p = malloc(size);
    if (!p)
        abort();
    memcpy(p, data + 1, size - 1);
    switch (data[0] % 4) {
    case 0:
        read_note(p, size - 1);
        break;
    case 1:
        if (!checkpoint_parse(&c, p, size - 1) && (!c.origin[0] || c.size > INT64_MAX))
            abort();
        break;
    case 2:
        read_proof(p, size - 1);
        break;
    default:
        read_key(p, size - 1);
    }
    free(p);
    return 0;
}
