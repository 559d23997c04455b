/*
 * Framing: frames that arrive torn, glued or wrong; descriptors and their order; ceilings; the way
 * in through a socket with its token.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/bytes.h"
#include "base/err.h"
#include "ipc/dial/dial.h"
#include "ipc/peer.h"

/* A raw end, and the peer at the other: the sealer, connected to the vault. */
struct pair {
    int raw;
    struct peer *peer;
};

static struct pair pair_new(enum ipc_role self, enum ipc_role other) {
    struct pair p;
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    p.raw = fds[0];
    assert_int_equal(peer_new(fds[1], self, other, &p.peer), 0);
    return p;
}

static void pair_free(struct pair *p) {
    peer_free(p->peer);
    close(p->raw);
}

/* Frame bytes; returns their number. */
static size_t frame_bytes(uint8_t *out, enum ipc_msg msg, uint16_t version, const void *payload,
                          uint32_t len) {
    put_u32(out, len);
    put_u16(out + 4, (uint16_t)msg);
    put_u16(out + 6, version);
    if (len)
        memcpy(out + IPC_HEADER_BYTES, payload, len);
    return IPC_HEADER_BYTES + len;
}

static void put_raw(const struct pair *p, const void *bytes, size_t len) {
    assert_int_equal(write(p->raw, bytes, len), len);
}

static void a_frame_arrives_whole_however_torn(void **state) {
    (void)state;
    struct pair p = pair_new(IPC_SEALER, IPC_VAULT);
    struct frame f;
    uint8_t bytes[64];
    size_t len = frame_bytes(bytes, MSG_BATCH_NOTED, IPC_VERSION, "01234567", 8);
    assert_int_equal(peer_recv(p.peer, &f), ERR_AGAIN);
    for (size_t i = 0; i < len; i++) {
        put_raw(&p, bytes + i, 1);
        assert_int_equal(peer_recv(p.peer, &f), i + 1 < len ? ERR_AGAIN : 0);
    }
    assert_int_equal(f.msg, MSG_BATCH_NOTED);
    assert_int_equal(f.len, 8);
    assert_memory_equal(f.p, "01234567", 8);
    assert_int_equal(f.fd, -1);
    assert_int_equal(peer_recv(p.peer, &f), ERR_AGAIN);
    pair_free(&p);
}

static void glued_frames_come_one_by_one(void **state) {
    (void)state;
    struct pair p = pair_new(IPC_SEALER, IPC_VAULT);
    struct frame f;
    uint8_t bytes[4096];
    size_t len = 0;
    for (uint8_t i = 0; i < 100; i++) {
        uint8_t number[8] = {i};
        len += frame_bytes(bytes + len, MSG_BATCH_NOTED, IPC_VERSION, number, i % 9);
    }
    put_raw(&p, bytes, len - 3);
    for (uint8_t i = 0; i < 99; i++) {
        assert_int_equal(peer_recv(p.peer, &f), 0);
        assert_int_equal(f.len, i % 9);
        if (f.len)
            assert_int_equal(f.p[0], i);
    }
    assert_int_equal(peer_recv(p.peer, &f), ERR_AGAIN); /* three bytes are missing */
    put_raw(&p, bytes + len - 3, 3);
    assert_int_equal(peer_recv(p.peer, &f), 0);
    pair_free(&p);
}

static void the_largest_frame_passes(void **state) {
    (void)state;
    int fds[2];
    struct peer *client, *store;
    struct frame f = {0};
    uint8_t *data = malloc(LIMIT_FRAME);
    assert_non_null(data);
    for (size_t i = 0; i < LIMIT_FRAME; i++)
        data[i] = (uint8_t)(i * 31 >> 7);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_int_equal(peer_new(fds[0], IPC_STORE, IPC_CLIENT, &store), 0);
    assert_int_equal(peer_new(fds[1], IPC_CLIENT, IPC_STORE, &client), 0);
    assert_int_equal(peer_send(store, MSG_DATA, data, LIMIT_FRAME, -1), 0);
    assert_true(peer_wants_write(store)); /* larger than the socket's buffer */
    int rc;
    while ((rc = peer_recv(client, &f)) == ERR_AGAIN) {
        int sent = peer_flush(store);
        assert_true(sent == 0 || sent == ERR_AGAIN);
    }
    assert_int_equal(rc, 0);
    assert_int_equal(f.len, LIMIT_FRAME);
    assert_memory_equal(f.p, data, LIMIT_FRAME);
    assert_false(peer_wants_write(store));
    assert_int_equal(peer_send(store, MSG_DATA, data, LIMIT_FRAME + 1u, -1), ERR_LIMIT);
    peer_free(store);
    peer_free(client);
    free(data);
}

