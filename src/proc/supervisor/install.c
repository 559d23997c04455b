/*
 * Makes and reads installations (install.h), in the command line's process.
 *
 * The programs' users: of the numbers from 1879048192 to 2147352575, which neither Debian policy
 * (9.2.2) nor systemd (UIDS-GIDS.md: users, homed, dynamic users, containers) nor shadow's
 * subordinate ids give to anyone; where a user namespace does not map those, of 60578 to 61183, the
 * gap below systemd's dynamic users. They are drawn at random, so that two installations on one
 * machine do not meet, and are checked against passwd, group and the running processes.
 */
#include "proc/supervisor/install.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "control/control_db.h"
#include "proc/supervisor/spawn.h"

#define DRAWS 64

static const char *const folders[PROGRAMS] = {
    [PROGRAM_GATEWAY] = "gateway", [PROGRAM_DEMO] = "demo",     [PROGRAM_FRONT] = "front",
    [PROGRAM_CONSOLE] = "console", [PROGRAM_SEALER] = "spool", [PROGRAM_STORE] = "store",
    [PROGRAM_VAULT] = "vault",
};

const char *install_folder(enum program_id p) {
    return folders[p];
}

bool install_path(const struct install *in, const char *name, char out[INSTALL_PATH]) {
    int n = snprintf(out, INSTALL_PATH, "%s/%s", in->dir, name);
    return n > 0 && n < INSTALL_PATH;
}

bool install_contains(const char *dir, const char *file) {
    char *d = realpath(dir, NULL), *f = realpath(file, NULL);
    size_t n = d ? strlen(d) : 0;
    bool inside = d && f && strncmp(f, d, n) == 0 && (f[n] == '/' || n == 1);
    free(d);
    free(f);
    return inside;
}

static int find_programs(struct install *in, struct why *why) {
    ssize_t n = readlink("/proc/self/exe", in->bin, sizeof in->bin - 1);
    char *slash = NULL;
    if (n > 0) {
        in->bin[n] = 0;
        slash = strrchr(in->bin, '/');
    }
    if (!slash)
        return why_say(why, ERR_IO, "cannot tell where the programs are: /proc is needed");
    *slash = 0;
    return 0;
}

/* ---- users ---- */

/* Does the user namespace (uid_map or gid_map) know all numbers of [first, last]? */
static bool mapped(const char *map, unsigned first, unsigned last) {
    FILE *f = fopen(map, "re");
    unsigned inside, outside, count;
    bool found = false;
    while (f && !found && fscanf(f, "%u %u %u", &inside, &outside, &count) == 3)
        found = inside <= first && last - inside < count;
    if (f)
        fclose(f);
    return found;
}

/* The real user of a running process lies in [first, first + PROGRAMS). */
static bool process_has(const char *pid, unsigned first) {
    char path[300], line[256];
    unsigned uid = 0;
    bool has = false;
    snprintf(path, sizeof path, "/proc/%.20s/status", pid);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "Uid: %u", &uid) == 1) {
            has = uid >= first && uid - first < PROGRAMS;
            break;
        }
    if (f)
        fclose(f);
    return has;
}

static bool unused(unsigned first) {
    for (unsigned u = first; u < first + PROGRAMS; u++)
        if (getpwuid(u) || getgrgid(u))
            return false;
    DIR *proc = opendir("/proc");
    bool free_ = proc != NULL;
    for (struct dirent *e; free_ && (e = readdir(proc)) != NULL;)
        if (e->d_name[0] >= '1' && e->d_name[0] <= '9')
            free_ = !process_has(e->d_name, first);
    if (proc)
        closedir(proc);
    return free_;
}

static int choose_users(struct install *in, struct why *why) {
    static const struct {
        unsigned first, last;
    } ranges[] = {{1879048192u, 2147352575u}, {60578, 61183}};
    in->owner = geteuid();
    in->separate = in->owner == 0;
    for (int i = 0; i < PROGRAMS; i++)
        in->uid[i] = in->owner;
    if (!in->separate)
        return 0;
    for (size_t r = 0; r < sizeof ranges / sizeof ranges[0]; r++) {
        unsigned first = ranges[r].first, last = ranges[r].last;
        if (!mapped("/proc/self/uid_map", first, last) ||
            !mapped("/proc/self/gid_map", first, last))
            continue;
        for (int draw = 0; draw < DRAWS; draw++) {
            unsigned base = first + randombytes_uniform(last - first + 2 - PROGRAMS);
            if (!unused(base))
                continue;
            for (unsigned i = 0; i < PROGRAMS; i++)
                in->uid[i] = base + i;
            return 0;
        }
    }
    return why_say(why, ERR_FULL,
                   "there are no free users for the programs here; run init as an "
                   "ordinary user instead, all programs are that user then");
}

