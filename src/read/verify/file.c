/* Files that others may have put there (verify_int.h). */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "read/verify/verify_int.h"

int verify_open(int dir, const char *name) {
    struct stat st;
    /* Nobody waits for whoever writes to a pipe that lies in a file's place. */
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return err_from_errno(errno);
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        return fd;
    close(fd);
    return ERR_CORRUPT;
}

int verify_read_file(int dir, const char *name, uint8_t *out, size_t room, size_t *ret_len) {
    int fd = verify_open(dir, name), rc = fd < 0 ? fd : 0;
    size_t len = 0;
    for (ssize_t n = 1; !rc && n != 0 && len < room; len += n > 0 ? (size_t)n : 0) {
        n = read(fd, out + len, room - len);
        if (n < 0 && errno != EINTR)
            rc = err_from_errno(errno);
    }
    if (fd >= 0)
        close(fd);
    *ret_len = len;
    return rc;
}
