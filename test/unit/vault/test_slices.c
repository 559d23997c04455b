/*
 * A request for the cells of thousands of persons holds up nobody: while it is noted and opened, others are
 * answered within little of the vault's processor time. And what a request that ends in between leaves.
 */
#include "rig.h"

#include <time.h>

#include "read/ledger/leaf.h"

#define PERSONS 4096
#define CPU_MS_MAX 50

static struct data_key keys[PERSONS];
static struct cell cells[PERSONS];

static double cpu_ms(void) {
    clockid_t clock;
    struct timespec t;
    assert_int_equal(clock_getcpuclockid(rig.pid, &clock), 0);
    assert_int_equal(clock_gettime(clock, &t), 0);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* Pairs of the pool are somebody's as far as opening is concerned. */
static void make_cells(void) {
    const uint8_t wanted[2] = {64, 0};
    struct frame f;
    struct who pair;
    for (size_t n = 0; n < PERSONS; n += f.len / sizeof pair) {
        assert_int_equal(peer_send(rig.sealer, MSG_POOL, wanted, 2, -1), 0);
        sealer_wait(&rig, MSG_POOL_IS, &f);
        assert_int_equal(f.len, 64 * sizeof pair);
        for (size_t i = 0; i < 64; i++) {
            memcpy(&pair, f.p + i * sizeof pair, sizeof pair);
            data_key_make(&rig, &pair, &keys[n + i]);
            cell_make(&keys[n + i], "a text", 6, &cells[n + i]);
        }
    }
}

static struct peer *request(void) {
    struct peer *p = client_connect(&rig);
    send_why(p, "many");
    for (uint32_t i = 0; i < PERSONS; i++) {
        send_cell(p, i, &keys[i], &cells[i]);
        assert_int_equal(peer_flush_wait(p, WAIT_MS), 0);
    }
    assert_int_equal(peer_send(p, MSG_OPEN_GO, NULL, 0, -1), 0);
    assert_int_equal(peer_flush_wait(p, WAIT_MS), 0);
    return p;
}

static uint64_t openings(void) {
    struct peer *p = client_connect(&rig);
    struct frame f;
    char json[4096];
    assert_int_equal(peer_send(p, MSG_STATUS, NULL, 0, -1), 0);
    client_frame(p, &f);
    assert_true(f.msg == MSG_STATUS_IS && f.len < sizeof json);
    memcpy(json, f.p, f.len);
    json[f.len] = 0;
    assert_int_equal(client_end(p), 0);
    peer_free(p);
    const char *at = strstr(json, "\"openings\":");
    assert_non_null(at);
    return strtoull(at + 11, NULL, 10);
}

static void others_have_their_turns(void **state) {
    struct frame f;
    struct who one;
    double worst = 0;
    unsigned during = 0;
    uint64_t noted = 0;
    (void)state;
    assert_int_equal(unlock(&rig), 0);
    sealer_connect(&rig);
    make_cells();
    struct peer *p = request();
    const double begun = cpu_ms();
    while (!noted) { /* that it is answered at all shows that others have turns */
        const double before = cpu_ms();
        if (during++ % 8 == 0)
            subject_of(&rig, "somebody else", &one); /* the sealer's */
        else
            noted = openings();
        const double took = cpu_ms() - before;
        worst = took > worst ? took : worst;
    }
    const double all = cpu_ms() - begun;
    for (uint32_t i = 0; i < PERSONS; i++) {
        client_frame(p, &f);
        assert_int_equal(f.msg, MSG_OPENED);
        assert_int_equal((int32_t)get_u32(f.p + 4), 0);
        assert_int_equal(f.len, 9 + 6);
    }
    assert_int_equal(client_end(p), 0);
    peer_free(p);
    assert_int_equal(openings(), PERSONS);
    print_message("noted with %.0f ms of processor time; %u questions meanwhile, the slowest with %.1f ms\n", all,
                  during, worst);
    assert_true(all > CPU_MS_MAX); /* or this shows nothing */
    assert_true(during > 5);
    assert_true(worst < CPU_MS_MAX || worst < all / 10); /* slow machines */
}

/* A lock, and a client that goes away, while it is being noted: the ledger has nothing of it, or all. */
static void what_ends_in_between(void **state) {
    struct frame f;
    (void)state;
    uint64_t before = openings();
    struct peer *p = request();
    peer_free(p);
    assert_int_equal(client_ask(&rig, MSG_LOCK, NULL), 0);
    const uint64_t after = openings();
    assert_true(after == before || after == before + PERSONS);
    assert_int_equal(unlock(&rig), 0);
    before = openings();
    p = request();
    assert_int_equal(client_ask(&rig, MSG_LOCK, NULL), 0);
    uint32_t opened = 0;
    int rc = peer_recv_wait(p, &f, WAIT_MS);
    for (; !rc && f.msg == MSG_OPENED; rc = peer_recv_wait(p, &f, WAIT_MS))
        opened++;
    assert_true(rc || (int32_t)get_u32(f.p) == ERR_LOCKED);
    assert_true(opened < PERSONS);
    peer_free(p);
    assert_int_equal(openings() - before, opened ? PERSONS : 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(others_have_their_turns),
        cmocka_unit_test(what_ends_in_between),
    };
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}
