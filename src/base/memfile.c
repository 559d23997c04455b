/* The making of shared memory files (memfile.h). */
#include "base/memfile.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"

int memfile_new(const char *name, size_t bytes, const void *head, size_t head_len, int *ret_fd) {
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return err_from_errno(errno);
    int rc = 0;
    if (ftruncate(fd, (off_t)bytes) ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL))
        rc = err_from_errno(errno);
    if (!rc && pwrite(fd, head, head_len, 0) != (ssize_t)head_len)
        rc = ERR_IO;
    if (rc) {
        close(fd);
        return rc;
    }
    *ret_fd = fd;
    return 0;
}
