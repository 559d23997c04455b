/* The vault as a program: what it opens, what it refuses to, what it notes, and what it leaves. */
#include "rig.h"

#include "read/ledger/ledger.h"
#include "read/subject/keys_int.h"

/* The vault's own keys, read while no vault runs. */
static struct keys *own_keys(void) {
    struct keys *k;
    char path[256];
    path_of(&rig, path, "vault");
    assert_int_equal(keys_open(path, &k), 0);
    assert_int_equal(keys_unlock(k, PASSPHRASE, strlen(PASSPHRASE)), 0);
    return k;
}

static void forgeries(void **state) {
    struct who a, b, stranger = {0};
    struct data_key d, e;
    struct cell c, x;
    char text[4096];
    (void)state;
    assert_int_equal(unlock(&rig), 0);
    sealer_connect(&rig);
    subject_of(&rig, "alice", &a);
    subject_of(&rig, "bob", &b);
    data_key_make(&rig, &a, &d);
    cell_make(&d, "the text", 8, &c);
    assert_int_equal(open_one(&rig, &d, &c, text), 0);
    assert_string_equal(text, "the text");
    /* A bit of context and envelope is under the tag, or makes the cell malformed. */
    for (size_t bit = 0; bit < c.len * 8; bit += 17) {
        x = c;
        x.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_not_equal(open_one(&rig, &d, &x, text), 0);
        assert_string_equal(text, "");
    }
    for (size_t bit = 0; bit < d.encoded_len * 8; bit += 23) { /* and the row under its MAC */
        e = d;
        e.encoded[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_not_equal(open_one(&rig, &e, &c, text), 0);
    }
    e = d; /* a row made by somebody who has public keys only */
    randombytes_buf(e.row.mac, sizeof e.row.mac);
    e.encoded_len = data_key_row_encode(e.encoded, &e.row);
    assert_int_equal(open_one(&rig, &e, &c, text), ERR_CORRUPT);
    e = d; /* a writer that does not exist */
    e.row.writer = 4711;
    data_key_mac(&rig, &e);
    assert_int_equal(open_one(&rig, &e, &c, text), ERR_CORRUPT);
    e = d; /* a right MAC, the key of another subject */
    memcpy(e.row.subject, b.id, 16);
    data_key_mac(&rig, &e);
    assert_int_equal(open_one(&rig, &e, &c, text), ERR_CORRUPT);
    e = d; /* a right MAC, another project than the cell's */
    memcpy(e.row.project, "sale", 5);
    data_key_mac(&rig, &e);
    assert_int_equal(open_one(&rig, &e, &c, text), ERR_CORRUPT);
    e = d; /* or another tenant */
    memcpy(e.row.tenant, "another", 8);
    data_key_mac(&rig, &e);
    assert_int_equal(open_one(&rig, &e, &c, text), ERR_CORRUPT);
    data_key_make(&rig, &b, &e); /* bob's key and row, a context that says alice */
    memcpy(e.row.subject, a.id, 16);
    cell_make(&e, "the text", 8, &x);
    memcpy(e.row.subject, b.id, 16);
    assert_int_equal(open_one(&rig, &e, &x, text), ERR_CORRUPT);
    e = d; /* an id that commits to another key */
    e.row.id[0] ^= 1;
    data_key_mac(&rig, &e);
    assert_int_equal(open_one(&rig, &e, &c, text), ERR_CORRUPT);
    randombytes_buf(&stranger, sizeof stranger);
    crypto_scalarmult_base(stranger.public_key, stranger.id);
    data_key_make(&rig, &stranger, &e);
    cell_make(&e, "the text", 8, &x);
    assert_int_equal(open_one(&rig, &e, &x, text), ERR_NOTFOUND);
}

static void many_cells(void **state) {
    enum { KEYS = 3, EACH = 40, CELLS = KEYS * EACH };
    static struct cell c[CELLS];
    struct data_key d[KEYS];
    struct who who;
    struct frame f;
    bool seen[CELLS + 1] = {false};
    (void)state;
    assert_int_equal(unlock(&rig), 0);
    sealer_connect(&rig);
    for (int k = 0; k < KEYS; k++) {
        subject_of(&rig, k == 1 ? "alice" : "bob", &who);
        data_key_make(&rig, &who, &d[k]);
        for (int i = 0; i < EACH; i++) {
            char text[16];
            snprintf(text, sizeof text, "text %d", k * EACH + i);
            cell_make(&d[k], text, sizeof text, &c[k * EACH + i]);
        }
    }
    struct peer *p = client_connect(&rig);
    send_why(p, "a report");
    for (int i = CELLS - 1; i >= 0; i--) /* backwards, and among one another */
        send_cell(p, (uint32_t)((i * 7) % CELLS), &d[(i * 7) % CELLS / EACH], &c[(i * 7) % CELLS]);
    send_cell(p, CELLS, &d[0], &c[0]); /* one for the second time */
    assert_int_equal(peer_send(p, MSG_OPEN_GO, NULL, 0, -1), 0);
    for (int n = 0; n <= CELLS; n++) {
        char text[16];
        client_frame(p, &f);
        assert_int_equal(f.msg, MSG_OPENED);
        uint32_t number = get_u32(f.p);
        assert_true(number <= CELLS && !seen[number]);
        seen[number] = true;
        assert_int_equal(get_u32(f.p + 4), 0);
        assert_int_equal(f.len, 9 + sizeof text);
        snprintf(text, sizeof text, "text %u", number % CELLS);
        assert_string_equal((const char *)f.p + 9, text);
    }
    assert_int_equal(client_end(p), 0);
    assert_true(status_has(&rig, "\"openings\":2")); /* one for each of the two people */
    assert_int_equal(peer_send(p, MSG_OPEN_GO, NULL, 0, -1), 0); /* nothing asked, nothing noted */
    assert_int_equal(client_end(p), 0);
    peer_free(p);
    p = client_connect(&rig); /* no reason, nothing opens */
    send_cell(p, 0, &d[0], &c[0]);
    assert_int_equal(peer_send(p, MSG_OPEN_GO, NULL, 0, -1), 0);
    assert_int_equal(client_end(p), ERR_USAGE);
    peer_free(p);
    assert_true(status_has(&rig, "\"openings\":2"));
}

struct reading {
    struct keys *keys;
    const struct who *subject;
    const struct cell *cell;
    unsigned found;
};

static int read_opened(void *arg, const struct ledger_entry *e) {
    static const char reason[] = "why-canary: the customer asked";
    struct reading *r = arg;
    uint8_t public_key[32], secret[32], hint_key[32], hint[8], hash[32];
    struct ledger_who_read who;
    struct buf part;
    if (e->kind != LEDGER_OPENED)
        return 0;
    buf_init(&part, LEDGER_SEALED_MAX);
    keys_audit_public(r->keys, public_key);
    assert_int_equal(keys_audit_secret(r->keys, secret), 0);
    assert_int_equal(ledger_part_open(&e->who, LEDGER_WHO, public_key, secret, &part), 0);
    assert_int_equal(ledger_who_decode(&who, part.p + 32, part.len - 32), 0);
    assert_int_equal(who.uid, geteuid());
    assert_int_equal(who.reason_len, sizeof reason - 1);
    assert_memory_equal(who.reason, reason, sizeof reason - 1);
    assert_int_equal(who.rest_len, 24);
    assert_int_equal(get_u32(who.rest + 16), 1);
    assert_int_equal(get_u32(who.rest + 20), 1);
    assert_int_equal(keys_subject_secret(r->keys, r->subject->id, public_key, secret), 0);
    ledger_hint_key(hint_key, secret);
    ledger_hint(hint, hint_key, e->index);
    assert_memory_equal(hint, e->hint, sizeof hint);
    assert_int_equal(ledger_part_open(&e->about, LEDGER_ABOUT, public_key, secret, &part), 0);
    assert_int_equal(part.len, 32 + 20 + 48);
    assert_memory_equal(part.p + 32, r->subject->id, 16);
    assert_int_equal(get_u32(part.p + 48), 1);
    assert_memory_equal(part.p + 52, r->cell->record, 16);
    crypto_generichash(hash, sizeof hash, r->cell->p, r->cell->len, NULL, 0);
    assert_memory_equal(part.p + 68, hash, sizeof hash);
    buf_wipe(&part);
    r->found++;
    return 0;
}

/* The entry names who, why, and exactly which cell; and nothing of it is in clear on the disk. */
static void noted_and_sealed(void **state) {
    struct who a, read;
    struct data_key d;
    struct cell c;
    struct ledger_end end;
    char text[4096], path[256], command[600];
    (void)state;
    assert_int_equal(unlock(&rig), 0);
    sealer_connect(&rig);
    subject_of(&rig, "name-canary@example.org", &a);
    data_key_make(&rig, &a, &d);
    cell_make(&d, "content-canary", 14, &c);
    assert_int_equal(open_one(&rig, &d, &c, text), 0);
    read = a;
    assert_int_equal(client_ask(&rig, MSG_LOCK, NULL), 0);
    subject_of(&rig, "name-canary@example.com", &a);
    rig_kill(&rig);
    snprintf(
        command, sizeof command,
        "! grep -rqa -e name-canary -e content-canary -e why-canary -e 'correct horse' %s/vault",
        rig.home);
    assert_int_equal(system(command), 0);
    struct keys *k = own_keys();
    path_of(&rig, path, "vault/ledger.log");
    int fd = open(path, O_RDONLY);
    struct reading r = {.keys = k, .subject = &read, .cell = &c};
    const struct ledger_walk walk = {.entry = read_opened, .arg = &r};
    assert_int_equal(ledger_walk(fd, &walk, &end), 0);
    assert_int_equal(end.tree.size, 2); /* and that one-person mode is on */
    assert_int_equal(r.found, 1);
    close(fd);
    keys_close(k);
    rig_start(&rig);
}

struct rotations {
    unsigned count;
    uint8_t fields[8][5];
};

static int read_rotation(void *arg, const struct ledger_entry *e) {
    struct rotations *r = arg;
    if (e->kind != LEDGER_KEY_ROTATED)
        return 0;
    assert_true(r->count < 8 && e->fields_len == 5 && e->parts == 0);
    memcpy(r->fields[r->count++], e->fields, 5);
    return 0;
}

static void expect_rotations(unsigned count) {
    struct rotations r = {0};
    const struct ledger_walk walk = {.entry = read_rotation, .arg = &r};
    struct ledger_end end;
    char path[256];
    path_of(&rig, path, "vault/ledger.log");
    int fd = open(path, O_RDONLY);
    assert_int_equal(ledger_walk(fd, &walk, &end), 0);
    close(fd);
    assert_int_equal(r.count, count);
    if (!count)
        return;
    assert_int_equal(r.fields[count - 2][0], 2);
    assert_int_equal(get_u32(r.fields[count - 2] + 1), rig.pepper_number);
    assert_int_equal(r.fields[count - 1][0], 3);
    assert_int_equal(get_u32(r.fields[count - 1] + 1), rig.fingerprint_number);
}

/* Which keys mark names and secrets while it is locked stands in the ledger, once for each time. */
static void temporary_keys_are_noted(void **state) {
    struct frame f;
    (void)state;
    sealer_connect(&rig);
    expect_rotations(2);
    sealer_connect(&rig); /* the same again */
    expect_rotations(2);
    assert_int_equal(unlock(&rig), 0);
    sealer_wait(&rig, MSG_WRITER, &f);
    sealer_connect(&rig); /* the lasting ones */
    assert_int_equal(client_ask(&rig, MSG_LOCK, NULL), 0);
    sealer_connect(&rig);
    expect_rotations(4);
}

static void limit_files(rlim_t bytes) {
    const struct rlimit l = {bytes, RLIM_INFINITY};
    assert_int_equal(prlimit(rig.pid, RLIMIT_FSIZE, &l, NULL), 0);
}

/* No entry, no plaintext; no room, no answer, and all of it when there is room again. */
static void no_room(void **state) {
    struct who a, b;
    struct data_key d;
    struct cell c;
    struct batch batch;
    struct question q;
    struct stat st;
    char text[4096], path[256];
    (void)state;
    assert_int_equal(unlock(&rig), 0);
    sealer_connect(&rig);
    subject_of(&rig, "alice", &a);
    data_key_make(&rig, &a, &d);
    cell_make(&d, "the text", 8, &c);
    path_of(&rig, path, "vault/ledger.log");
    assert_int_equal(stat(path, &st), 0);
    const off_t before = st.st_size;
    limit_files((rlim_t)st.st_size + 40); /* a part of an entry fits */
    assert_int_equal(open_one(&rig, &d, &c, text), ERR_IO);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, before);
    batch_make(&batch, 9, 1, NULL);
    batch_send(&rig, &batch);
    ask_of(&rig, "bob", &q);
    assert_int_equal(peer_send(rig.sealer, MSG_SUBJECT, q.p, q.len, -1), 0);
    sealer_silence(&rig, 300);
    assert_true(status_has(&rig, "\"openings\":0"));
    limit_files(RLIM_INFINITY);
    assert_int_equal(open_one(&rig, &d, &c, text), 0);
    struct frame f;
    bool noted = false, answered = false;
    while (!noted || !answered) {
        assert_int_equal(peer_recv_wait(rig.sealer, &f, WAIT_MS), 0);
        noted = noted || f.msg == MSG_BATCH_NOTED;
        answered = answered || f.msg == MSG_SUBJECT_IS;
    }
    subject_of(&rig, "bob", &b);
    assert_true(status_has(&rig, "\"subjects\":2"));
    assert_true(status_has(&rig, "\"entries\":3"));
}

