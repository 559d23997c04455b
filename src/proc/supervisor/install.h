#ifndef PROC_SUPERVISOR_INSTALL_H
#define PROC_SUPERVISOR_INSTALL_H
/*
 * An installation's folder: what lies in it, and who owns it.
 *
 *   D/                0711  owner: who ran init
 *   D/control/        0700  owner; control.db is made last, so that without it an init did not end;
 *                           mask.key (0600), once some project masks
 *   D/run/            0711  owner; token (0600), lock, and while it runs ready and the sockets
 *   D/gateway/        0700  the gateway's user; nginx.conf
 *   D/spool/          0700  the sealer's
 *   D/store/          0700  the store's
 *   D/vault/          0700  the vault's
 *   D/demo/           0700  the demo upstream's; empty
 *   D/front/          0700  of the console's nginx; nginx.conf
 *   D/console/        0700  the console's; empty
 *
 * When root runs init, each program gets a user of its own: a number that nobody uses, of which the
 * folder's ownership is the only record. Otherwise all are the owner's: the weaker, "one uid" mode.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proc/supervisor/why.h"

#define INSTALL_PATH 4096

/* In the order in which an orderly stop ends them. */
enum program_id {
    PROGRAM_GATEWAY,
    PROGRAM_DEMO,
    PROGRAM_FRONT, /* the console's nginx */
    PROGRAM_CONSOLE,
    PROGRAM_SEALER,
    PROGRAM_STORE,
    PROGRAM_VAULT,
    PROGRAMS
};

struct install {
    char dir[INSTALL_PATH]; /* absolute, without symbolic links */
    char bin[INSTALL_PATH]; /* where the programs are: beside this one */
    unsigned owner;
    unsigned uid[PROGRAMS];
    bool separate; /* each program has a user of its own */
    bool lacks[PROGRAMS]; /* it has no folder: made before there was this program */
};

/* The program's folder under D. */
const char *install_folder(enum program_id p);

struct install_secret {
    const char *passphrase; /* len bytes */
    size_t len;
    unsigned memory_mib; /* that hashing it takes: LIMIT_PASSPHRASE_MIB */
};

/*
 * Makes an installation in `dir`, which must not exist or be empty. The passphrase goes to the
 * vault's standard input. On failure everything that was made is removed. Codes: ERR_EXISTS (an
 * installation, a half-made one, or something else is there), ERR_DENIED, ERR_IO, ...
 */
int install_create(const char *dir, const struct install_secret *secret, struct install *ret,
                   struct why *why);
/* What is recorded of an existing one; refuses what init would not have made. */
int install_open(const char *dir, struct install *ret, struct why *why);

/* Folders (and users) that it lacks are made. */
int install_complete(struct install *in, struct why *why);

/* D/run/lock, held until the descriptor is closed: one `up` at a time. ERR_EXISTS: one runs. */
int install_lock(const struct install *in, int *ret_fd, struct why *why);

/* D/name; false when it does not fit. */
bool install_path(const struct install *in, const char *name, char out[INSTALL_PATH]);
int install_read_token(const struct install *in, uint8_t token[32]);
/* The key of the placeholders that providers see (doc/policy.md). Made when it is first asked for. */
#define MASK_KEY_PATH "control/mask.key"
int install_mask_key(const struct install *in, uint8_t key[32]);
/* Is the file inside the folder, whatever links lead to it? */
bool install_contains(const char *dir, const char *file);

#endif
