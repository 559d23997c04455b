/*
 * The real safehouse-vault (SAFEHOUSE_BIN names its folder), started as the supervisor would, with
 * a test in the places of supervisor, sealer and command line. Also a small sealer's worth of
 * sealing, written from the headers of src/record alone.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
/* after setjmp.h and stdarg.h */
#include <cmocka.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/traces.h"
#include "ipc/dial/dial.h"
#include "ipc/peer.h"
#include "record/batch.h"
#include "record/datakey.h"
#include "record/subject.h"

#define PASSPHRASE "correct horse battery staple"
#define WAIT_MS 20000

struct rig {
    char home[64], replicas[600];
    pid_t pid;
    struct peer *supervisor, *sealer;
    uint8_t token[32];
    /* what the vault lent */
    uint32_t writer, pepper_number, fingerprint_number;
    uint8_t pepper[32], mac[32], opening[32], fingerprint[32];
};

static inline void path_of(const struct rig *r, char out[256], const char *name) {
    snprintf(out, 256, "%s/%s", r->home, name);
}

static inline const char *vault_file(void) {
    static char path[4096];
    const char *bin = getenv("SAFEHOUSE_BIN");
    snprintf(path, sizeof path, "%s/safehouse-vault", bin ? bin : "build/bin");
    return path;
}

static inline int init_vault(const char *dir, const char *passphrase) {
    int in[2], status;
    assert_int_equal(pipe(in), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(in[0], 0);
        close(in[1]);
        execl(vault_file(), "safehouse-vault", "--init", dir, "64", (char *)NULL);
        _exit(99);
    }
    close(in[0]);
    assert_int_equal(write(in[1], passphrase, strlen(passphrase)), strlen(passphrase));
    close(in[1]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static inline void rig_make(struct rig *r) {
    char path[256];
    *r = (struct rig){0};
    snprintf(r->home, sizeof r->home, "%s/vault-XXXXXX", P_tmpdir);
    assert_non_null(mkdtemp(r->home));
    path_of(r, path, "run");
    assert_int_equal(mkdir(path, 0700), 0);
    randombytes_buf(r->token, sizeof r->token);
    path_of(r, path, "run/token");
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(r->token, 1, 32, f), 32);
    fclose(f);
    path_of(r, path, "vault");
    assert_int_equal(init_vault(path, PASSPHRASE), 0);
}

static inline void rig_remove(struct rig *r) {
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", r->home);
    assert_int_equal(system(command), 0);
}

static inline int listen_at(const struct rig *r) {
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    snprintf(a.sun_path, sizeof a.sun_path, "%s/run/vault.sock", r->home);
    unlink(a.sun_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(fd, 16), 0);
    return fd;
}

/* In the child: descriptors to their places, then the program. */
static inline void become_vault(const struct rig *r, int control, int listening, int token) {
    char dir[300], owner[40], replicas[640];
    /* First out of the way of one another. */
    int a = fcntl(control, F_DUPFD, 20), b = fcntl(listening, F_DUPFD, 20);
    int c = fcntl(token, F_DUPFD, 20);
    dup2(a, 3);
    dup2(b, 4);
    dup2(c, 5);
    snprintf(dir, sizeof dir, "SH_DIR=%s/vault", r->home);
    snprintf(owner, sizeof owner, "SH_OWNER_UID=%u", geteuid());
    snprintf(replicas, sizeof replicas, "SH_REPLICAS=%s", r->replicas);
    char *const env[] = {dir, owner, replicas, "SH_LISTEN_FD=4", "SH_TOKEN_FD=5",
                         "GLIBC_TUNABLES=" TRACES_TUNABLES, NULL};
    char *const argv[] = {"safehouse-vault", NULL};
    if (!getenv("RIG_LOG"))
        dup2(open("/dev/null", O_WRONLY), 2);
    execve(vault_file(), argv, env);
    _exit(99);
}

static inline void rig_start(struct rig *r) {
    int control[2], token[2];
    struct frame f;
    int listening = listen_at(r);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, control), 0);
    assert_int_equal(pipe(token), 0);
    assert_int_equal(write(token[1], r->token, 32), 32);
    r->pid = fork();
    if (r->pid == 0)
        become_vault(r, control[1], listening, token[0]);
    close(control[1]);
    close(token[0]);
    close(token[1]);
    close(listening);
    assert_int_equal(peer_new(control[0], IPC_SUPERVISOR, IPC_VAULT, &r->supervisor), 0);
    assert_int_equal(peer_recv_wait(r->supervisor, &f, WAIT_MS), 0);
    assert_int_equal(f.msg, MSG_READY);
    assert_int_equal(f.p[1], 1); /* seccomp */
}