/* A frame that breaks the rules ends the connection, before its payload was waited for. */
static void what_is_not_allowed_is_denied(void **state) {
    (void)state;
    static const struct {
        enum ipc_role self, other;
        enum ipc_msg msg;
        uint16_t version;
        uint32_t len;
        int rc;
    } cases[] = {
        {IPC_SEALER, IPC_VAULT, MSG_BATCH_IS, IPC_VERSION, 116, ERR_DENIED}, /* the wrong way */
        {IPC_SEALER, IPC_STORE, MSG_WRITER, IPC_VERSION, 104, ERR_DENIED},   /* another sender */
        {IPC_VAULT, IPC_SEALER, MSG_OPEN_GO, IPC_VERSION, 0, ERR_DENIED},
        {IPC_VAULT, IPC_CLIENT, MSG_PASSPHRASE, IPC_VERSION, 8, ERR_DENIED},
        {IPC_SEALER, IPC_VAULT, (enum ipc_msg)999, IPC_VERSION, 0, ERR_DENIED}, /* unknown */
        {IPC_SEALER, IPC_VAULT, MSG_BATCH_NOTED, IPC_VERSION, 9, ERR_DENIED},   /* too large */
        {IPC_STORE, IPC_CLIENT, MSG_QUERY, IPC_VERSION, UINT32_MAX, ERR_DENIED},
        {IPC_SEALER, IPC_VAULT, MSG_BATCH_NOTED, IPC_VERSION + 1, 8, ERR_VERSION},
        {IPC_SEALER, IPC_VAULT, MSG_BATCH_NOTED, 0, 8, ERR_VERSION},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct pair p = pair_new(cases[i].self, cases[i].other);
        struct frame f;
        uint8_t bytes[IPC_HEADER_BYTES];
        frame_bytes(bytes, cases[i].msg, cases[i].version, NULL, 0);
        put_u32(bytes, cases[i].len);
        put_raw(&p, bytes, sizeof bytes);
        if (peer_recv(p.peer, &f) != cases[i].rc)
            fail_msg("case %zu", i);
        assert_int_equal(peer_recv(p.peer, &f), cases[i].rc); /* and stays so */
        pair_free(&p);
    }
}

static void a_closed_end_is_told_after_its_last_frame(void **state) {
    (void)state;
    struct pair p = pair_new(IPC_SEALER, IPC_VAULT);
    struct frame f;
    uint8_t bytes[64];
    size_t len = frame_bytes(bytes, MSG_BATCH_NOTED, IPC_VERSION, "01234567", 8);
    put_raw(&p, bytes, len);
    put_raw(&p, bytes, len - 1);
    shutdown(p.raw, SHUT_RDWR);
    assert_int_equal(peer_recv(p.peer, &f), 0);
    assert_int_equal(peer_recv(p.peer, &f), ERR_PEER);
    assert_int_equal(peer_send(p.peer, MSG_HELLO, bytes, 8, -1), ERR_PEER);
    pair_free(&p);
}

static void waiting_ends_at_its_time(void **state) {
    (void)state;
    struct pair p = pair_new(IPC_SEALER, IPC_VAULT);
    struct frame f;
    uint8_t bytes[64];
    size_t len = frame_bytes(bytes, MSG_BATCH_NOTED, IPC_VERSION, "01234567", 8);
    put_raw(&p, bytes, len - 1);
    assert_int_equal(peer_recv_wait(p.peer, &f, 30), ERR_AGAIN);
    put_raw(&p, bytes + len - 1, 1);
    assert_int_equal(peer_recv_wait(p.peer, &f, 1000), 0);
    assert_memory_equal(f.p, "01234567", 8);
    pair_free(&p);
}

static void a_queue_that_nobody_reads_is_full_some_time(void **state) {
    (void)state;
    struct pair p = pair_new(IPC_STORE, IPC_CLIENT);
    uint8_t *data = calloc(1, 1u << 20);
    assert_non_null(data);
    int rc = 0, sent = 0;
    const int room = (LIMIT_CELL + LIMIT_FRAME) >> 20;
    while (sent < 2 * room && (rc = peer_send(p.peer, MSG_DATA, data, 1u << 20, -1)) == 0)
        sent++;
    assert_int_equal(rc, ERR_FULL);
    assert_in_range(sent, room - 2, room + 2);
    assert_int_equal(peer_flush_wait(p.peer, 20), ERR_AGAIN);
    free(data);
    pair_free(&p);
}

/* ---- descriptors ---- */

/* A file whose content is its name. */
static int numbered_file(uint8_t number) {
    int fd = memfd_create("numbered", 0);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, &number, 1, 0), 1);
    return fd;
}

static int number_of(int fd) {
    uint8_t number = 0xff;
    assert_int_equal(pread(fd, &number, 1, 0), 1);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    close(fd);
    return number;
}

