#ifndef PROC_SUPERVISOR_SPAWN_H
#define PROC_SUPERVISOR_SPAWN_H
/*
 * Starts a program with exactly what it is meant to have: descriptors at given numbers, an
 * environment of its own, a user of its own, its folder as working directory, umask 077, no core
 * files. Standard input and output are /dev/null unless a descriptor is given for them; standard
 * error is the supervisor's.
 */
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "ipc/child.h"
#include "proc/supervisor/why.h"

struct spawn_fd {
    int from, to;
};

struct spawn_spec {
    const char *file;        /* the executable */
    const char *const *argv; /* NULL-terminated */
    const char *const *env;  /* NULL-terminated */
    const char *dir;         /* working directory */
    unsigned uid;            /* user and group; taken only when the caller is root */
    const struct spawn_fd *fds;
    size_t fd_count;  /* at most SPAWN_FDS */
    const struct sandbox_spec *files; /* what of the file system it gets; NULL: all that its user may */
    int death_signal; /* sent to the program when the caller dies; 0 = none */
};
#define SPAWN_FDS 16

/*
 * Gathers descriptors and environment: the first descriptor given becomes number 3, the next 4,
 * ..., and `variable`, if any, tells the program which number it has.
 */
struct spawn_gifts {
    struct spawn_fd fds[SPAWN_FDS];
    size_t fd_count;
    char text[8192];
    size_t used;
    const char *env[SPAWN_FDS + 1];
    size_t env_count;
};
void spawn_give_fd(struct spawn_gifts *g, int fd, const char *variable);
/* The same, and the path by which the program reads it as a file; "" when fd is negative. */
#define SPAWN_FILE 32
void spawn_give_file(struct spawn_gifts *g, int fd, char ret_path[SPAWN_FILE]);
void spawn_give_env(struct spawn_gifts *g, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Returns after the program was executed, or why it could not be. */
int spawn(const struct spawn_spec *spec, pid_t *ret, struct why *why);
/* Becomes that user, for good: in a child process of a caller that is root. 0 or errno. */
int spawn_become(unsigned uid);

#endif
