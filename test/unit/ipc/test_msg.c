/* The table of messages: only the edges and sizes that it names, no number twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/err.h"
#include "ipc/msg.h"

static const struct {
    unsigned msg, from, to;
    size_t max;
} rows[] = {
#define ROW(name, nr, from, to, max) {nr, from, to, max},
    IPC_MESSAGES(ROW)
#undef ROW
};
#define ROWS (sizeof rows / sizeof rows[0])

/* Of what a client says to the vault, what a console may say as well: none of it is the owner's alone. */
static bool for_consoles(unsigned msg) {
    static const unsigned list[] = {MSG_AS,       MSG_SIGN_IN,  MSG_SIGN_OUT,  MSG_WHO,       MSG_PERSON,
                                    MSG_PENDING,  MSG_APPROVE,  MSG_OPEN_WHY,  MSG_OPEN_PLAN, MSG_OPEN_CELL,
                                    MSG_OPEN_GO,  MSG_STATUS,   MSG_LEDGER,    MSG_SUBJECTS,  MSG_READINGS};
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++)
        if (list[i] == msg)
            return true;
    return false;
}

static void each_row_allows_its_edge_alone(void **state) {
    (void)state;
    for (size_t i = 0; i < ROWS; i++)
        for (enum ipc_role from = IPC_SUPERVISOR; from <= IPC_CONSOLE; from++)
            for (enum ipc_role to = IPC_SUPERVISOR; to <= IPC_CONSOLE; to++) {
                int rc = ipc_allowed((uint16_t)rows[i].msg, from, to, 0);
                /* What is for a client is for the console as well. */
                unsigned end = rows[i].to == IPC_CLIENT && to == IPC_CONSOLE ? IPC_CONSOLE : rows[i].to;
                bool console = from == IPC_CONSOLE && to == IPC_VAULT && rows[i].from == IPC_CLIENT &&
                               for_consoles(rows[i].msg);
                if ((rows[i].from && rows[i].from != from && !console) || (end && end != to))
                    assert_int_equal(rc, ERR_DENIED);
                else
                    assert_int_equal(rc, 0);
            }
}

static void a_payload_ends_at_its_ceiling(void **state) {
    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        enum ipc_role from = rows[i].from ? rows[i].from : IPC_STORE;
        enum ipc_role to = rows[i].to ? rows[i].to : IPC_VAULT;
        assert_int_equal(ipc_allowed((uint16_t)rows[i].msg, from, to, rows[i].max), 0);
        assert_int_equal(ipc_allowed((uint16_t)rows[i].msg, from, to, rows[i].max + 1), ERR_LIMIT);
        assert_int_equal(ipc_allowed((uint16_t)rows[i].msg, from, to, SIZE_MAX), ERR_LIMIT);
        bool cell = rows[i].msg == MSG_OPEN_CELL || rows[i].msg == MSG_OPENED;
        assert_true(rows[i].max <= (cell ? LIMIT_CELL : LIMIT_FRAME));
    }
}

static void every_number_has_one_row(void **state) {
    (void)state;
    unsigned known = 0;
    for (size_t i = 0; i < ROWS; i++)
        for (size_t k = 0; k < i; k++)
            assert_int_not_equal(rows[i].msg, rows[k].msg);
    for (unsigned msg = 0; msg <= UINT16_MAX; msg++)
        for (enum ipc_role from = IPC_SUPERVISOR; from <= IPC_CONSOLE; from++) {
            bool any = false;
            for (enum ipc_role to = IPC_SUPERVISOR; to <= IPC_CONSOLE; to++)
                any |= ipc_allowed((uint16_t)msg, from, to, 0) == 0;
            if (any) {
                known++;
                break;
            }
        }
    assert_int_equal(known, ROWS);
}

/* What the design rests on, in words of its own. */
static void the_edges_that_must_not_be(void **state) {
    (void)state;
    for (unsigned msg = 0; msg <= UINT16_MAX; msg++) {
        assert_int_not_equal(ipc_allowed((uint16_t)msg, IPC_GATEWAY, IPC_VAULT, 0), 0);
        assert_int_not_equal(ipc_allowed((uint16_t)msg, IPC_GATEWAY, IPC_STORE, 0), 0);
        assert_int_not_equal(ipc_allowed((uint16_t)msg, IPC_STORE, IPC_VAULT, 0), 0);
        assert_int_not_equal(ipc_allowed((uint16_t)msg, IPC_VAULT, IPC_STORE, 0), 0);
    }
    assert_int_equal(ipc_allowed(MSG_OPEN_CELL, IPC_SEALER, IPC_VAULT, 0), ERR_DENIED);
    assert_int_equal(ipc_allowed(MSG_PASSPHRASE, IPC_SEALER, IPC_VAULT, 0), ERR_DENIED);
    assert_int_equal(ipc_allowed(MSG_PASSPHRASE, IPC_CLIENT, IPC_VAULT, 0), ERR_DENIED);
    assert_int_equal(ipc_allowed(MSG_QUERY, IPC_SEALER, IPC_STORE, 0), ERR_DENIED);
    assert_int_equal(ipc_allowed(MSG_UNLOCK, IPC_CONSOLE, IPC_VAULT, 0), ERR_DENIED);
    assert_int_equal(ipc_allowed(MSG_LOCK, IPC_CONSOLE, IPC_VAULT, 0), ERR_DENIED);
    assert_int_equal(ipc_allowed(MSG_TOKEN, IPC_CONSOLE, IPC_VAULT, 32), ERR_DENIED);
    assert_int_equal(ipc_allowed(MSG_AS, IPC_CONSOLE, IPC_STORE, 32), ERR_DENIED);
    /* Each kind of client has its own way to ask: only the console's says for which projects. */
    assert_int_equal(ipc_allowed(MSG_QUERY, IPC_CONSOLE, IPC_STORE, 0), ERR_DENIED);
    assert_int_equal(ipc_allowed(MSG_CONSOLE_QUERY, IPC_CLIENT, IPC_STORE, 0), ERR_DENIED);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_row_allows_its_edge_alone),
        cmocka_unit_test(a_payload_ends_at_its_ceiling),
        cmocka_unit_test(every_number_has_one_row),
        cmocka_unit_test(the_edges_that_must_not_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