static inline void rig_forget(struct rig *r) {
    peer_free(r->supervisor);
    peer_free(r->sealer);
    r->supervisor = r->sealer = NULL;
}

static inline void rig_kill(struct rig *r) {
    int status;
    kill(r->pid, SIGKILL);
    assert_int_equal(waitpid(r->pid, &status, 0), r->pid);
    rig_forget(r);
}

/* An orderly end; anything else than exit code 0 (a seccomp kill, a crash) fails. */
static inline void rig_stop(struct rig *r) {
    int status;
    assert_int_equal(peer_send(r->supervisor, MSG_STOP, NULL, 0, -1), 0);
    assert_int_equal(waitpid(r->pid, &status, 0), r->pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    rig_forget(r);
}

/* ---- of a test program ---- */

static struct rig rig;

static inline int rig_setup(void **state) {
    (void)state;
    rig_make(&rig);
    rig_start(&rig);
    return 0;
}

static inline int rig_teardown(void **state) {
    (void)state;
    if (rig.supervisor)
        rig_stop(&rig);
    rig_remove(&rig);
    return 0;
}

/* ---- as the sealer ---- */

static inline void sealer_wait(struct rig *r, uint16_t msg, struct frame *f) {
    assert_int_equal(peer_flush_wait(r->sealer, WAIT_MS), 0);
    assert_int_equal(peer_recv_wait(r->sealer, f, WAIT_MS), 0);
    assert_int_equal(f->msg, msg);
}

static inline void sealer_silence(struct rig *r, int ms) {
    struct frame f;
    assert_int_equal(peer_recv_wait(r->sealer, &f, ms), ERR_AGAIN);
}

static inline void take_writer(struct rig *r, const struct frame *f) {
    assert_int_equal(f->len, 140);
    r->writer = get_u32(f->p);
    r->pepper_number = get_u32(f->p + 4);
    memcpy(r->pepper, f->p + 8, 32);
    memcpy(r->mac, f->p + 40, 32);
    memcpy(r->opening, f->p + 72, 32);
    r->fingerprint_number = get_u32(f->p + 104);
    memcpy(r->fingerprint, f->p + 108, 32);
}

static inline void sealer_connect(struct rig *r) {
    int pair[2];
    const uint8_t role = IPC_SEALER, id[8] = {7};
    struct frame f;
    peer_free(r->sealer);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(peer_send(r->supervisor, MSG_PEER, &role, 1, pair[1]), 0);
    close(pair[1]);
    assert_int_equal(peer_new(pair[0], IPC_SEALER, IPC_VAULT, &r->sealer), 0);
    assert_int_equal(peer_send(r->sealer, MSG_HELLO, id, sizeof id, -1), 0);
    sealer_wait(r, MSG_WRITER, &f);
    take_writer(r, &f);
}

/* A question about a name, as it would be asked under the pepper that was lent. */
struct question {
    size_t len;
    uint8_t p[2048];
};

static inline void ask_of(const struct rig *r, const char *name, struct question *q) {
    uint8_t encoded[SUBJECT_NAME_MAX];
    size_t n = subject_encode_name(encoded, sizeof encoded, "default", "chat", SUBJECT_NAMED, name,
                                   strlen(name));
    assert_true(n > 0);
    put_u32(q->p, r->pepper_number);
    crypto_generichash(q->p + 4, 32, encoded, n, r->pepper, 32);
    put_u16(q->p + 36, (uint16_t)(n + crypto_box_SEALBYTES));
    assert_int_equal(crypto_box_seal(q->p + 38, encoded, n, r->opening), 0);
    q->len = 38 + n + crypto_box_SEALBYTES;
}

struct who {
    uint8_t id[16], public_key[32];
};

static inline void subject_is(struct rig *r, const struct question *q, struct who *ret) {
    struct frame f;
    sealer_wait(r, MSG_SUBJECT_IS, &f);
    assert_int_equal(f.len, 80);
    assert_memory_equal(f.p, q->p + 4, 32);
    memcpy(ret, f.p + 32, sizeof *ret);
}

static inline void subject_of(struct rig *r, const char *name, struct who *ret) {
    struct question q;
    ask_of(r, name, &q);
    assert_int_equal(peer_send(r->sealer, MSG_SUBJECT, q.p, q.len, -1), 0);
    subject_is(r, &q, ret);
}

static inline void pool_pair(struct rig *r, struct who *ret) {
    const uint8_t one[2] = {1, 0};
    struct frame f;
    assert_int_equal(peer_send(r->sealer, MSG_POOL, one, 2, -1), 0);
    sealer_wait(r, MSG_POOL_IS, &f);
    assert_int_equal(f.len, sizeof *ret);
    memcpy(ret, f.p, sizeof *ret);
}

static inline void send_assign(struct rig *r, const struct who *pair, const struct question *q) {
    uint8_t p[16 + sizeof q->p];
    memcpy(p, pair->id, 16);
    memcpy(p + 16, q->p, q->len);
    assert_int_equal(peer_send(r->sealer, MSG_ASSIGN, p, 16 + q->len, -1), 0);
}

struct batch {
    struct batch_head head;
    uint8_t commitment[32], p[116];
};

static inline void batch_make(struct batch *b, uint64_t sealer, uint64_t number,
                              const struct batch *before) {
    *b = (struct batch){.head = {.sealer = sealer, .number = number, .rows = 3}};
    randombytes_buf(b->head.root, 32);
    if (before)
        memcpy(b->head.previous, before->commitment, 32);
    batch_commitment(b->commitment, &b->head);
    put_u64(b->p, sealer);
    put_u64(b->p + 8, number);
    put_u32(b->p + 16, b->head.rows);
    memcpy(b->p + 20, b->head.previous, 32);
    memcpy(b->p + 52, b->head.root, 32);
    memcpy(b->p + 84, b->commitment, 32);
}

static inline void batch_send(struct rig *r, const struct batch *b) {
    assert_int_equal(peer_send(r->sealer, MSG_BATCH_IS, b->p, sizeof b->p, -1), 0);
}

static inline void batch_noted(struct rig *r, const struct batch *b) {
    struct frame f;
    sealer_wait(r, MSG_BATCH_NOTED, &f);
    assert_int_equal(f.len, 8);
    assert_int_equal(get_u64(f.p), b->head.number);
}

/* ---- sealed cells ---- */

struct data_key {
    struct data_key_row row;
    uint8_t k[DATA_KEY_BYTES];
    uint16_t next;
    size_t encoded_len;
    uint8_t encoded[DATA_KEY_ROW_MAX];
};

static inline void data_key_mac(const struct rig *r, struct data_key *d) {
    uint8_t maced[DATA_KEY_MACED_MAX];
    size_t n = data_key_maced(maced, &d->row);
    crypto_generichash(d->row.mac, sizeof d->row.mac, maced, n, r->mac, 32);
    d->encoded_len = data_key_row_encode(d->encoded, &d->row);
}

static inline void data_key_make(const struct rig *r, const struct who *s, struct data_key *d) {
    *d = (struct data_key){.row = {.tenant = "default", .project = "chat", .writer = r->writer}};
    memcpy(d->row.subject, s->id, 16);
    randombytes_buf(d->k, sizeof d->k);
    data_key_id(d->row.id, d->k);
    assert_int_equal(crypto_box_seal(d->row.wrapped, d->k, sizeof d->k, s->public_key), 0);
    data_key_mac(r, d);
}

struct cell {
    size_t len, context_len;
    uint8_t p[CONTEXT_MAX + 4096]; /* context | envelope */
    uint8_t record[16];
};

/* Seals the text as the data key's next record; the padding is the caller's business. */
static inline void cell_make(struct data_key *d, const void *text, size_t len, struct cell *c) {
    uint8_t key[32], ad[ENVELOPE_HEADER_BYTES + CONTEXT_MAX];
    const uint8_t nonce[12] = {0};
    struct context ctx = {.tenant = "default",
                          .project = "chat",
                          .field = CONTEXT_FIELD_TURN,
                          .schema = CONTEXT_SCHEMA_TURN,
                          .dialect = "openai.chat"};
    struct envelope_header h = {
        ENVELOPE_SUITE_CHACHA20POLY1305, 3, ENVELOPE_PADDING_PADME, {0}, d->next++};
    memcpy(ctx.subject, d->row.subject, 16);
    randombytes_buf(ctx.record, 16);
    memcpy(c->record, ctx.record, 16);
    memcpy(h.data_key, d->row.id, sizeof h.data_key);
    data_key_step(d->k, key);
    c->context_len = context_encode(c->p, &ctx);
    envelope_encode_header(ad, &h);
    memcpy(ad + ENVELOPE_HEADER_BYTES, c->p, c->context_len);
    memcpy(c->p + c->context_len, ad, ENVELOPE_HEADER_BYTES);
    crypto_aead_chacha20poly1305_ietf_encrypt(c->p + c->context_len + ENVELOPE_HEADER_BYTES, NULL,
                                              text, len, ad, ENVELOPE_HEADER_BYTES + c->context_len,
                                              NULL, nonce, key);
    c->len = c->context_len + ENVELOPE_OVERHEAD + len;
}

/* ---- as the command line ---- */

static inline struct peer *client_connect(const struct rig *r) {
    struct peer *p;
    assert_int_equal(dial(r->home, "vault", IPC_VAULT, &p), 0);
    return p;
}

static inline void client_frame(struct peer *p, struct frame *f) {
    assert_int_equal(peer_flush_wait(p, WAIT_MS), 0);
    assert_int_equal(peer_recv_wait(p, f, WAIT_MS), 0);
}

static inline int client_end(struct peer *p) {
    struct frame f;
    client_frame(p, &f);
    assert_int_equal(f.msg, MSG_END);
    assert_true(f.len >= 4);
    return (int32_t)get_u32(f.p);
}

static inline int client_ask(const struct rig *r, enum ipc_msg msg, const char *text) {
    struct peer *p = client_connect(r);
    assert_int_equal(peer_send(p, msg, text, text ? strlen(text) : 0, -1), 0);
    int rc = client_end(p);
    peer_free(p);
    return rc;
}

static inline int unlock(const struct rig *r) {
    return client_ask(r, MSG_UNLOCK, PASSPHRASE);
}

/* The STATUS object; true when it has that text. */
static inline bool status_has(const struct rig *r, const char *text) {
    struct peer *p = client_connect(r);
    struct frame f;
    char json[4096];
    assert_int_equal(peer_send(p, MSG_STATUS, NULL, 0, -1), 0);
    client_frame(p, &f);
    assert_int_equal(f.msg, MSG_STATUS_IS);
    assert_true(f.len < sizeof json);
    memcpy(json, f.p, f.len);
    json[f.len] = 0;
    assert_int_equal(client_end(p), 0);
    peer_free(p);
    if (!strstr(json, text) && getenv("RIG_LOG"))
        fprintf(stderr, "%s lacks %s\n", json, text);
    return strstr(json, text) != NULL;
}

static inline bool status_becomes(const struct rig *r, const char *text) {
    for (int i = 0; i < 200; i++) {
        if (status_has(r, text))
            return true;
        usleep(25000);
    }
    return false;
}

static inline void send_why(struct peer *p, const char *reason) {
    uint8_t why[2 + LIMIT_REASON];
    put_u16(why, (uint16_t)strlen(reason));
    memcpy(why + 2, reason, strlen(reason));
    assert_int_equal(peer_send(p, MSG_OPEN_WHY, why, 2 + strlen(reason), -1), 0);
}

static inline void send_cell(struct peer *p, uint32_t number, const struct data_key *d,
                             const struct cell *c) {
    uint8_t m[6 + DATA_KEY_ROW_MAX + sizeof c->p];
    put_u32(m, number);
    put_u16(m + 4, (uint16_t)d->encoded_len);
    memcpy(m + 6, d->encoded, d->encoded_len);
    memcpy(m + 6 + d->encoded_len, c->p, c->len);
    assert_int_equal(peer_send(p, MSG_OPEN_CELL, m, 6 + d->encoded_len + c->len, -1), 0);
}

/* One cell, one request. Gives the cell's code, or the request's if it was refused; the plaintext
 * goes to `out`, a string. */
static inline int open_one(const struct rig *r, const struct data_key *d, const struct cell *c,
                           char out[4096]) {
    struct peer *p = client_connect(r);
    struct frame f;
    int rc;
    out[0] = 0;
    send_why(p, "why-canary: the customer asked");
    send_cell(p, 5, d, c);
    assert_int_equal(peer_send(p, MSG_OPEN_GO, NULL, 0, -1), 0);
    client_frame(p, &f);
    rc = (int32_t)get_u32(f.p);
    if (f.msg == MSG_OPENED) {
        assert_int_equal(get_u32(f.p), 5);
        rc = (int32_t)get_u32(f.p + 4);
        assert_int_equal(f.len > 9, rc == 0);
        memcpy(out, f.p + 9, f.len - 9);
        out[f.len - 9] = 0;
        if (!rc)
            assert_int_equal(f.p[8], 3);
        assert_int_equal(client_end(p), 0);
    } else {
        assert_int_equal(f.msg, MSG_END);
        assert_int_not_equal(rc, 0);
    }
    peer_free(p);
    return rc;
}