/* Is it anywhere in the vault's memory? */
static bool in_memory(const uint8_t *needle, size_t len) {
    static uint8_t piece[1 << 20];
    char path[64], line[512];
    bool found = false;
    snprintf(path, sizeof path, "/proc/%d/maps", rig.pid);
    FILE *maps = fopen(path, "r");
    snprintf(path, sizeof path, "/proc/%d/mem", rig.pid);
    int mem = open(path, O_RDONLY);
    if (!maps || mem < 0)
        skip(); /* only root may look */
    while (fgets(line, sizeof line, maps)) {
        unsigned long from, to;
        if (sscanf(line, "%lx-%lx", &from, &to) != 2)
            continue;
        for (unsigned long at = from; at < to && !found; at += sizeof piece - 64) {
            size_t want = to - at < sizeof piece ? to - at : sizeof piece;
            ssize_t n = pread(mem, piece, want, (off_t)at);
            found = n >= (ssize_t)len && memmem(piece, (size_t)n, needle, len);
        }
    }
    fclose(maps);
    close(mem);
    return found;
}

static void nothing_left(void **state) {
    struct who a;
    struct data_key d;
    struct cell c;
    uint8_t public_key[32], secret[32], k0[32];
    char text[4096];
    (void)state;
    sealer_connect(&rig);
    rig_kill(&rig);
    struct keys *k = own_keys();
    struct keys_open open = *k->open;
    keys_close(k);
    rig_start(&rig);
    assert_int_equal(unlock(&rig), 0);
    assert_true(in_memory(open.opening, 32)); /* the search works */
    assert_true(in_memory(open.pepper, 32));
    sealer_connect(&rig);
    subject_of(&rig, "name-canary", &a);
    data_key_make(&rig, &a, &d);
    memcpy(k0, d.k, sizeof k0);
    cell_make(&d, "content-canary", 14, &c);
    assert_int_equal(open_one(&rig, &d, &c, text), 0);
    assert_string_equal(text, "content-canary");
    /* Nothing of a request outlives it, locked or not. */
    assert_false(in_memory((const uint8_t *)"content-canary", 14));
    assert_false(in_memory((const uint8_t *)"name-canary", 11));
    assert_false(in_memory((const uint8_t *)PASSPHRASE, strlen(PASSPHRASE)));
    assert_false(in_memory(k0, 32));
    assert_int_equal(client_ask(&rig, MSG_LOCK, NULL), 0);
    assert_false(in_memory(open.opening, 32));
    assert_false(in_memory(open.pepper, 32));
    assert_false(in_memory(open.generations[0].secret, 32));
    assert_false(in_memory(rig.mac, 32));
    assert_int_equal(open_one(&rig, &d, &c, text), ERR_LOCKED);
    assert_int_equal(unlock(&rig), 0);
    assert_int_equal(open_one(&rig, &d, &c, text), 0);
    rig_kill(&rig);
    k = own_keys();
    assert_int_equal(keys_subject_secret(k, a.id, public_key, secret), 0);
    keys_close(k);
    rig_start(&rig);
    assert_false(in_memory(secret, 32));
}

