#ifndef BASE_MEMFILE_H
#define BASE_MEMFILE_H
/*
 * Memory files that programs share: a memfd of a fixed size that nobody can resize, with its head
 * written and everything behind it zero. Pages exist where something is written.
 */
#include <stddef.h>

/* *ret_fd is the caller's, CLOEXEC. `name` is seen in /proc only. */
int memfile_new(const char *name, size_t bytes, const void *head, size_t head_len, int *ret_fd);

#endif
