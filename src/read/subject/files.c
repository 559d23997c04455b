/*
 * The files of a change of generations. A new vault.db is built beside the old one and takes its
 * name in one step; the old one keeps a name of its own until it is overwritten, so that whoever
 * dies in between leaves either both files or something that keys_tidy knows.
 *
 * Overwriting in place reaches what the file system still maps to the file. Blocks that it has
 * moved, and the journal's, hold secrets that are sealed to a generation key which is gone.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "read/subject/keys_int.h"

#define PATH_BYTES 4096

static int path_of(char out[PATH_BYTES], const char *dir, const char *name) {
    int n = snprintf(out, PATH_BYTES, "%s/%s", dir, name);
    return n < 0 || n >= PATH_BYTES ? ERR_LIMIT : 0;
}

static int overwrite(int fd) {
    static const uint8_t zeros[65536];
    struct stat st;
    if (fstat(fd, &st))
        return err_from_errno(errno);
    for (off_t at = 0; at < st.st_size;) {
        size_t left = (size_t)(st.st_size - at), n = left < sizeof zeros ? left : sizeof zeros;
        ssize_t put = pwrite(fd, zeros, n, at);
        if (put < 0 && errno != EINTR)
            return err_from_errno(errno);
        at += put > 0 ? put : 0;
    }
    return fdatasync(fd) || ftruncate(fd, 0) ? err_from_errno(errno) : 0;
}

int keys_destroy_file(const char *dir, const char *name) {
    char path[PATH_BYTES];
    int rc = path_of(path, dir, name);
    if (rc)
        return rc;
    int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT ? 0 : err_from_errno(errno);
    rc = overwrite(fd);
    close(fd);
    if (!rc && unlink(path))
        rc = err_from_errno(errno);
    return rc ? rc : keys_sync_folder(dir);
}

int keys_fresh_file(const char *dir, const char *name) {
    char path[PATH_BYTES];
    int rc = path_of(path, dir, name);
    if (!rc)
        rc = keys_destroy_file(dir, name);
    if (rc)
        return rc;
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_from_errno(errno);
    close(fd);
    return 0;
}

static int sync_file(const char *path) {
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return err_from_errno(errno);
    int rc = fsync(fd) ? err_from_errno(errno) : 0;
    close(fd);
    return rc;
}

/* What is left of the file before. Two names of one file: somebody died before the next one took
 * the first of them. */
static int drop_old(const char *dir) {
    char now[PATH_BYTES], old[PATH_BYTES];
    struct stat a, b;
    int rc = path_of(now, dir, KEYS_FILE);
    if (!rc)
        rc = path_of(old, dir, KEYS_FILE_OLD);
    if (!rc && !stat(now, &a) && !stat(old, &b) && a.st_dev == b.st_dev && a.st_ino == b.st_ino &&
        unlink(old))
        rc = err_from_errno(errno);
    return rc ? rc : keys_destroy_file(dir, KEYS_FILE_OLD);
}

int keys_swap(const char *dir) {
    char now[PATH_BYTES], next[PATH_BYTES], old[PATH_BYTES];
    int rc = path_of(now, dir, KEYS_FILE);
    if (!rc)
        rc = path_of(next, dir, KEYS_FILE_NEXT);
    if (!rc)
        rc = path_of(old, dir, KEYS_FILE_OLD);
    if (!rc)
        rc = sync_file(next);
    if (!rc)
        rc = drop_old(dir);
    if (!rc && link(now, old))
        rc = err_from_errno(errno);
    if (!rc && rename(next, now))
        rc = err_from_errno(errno);
    if (!rc)
        rc = keys_sync_folder(dir);
    return rc ? rc : keys_destroy_file(dir, KEYS_FILE_OLD);
}

int keys_tidy(const char *dir) {
    int rc = drop_old(dir);
    return rc ? rc : keys_destroy_file(dir, KEYS_FILE_NEXT);
}