static void slow_client(void **state) {
    enum { CELLS = 1000 };
    static uint8_t big[4000];
    struct who a, b;
    struct data_key d;
    static struct cell c;
    struct frame f;
    char text[4096];
    (void)state;
    assert_int_equal(unlock(&rig), 0);
    sealer_connect(&rig);
    randombytes_buf(big, sizeof big);
    subject_of(&rig, "alice", &a);
    data_key_make(&rig, &a, &d);
    struct peer *slow = client_connect(&rig);
    send_why(slow, "reads nothing");
    for (uint32_t i = 0; i < CELLS; i++) {
        cell_make(&d, big, sizeof big, &c);
        send_cell(slow, i, &d, &c);
    }
    assert_int_equal(peer_send(slow, MSG_OPEN_GO, NULL, 0, -1), 0);
    assert_int_equal(peer_flush_wait(slow, WAIT_MS), 0);
    assert_true(status_becomes(&rig, "\"openings\":1"));
    subject_of(&rig, "bob", &b);
    assert_int_equal(open_one(&rig, &d, &c, text), 0);
    assert_true(in_memory(big, 200)); /* what waits for the slow one */
    for (uint32_t i = 0; i < CELLS / 2; i++) {
        client_frame(slow, &f);
        assert_int_equal(f.msg, MSG_OPENED);
        assert_int_equal(get_u32(f.p + 4), 0);
    }
    /* Locked in between: the rest does not come, be it said or by hanging up. */
    assert_int_equal(client_ask(&rig, MSG_LOCK, NULL), 0);
    uint32_t rest = 0;
    int rc;
    while ((rc = peer_recv_wait(slow, &f, WAIT_MS)) == 0 && f.msg == MSG_OPENED)
        rest++;
    assert_true(rc == ERR_PEER || (int32_t)get_u32(f.p) == ERR_LOCKED);
    assert_false(in_memory(big, 200));
    assert_true(rest < CELLS / 2);
    peer_free(slow);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(forgeries), TEST(many_cells),   TEST(noted_and_sealed), TEST(temporary_keys_are_noted),
        TEST(no_room),   TEST(nothing_left), TEST(slow_client),
    };
    signal(SIGPIPE, SIG_IGN);
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
