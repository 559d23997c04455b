#ifndef PROC_CLI_VERIFY_CLI_H
#define PROC_CLI_VERIFY_CLI_H
/* What `safehouse verify` of an installation and of single papers share. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "read/verify/verify.h"

struct verify_output {
    bool json, terminal, shown;
    uint64_t next_ns;
    const char *paper; /* which is being checked; NULL: it is an installation */
};

/* A whole file of at most 4 MiB, returned to the caller; CLI_GO or the exit code. */
int verify_read(const char *path, uint8_t **ret, size_t *ret_len);
int verify_exit(const struct verify_totals *t);

/* ---- papers: verify_papers.c ---- */
struct verify_papers {
    const char *proof, *receipt; /* the first of them; one is NULL, or both */
    const char *file, *tiles;
};
/* Do the options go together? `first` is the first of the other words, of which there are `words`. */
int verify_papers_check(const struct verify_papers *p, int words, const char *first);
/* The first one and those in argv[1..words]; the exit code. */
int verify_papers_run(const struct verify_papers *p, const struct verify_spec *spec,
                      struct verify_output *o, char **argv, int words);

#endif
