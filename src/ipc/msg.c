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

int ipc_allowed(uint16_t msg, enum ipc_role from, enum ipc_role to, size_t len) {
    for (size_t i = 0; is_known(msg) && i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].msg != msg)
            continue;
        if ((rows[i].from && rows[i].from != from) || !open_to(rows[i].to, to))
            return ERR_DENIED;
        return len <= rows[i].max ? 0 : ERR_LIMIT;
    }
    return ERR_DENIED;
}