/* ---- making ---- */

/* Removes the tree of a folder that this process made a moment ago. */
static void remove_tree(int parent, const char *name) {
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if (unlinkat(fd, e->d_name, 0) && (errno == EISDIR || errno == EPERM))
            remove_tree(fd, e->d_name);
    }
    if (d)
        closedir(d);
    unlinkat(parent, name, AT_REMOVEDIR);
}

static int check_empty(const char *dir, struct why *why) {
    char path[INSTALL_PATH];
    int n = snprintf(path, sizeof path, "%s/%s", dir, CONTROL_DB_PATH);
    if (n < 0 || n >= INSTALL_PATH)
        return why_say(why, ERR_LIMIT, "the folder's path is too long; use a shorter one");
    if (access(path, F_OK) == 0)
        return why_say(why, ERR_EXISTS,
                       "%.1000s is an installation already; start it with: safehouse "
                       "up --dir %.800s",
                       dir, dir);
    snprintf(path, sizeof path, "%s/control", dir);
    if (access(path, F_OK) == 0)
        return why_say(why, ERR_EXISTS,
                       "an init in %.800s did not end, what is there was never in "
                       "use; remove it and try again: rm -r %.800s",
                       dir, dir);
    DIR *d = opendir(dir);
    if (!d)
        return why_say(why, err_from_errno(errno), "cannot look into %.1000s: %s", dir,
                       strerror(errno));
    int entries = 0;
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        entries += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    closedir(d);
    if (entries)
        return why_say(why, ERR_EXISTS, "%.1000s is not empty; name a folder that is not there yet",
                       dir);
    return 0;
}

static int make_folder(int at, const char *name, unsigned mode, unsigned uid) {
    if (mkdirat(at, name, 0700) || fchmodat(at, name, mode, 0) ||
        (uid != geteuid() && fchownat(at, name, uid, uid, AT_SYMLINK_NOFOLLOW)))
        return err_from_errno(errno);
    return 0;
}

