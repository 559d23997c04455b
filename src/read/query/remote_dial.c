/* remote.h for the command line: by the sockets under the installation's folder. In a file of its own,
 * because the console must contain neither socket() nor connect(). */
#include "ipc/dial/dial.h"
#include "read/query/remote.h"

static int reach(void *dir, enum ipc_role role, struct peer **ret) {
    return dial(dir, role == IPC_STORE ? "store" : "vault", role, ret);
}

int remote_new(struct remote **ret, const char *dir, const char *reason) {
    const struct remote_ways ways = {.arg = (void *)(uintptr_t)dir, .reach = reach};
    return remote_new_by(ret, &ways, reason);
}
