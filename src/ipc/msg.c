/* The table of ipc/msg.h as code: what may be said by whom to whom. */
#include "ipc/msg.h"

#include <stdbool.h>

#include "base/err.h"

struct row {
    uint16_t msg;
    uint8_t from, to;
    size_t max;
};

static const struct row rows[] = {
#define IPC_ROW_(name, nr, from, to, max) {nr, from, to, max},
    IPC_MESSAGES(IPC_ROW_)
#undef IPC_ROW_
};

/* Two messages with one number do not compile. */
static bool is_known(uint16_t msg) {
    switch (msg) {
#define IPC_CASE_(name, nr, from, to, max) case nr:
        IPC_MESSAGES(IPC_CASE_)
#undef IPC_CASE_
        return true;
    default:
        return false;
    }
}

/* Whether a row's end is open to that role. */
static bool open_to(uint8_t end, enum ipc_role role) {
    return !end || end == role || (end == IPC_CLIENT && role == IPC_CONSOLE);
}

/* What a console may say that a client may: nothing that is the owner's alone. The vault has a session
 * before each of them, or a sign-in. */
static bool console_may(uint16_t msg) {
    switch (msg) {
    case MSG_AS:
    case MSG_SIGN_IN:
    case MSG_SIGN_OUT:
    case MSG_WHO:
    case MSG_PERSON:
    case MSG_PENDING:
    case MSG_APPROVE:
    case MSG_OPEN_WHY:
    case MSG_OPEN_PLAN:
    case MSG_OPEN_CELL:
    case MSG_OPEN_GO:
    case MSG_STATUS:
    case MSG_LEDGER:
    case MSG_SUBJECTS:
    case MSG_READINGS:
        return true;
    default:
        return false;
    }
}

static bool open_from(const struct row *r, enum ipc_role from, enum ipc_role to) {
    return !r->from || r->from == from ||
           (r->from == IPC_CLIENT && from == IPC_CONSOLE && to == IPC_VAULT && console_may(r->msg));
}

int ipc_allowed(uint16_t msg, enum ipc_role from, enum ipc_role to, size_t len) {
    for (size_t i = 0; is_known(msg) && i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].msg != msg)
            continue;
        if (!open_from(&rows[i], from, to) || !open_to(rows[i].to, to))
            return ERR_DENIED;
        return len <= rows[i].max ? 0 : ERR_LIMIT;
    }
    return ERR_DENIED;
}