static void descriptors_stay_with_their_frames(void **state) {
    (void)state;
    int fds[2];
    struct peer *sealer, *store;
    struct frame f;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_int_equal(peer_new(fds[0], IPC_SEALER, IPC_STORE, &sealer), 0);
    assert_int_equal(peer_new(fds[1], IPC_STORE, IPC_SEALER, &store), 0);
    for (uint8_t round = 0; round < 4; round++) {
        for (uint8_t i = 0; i < 6; i++) {
            uint8_t payload[21] = {i};
            int fd = numbered_file(i);
            assert_int_equal(peer_send(sealer, MSG_INSERT, payload, sizeof payload, fd), 0);
            close(fd);
        }
        for (uint8_t i = 0; i < 6; i++) {
            assert_int_equal(peer_recv_wait(store, &f, 1000), 0);
            assert_int_equal(f.p[0], i);
            assert_true(f.fd >= 0);
            assert_int_equal(number_of(f.fd), i);
        }
    }
    peer_free(sealer);
    peer_free(store);
}

static void descriptors_wait_with_their_frames(void **state) {
    (void)state;
    int fds[2], small = 4096;
    struct peer *supervisor, *vault;
    struct frame f;
    uint8_t passphrase[1024] = {7};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    assert_int_equal(peer_new(fds[0], IPC_SUPERVISOR, IPC_VAULT, &supervisor), 0);
    assert_int_equal(peer_new(fds[1], IPC_VAULT, IPC_SUPERVISOR, &vault), 0);
    for (uint8_t i = 0; i < 8; i++) { /* more than the socket takes: most of it queues */
        uint8_t role = IPC_SEALER;
        int fd = numbered_file(i);
        for (int k = 0; k < 16; k++)
            assert_int_equal(
                peer_send(supervisor, MSG_PASSPHRASE, passphrase, sizeof passphrase, -1), 0);
        assert_int_equal(peer_send(supervisor, MSG_PEER, &role, 1, fd), 0);
        close(fd);
    }
    assert_true(peer_wants_write(supervisor));
    for (uint8_t i = 0; i < 8; i++)
        for (int k = 0; k < 17; k++) {
            int rc;
            while ((rc = peer_recv(vault, &f)) == ERR_AGAIN)
                peer_flush(supervisor);
            assert_int_equal(rc, 0);
            assert_int_equal(f.msg, k < 16 ? MSG_PASSPHRASE : MSG_PEER);
            if (k == 16)
                assert_int_equal(number_of(f.fd), i);
            else
                assert_int_equal(f.fd, -1);
        }
    peer_free(supervisor);
    peer_free(vault);
}

static size_t open_descriptors(void) {
    size_t n = 0;
    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* Sends len bytes with `count` descriptors on the first one. */
static void put_raw_fds(const struct pair *p, const void *bytes, size_t len, const int *fds,
                        size_t count) {
    union {
        char bytes[CMSG_SPACE(16 * sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    struct iovec iov = {(void *)(uintptr_t)bytes, len};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = control.bytes,
                       .msg_controllen = CMSG_SPACE(count * sizeof(int))};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(c), fds, count * sizeof(int));
    assert_int_equal(sendmsg(p->raw, &m, 0), len);
}

/* A peer that sends descriptors where none belong does not fill the receiver's table. */
static void unasked_descriptors_do_not_pile_up(void **state) {
    (void)state;
    size_t before = open_descriptors();
    struct pair p = pair_new(IPC_SEALER, IPC_VAULT);
    struct frame f;
    uint8_t bytes[64];
    int fds[16];
    for (size_t i = 0; i < 16; i++)
        fds[i] = STDERR_FILENO;
    size_t len = frame_bytes(bytes, MSG_BATCH_NOTED, IPC_VERSION, "01234567", 8);
    for (int i = 0; i < 20; i++) {
        put_raw_fds(&p, bytes, len, fds, 1 + (size_t)i % 16);
        assert_int_equal(peer_recv(p.peer, &f), 0);
        assert_int_equal(f.fd, -1);
    }
    assert_true(open_descriptors() <= before + 2 + 8);
    pair_free(&p);
    assert_int_equal(open_descriptors(), before);
}

static void a_message_that_needs_one_may_come_without(void **state) {
    (void)state;
    struct pair p = pair_new(IPC_STORE, IPC_SEALER);
    struct frame f;
    uint8_t bytes[64], payload[21] = {0};
    put_raw(&p, bytes, frame_bytes(bytes, MSG_INSERT, IPC_VERSION, payload, sizeof payload));
    assert_int_equal(peer_recv(p.peer, &f), 0);
    assert_int_equal(f.fd, -1);
    pair_free(&p);
}

/* ---- the command line's way in ---- */

static char dir[64];

static int make_dir(void **state) {
    (void)state;
    char path[128];
    snprintf(dir, sizeof dir, "%s/peer-XXXXXX", P_tmpdir);
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof path, "%s/run", dir);
    return mkdir(path, 0700);
}

static int remove_dir(void **state) {
    (void)state;
    static const char *const names[] = {"/run/token", "/run/vault.sock", "/run", ""};
    char path[128];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s%s", dir, names[i]);
        remove(path);
    }
    return 0;
}