/* A file of 32 random bytes. */
static int make_secret(int at, const char *name) {
    uint8_t secret[32];
    int fd = openat(at, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_from_errno(errno);
    randombytes_buf(secret, sizeof secret);
    int rc = write(fd, secret, sizeof secret) == sizeof secret && fsync(fd) == 0 ? 0 : ERR_IO;
    sodium_memzero(secret, sizeof secret);
    close(fd);
    return rc;
}

static int make_folders(const struct install *in, int at, struct why *why) {
    int rc = make_folder(at, "control", 0700, in->owner);
    if (!rc)
        rc = make_folder(at, "run", 0711, in->owner);
    for (int i = 0; !rc && i < PROGRAMS; i++)
        rc = make_folder(at, folders[i], 0700, in->uid[i]);
    if (!rc)
        rc = make_secret(at, "run/token");
    return rc ? why_say(why, rc, "cannot make folders in %.1000s: %s", in->dir, err_text(rc)) : 0;
}

/* `safehouse-vault --init D/vault MIB`, as the vault's user, the passphrase on its standard input.
 */
static int init_vault(const struct install *in, const struct install_secret *secret,
                      struct why *why) {
    char file[INSTALL_PATH + 32], dir[INSTALL_PATH], memory[12];
    int in_pipe[2], status = 0;
    pid_t pid;
    snprintf(file, sizeof file, "%s/safehouse-vault", in->bin);
    if (!install_path(in, folders[PROGRAM_VAULT], dir))
        return why_say(why, ERR_LIMIT, "the folder's path is too long; use a shorter one");
    if (pipe2(in_pipe, O_CLOEXEC))
        return why_say(why, err_from_errno(errno), "cannot make a pipe: %s", strerror(errno));
    snprintf(memory, sizeof memory, "%u", secret->memory_mib);
    const char *const argv[] = {"safehouse-vault", "--init", dir, memory, NULL};
    const char *const env[] = {"TZ=UTC", NULL};
    const struct spawn_fd fds[] = {{in_pipe[0], STDIN_FILENO}};
    const struct spawn_spec spec = {.file = file,
                                    .argv = argv,
                                    .env = env,
                                    .dir = dir,
                                    .uid = in->uid[PROGRAM_VAULT],
                                    .fds = fds,
                                    .fd_count = 1,
                                    .death_signal = SIGKILL};
    int rc = spawn(&spec, &pid, why);
    close(in_pipe[0]);
    /* At most CLI_PASSPHRASE_MAX bytes: they fit into the pipe, so this does not wait. */
    bool written =
        rc == 0 && write(in_pipe[1], secret->passphrase, secret->len) == (ssize_t)secret->len;
    close(in_pipe[1]);
    if (rc)
        return rc;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (!written || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return why_say(why, ERR_INTERNAL,
                       "the vault could not be made (%s %d); its own words, if "
                       "any, are above",
                       WIFEXITED(status) ? "exit code" : "signal",
                       WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
    return 0;
}

static int fill(struct install *in, int at, const struct install_secret *secret, struct why *why) {
    char db[INSTALL_PATH];
    int rc = make_folders(in, at, why);
    if (!rc)
        rc = init_vault(in, secret, why);
    if (rc)
        return rc;
    if (!install_path(in, CONTROL_DB_PATH, db))
        return why_say(why, ERR_LIMIT, "the folder's path is too long; use a shorter one");
    rc = control_db_create(db); /* last: from here on it is an installation */
    if (rc)
        return why_say(why, rc, "cannot make %.1000s: %s", db, err_text(rc));
    fsync(at);
    return 0;
}

int install_create(const char *dir, const struct install_secret *secret, struct install *ret,
                   struct why *why) {
    *ret = (struct install){0};
    int rc = find_programs(ret, why);
    if (!rc)
        rc = choose_users(ret, why);
    if (rc)
        return rc;
    bool made = mkdir(dir, 0711) == 0;
    if (!made && errno != EEXIST)
        return why_say(why, err_from_errno(errno), "cannot make the folder %.1000s: %s", dir,
                       strerror(errno));
    rc = made ? 0 : check_empty(dir, why);
    if (rc)
        return rc;
    int at = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat st;
    if (at < 0 || fstat(at, &st) || st.st_uid != ret->owner || fchmod(at, 0711) ||
        !realpath(dir, ret->dir))
        rc = why_say(why, ERR_DENIED, "%.1000s is not yours to use; name another folder", dir);
    if (!rc) {
        rc = fill(ret, at, secret, why);
        if (rc) {
            remove_tree(at, "control");
            remove_tree(at, "run");
            for (int i = 0; i < PROGRAMS; i++)
                remove_tree(at, folders[i]);
        }
    }
    if (at >= 0)
        close(at);
    if (rc && made)
        rmdir(dir);
    return rc;
}

/* ---- reading ---- */

static int read_users(struct install *in, int at, struct why *why) {
    struct stat st;
    unsigned own = 0, lacking = 0;
    for (int i = 0; i < PROGRAMS; i++) {
        in->lacks[i] = (i == PROGRAM_FRONT || i == PROGRAM_CONSOLE) &&
                       fstatat(at, folders[i], &st, AT_SYMLINK_NOFOLLOW) && errno == ENOENT;
        if (in->lacks[i]) {
            in->uid[i] = in->owner; /* of nothing, until install_complete */
            lacking++;
            continue;
        }
        if (fstatat(at, folders[i], &st, AT_SYMLINK_NOFOLLOW) || !S_ISDIR(st.st_mode))
            return why_say(why, ERR_CORRUPT, "%.1000s has no folder %s; restore it, with its owner",
                           in->dir, folders[i]);
        if (st.st_mode & 077)
            return why_say(why, ERR_DENIED,
                           "others may enter %.1000s/%s; close it: chmod 700 "
                           "%.800s/%s",
                           in->dir, folders[i], in->dir, folders[i]);
        in->uid[i] = st.st_uid;
        own += st.st_uid == in->owner;
        for (int j = 0; j < i; j++)
            if (in->owner == 0 && !in->lacks[j] && in->uid[j] == st.st_uid)
                return why_say(why, ERR_DENIED,
                               "%.1000s/%s and %s belong to the same user; restore "
                               "their owners",
                               in->dir, folders[i], folders[j]);
    }
    /* Made by root: everybody has his own. Made by somebody else: all are his. */
    if (own != (in->owner == 0 ? 0 : PROGRAMS - lacking))
        return why_say(why, ERR_DENIED,
                       "the folders in %.1000s have other owners than init gave "
                       "them; restore those",
                       in->dir);
    in->separate = in->owner == 0;
    return 0;
}

int install_open(const char *dir, struct install *ret, struct why *why) {
    *ret = (struct install){0};
    struct stat st;
    int rc = find_programs(ret, why);
    if (rc)
        return rc;
    int at = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (at < 0 || fstat(at, &st) || !realpath(dir, ret->dir)) {
        rc = why_say(why, err_from_errno(errno), "cannot enter %.1000s: %s", dir, strerror(errno));
        if (at >= 0)
            close(at);
        return rc;
    }
    ret->owner = st.st_uid;
    if (st.st_uid != geteuid())
        rc = why_say(why, ERR_DENIED,
                     "%.1000s belongs to user %u; run this as the user who ran init", dir,
                     st.st_uid);
    if (!rc)
        rc = read_users(ret, at, why);
    close(at);
    return rc;
}

int install_complete(struct install *in, struct why *why) {
    struct install fresh = {0};
    bool chosen = false;
    int rc = 0, at = open(in->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (at < 0)
        return why_say(why, err_from_errno(errno), "cannot enter %.1000s: %s", in->dir, strerror(errno));
    for (int i = 0; !rc && i < PROGRAMS; i++) {
        if (!in->lacks[i])
            continue;
        if (!chosen)
            rc = choose_users(&fresh, why);
        chosen = true;
        in->uid[i] = in->separate ? fresh.uid[i] : in->owner;
        if (!rc && (rc = make_folder(at, folders[i], 0700, in->uid[i])) != 0)
            why_say(why, rc, "cannot make %.1000s/%s: %s", in->dir, folders[i], err_text(rc));
        in->lacks[i] = rc != 0;
    }
    close(at);
    return rc;
}

int install_lock(const struct install *in, int *ret_fd, struct why *why) {
    char path[INSTALL_PATH];
    int fd = install_path(in, "run/lock", path)
                 ? open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)
                 : -1;
    if (fd < 0)
        return why_say(why, err_from_errno(errno), "cannot make %s/run/lock: %s", in->dir,
                       strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB)) {
        close(fd);
        return why_say(why, ERR_EXISTS,
                       "%.1000s runs already; how it is says: safehouse status --dir "
                       "%.800s",
                       in->dir, in->dir);
    }
    *ret_fd = fd;
    return 0;
}

static int read_secret(const struct install *in, const char *name, uint8_t ret[32]) {
    char path[INSTALL_PATH];
    if (!install_path(in, name, path))
        return ERR_LIMIT;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return err_from_errno(errno);
    ssize_t n = read(fd, ret, 32);
    close(fd);
    return n == 32 ? 0 : ERR_CORRUPT;
}

int install_read_token(const struct install *in, uint8_t token[32]) {
    return read_secret(in, "run/token", token);
}

/* Under another name first, so that what has this one is whole. */
static int make_mask_key(const struct install *in) {
    int at = open(in->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (at < 0)
        return err_from_errno(errno);
    int rc = unlinkat(at, MASK_KEY_PATH ".new", 0) && errno != ENOENT ? err_from_errno(errno) : 0;
    if (!rc)
        rc = make_secret(at, MASK_KEY_PATH ".new");
    if (!rc && renameat(at, MASK_KEY_PATH ".new", at, MASK_KEY_PATH))
        rc = err_from_errno(errno);
    close(at);
    return rc;
}

int install_mask_key(const struct install *in, uint8_t key[32]) {
    int rc = read_secret(in, MASK_KEY_PATH, key);
    if (rc != ERR_NOTFOUND)
        return rc;
    rc = make_mask_key(in);
    return rc ? rc : read_secret(in, MASK_KEY_PATH, key);
}