static int listen_at(const char *name) {
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    snprintf(a.sun_path, sizeof a.sun_path, "%s/run/%s.sock", dir, name);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(fd, 4), 0);
    return fd;
}

static void write_token(const char *token, size_t len) {
    char path[128];
    snprintf(path, sizeof path, "%s/run/token", dir);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, token, len), len);
    close(fd);
}

static void the_token_opens_the_door(void **state) {
    (void)state;
    static const char token[] = "0123456789abcdef0123456789ABCDEF";
    struct peer *client, *vault;
    struct frame f;
    unsigned uid = 99999;
    assert_int_equal(dial(dir, "vault", IPC_VAULT, &client), ERR_NOTFOUND);
    write_token(token, 31);
    assert_int_equal(dial(dir, "vault", IPC_VAULT, &client), ERR_CORRUPT);
    write_token(token, 32);
    assert_int_equal(dial(dir, "vault", IPC_VAULT, &client), ERR_NOTFOUND);
    int listener = listen_at("vault");
    assert_int_equal(dial(dir, "vault", IPC_VAULT, &client), 0);
    assert_int_equal(peer_accept(listener, IPC_VAULT, getuid(), &uid, &vault), 0);
    assert_int_equal(uid, getuid());
    assert_int_equal(peer_recv_wait(vault, &f, 1000), 0);
    assert_true(peer_check_token(&f, (const uint8_t *)token));
    assert_false(peer_check_token(&f, (const uint8_t *)"0123456789abcdef0123456789ABCDEf"));
    uint8_t other[32];
    memcpy(other, token, 32);
    assert_false(peer_check_token(&(struct frame){.msg = MSG_STATUS, .p = other, .len = 32},
                                  (const uint8_t *)token));
    assert_false(peer_check_token(&(struct frame){.msg = MSG_TOKEN, .p = other, .len = 31},
                                  (const uint8_t *)token));
    peer_free(client);
    assert_int_equal(peer_recv_wait(vault, &f, 1000), ERR_PEER);
    peer_free(vault);
    close(listener);
    assert_int_equal(dial(dir, "vault", IPC_VAULT, &client), ERR_PEER);
}

/* Neither the owner nor root: tried by a child that becomes somebody else, if we are root. */
static void a_stranger_is_turned_away(void **state) {
    (void)state;
    if (getuid() != 0)
        skip();
    int fds[2];
    unsigned uid = 0;
    struct peer *vault = NULL;
    struct sockaddr_un a = {.sun_family = AF_UNIX}; /* autobind: a name of the kernel's choice */
    socklen_t len = sizeof(sa_family_t);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&a, len), 0);
    assert_int_equal(listen(listener, 4), 0);
    len = sizeof a;
    assert_int_equal(getsockname(listener, (struct sockaddr *)&a, &len), 0);
    assert_int_equal(pipe(fds), 0);
    pid_t child = fork();
    if (child == 0) {
        char c;
        int fd = setuid(54321) ? -1 : socket(AF_UNIX, SOCK_STREAM, 0);
        if (fd < 0 || connect(fd, (struct sockaddr *)&a, len))
            _exit(1);
        close(fds[1]);
        _exit(read(fds[0], &c, 1) != 0);
    }
    close(fds[0]);
    assert_int_equal(peer_accept(listener, IPC_VAULT, 12345, &uid, &vault), ERR_DENIED);
    assert_null(vault);
    close(fds[1]);
    close(listener);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0); /* it did reach the socket */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_frame_arrives_whole_however_torn),
        cmocka_unit_test(glued_frames_come_one_by_one),
        cmocka_unit_test(the_largest_frame_passes),
        cmocka_unit_test(what_is_not_allowed_is_denied),
        cmocka_unit_test(a_closed_end_is_told_after_its_last_frame),
        cmocka_unit_test(waiting_ends_at_its_time),
        cmocka_unit_test(a_queue_that_nobody_reads_is_full_some_time),
        cmocka_unit_test(descriptors_stay_with_their_frames),
        cmocka_unit_test(descriptors_wait_with_their_frames),
        cmocka_unit_test(unasked_descriptors_do_not_pile_up),
        cmocka_unit_test(a_message_that_needs_one_may_come_without),
        cmocka_unit_test_setup_teardown(the_token_opens_the_door, make_dir, remove_dir),
        cmocka_unit_test(a_stranger_is_turned_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
