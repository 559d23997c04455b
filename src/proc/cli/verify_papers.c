/*
 * `safehouse verify --proof` and `--receipt`: single papers, on any machine. What is wrong is told by
 * read/verify; here is what they say when they hold.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "proc/cli/cli.h"
#include "proc/cli/verify_cli.h"

#define SUFFIX ".receipt"

/* ---- proofs ---- */

static void print_event(const struct verify_output *o, const char *name, const struct verify_event *e) {
    char when[CLOCK_UTC];
    clock_utc(when, e->time_us);
    if (o->json) {
        cli_print_json(json_pack("{s:s, s:s, s:I, s:s, s:s, s:I, s:i}", "proof", name, "result",
                                 "clean", "index", (json_int_t)e->index, "kind", e->kind_name, "time",
                                 when, "size", (json_int_t)e->size, "shown", (int)e->shown));
        return;
    }
    printf("%s: entry %" PRIu64 " (%s, %s) is in the ledger of %" PRIu64 " entries", name, e->index,
           e->kind_name, when, e->size);
    if (e->shown)
        printf("; what it shows is what was sealed");
    printf("\n");
}

static int one_proof(const struct verify_spec *spec, const struct verify_output *o, const char *name,
                     struct verify_totals *t) {
    struct verify_event e;
    uint8_t *p;
    size_t len;
    int code = verify_read(name, &p, &len);
    if (code != CLI_GO)
        return code;
    if (verify_proof(spec, name, p, len, t, &e))
        print_event(o, name, &e);
    free(p);
    return CLI_GO;
}

/* ---- receipts ---- */

static const char *what_of(const struct verify_paper *r) {
    return r->kind == VERIFY_ERASURE  ? "subjects"
           : r->kind == VERIFY_EXPORT ? "interactions"
                                      : "entries";
}

static void print_receipt(const struct verify_output *o, const char *name, const struct verify_paper *r) {
    char when[CLOCK_UTC];
    clock_utc(when, r->time_us);
    if (o->json) {
        json_t *j = json_pack("{s:s, s:s, s:s, s:s, s:I}", "receipt", name, "result",
                              r->pending ? "pending" : "clean", "kind", r->kind_name, "time", when,
                              what_of(r), (json_int_t)r->count);
        if (r->kind != VERIFY_REPORT)
            json_object_set_new(j, "index", json_integer((json_int_t)r->index));
        json_object_set_new(j, "size", json_integer((json_int_t)r->size));
        cli_print_json(j);
        return;
    }
    if (r->kind == VERIFY_ERASURE)
        printf("%s: the keys of %" PRIu64 " pseudonyms of the person named in it were destroyed, %s", name,
               r->count, when);
    else if (r->kind == VERIFY_EXPORT)
        printf("%s: the file is the export that was made, of %" PRIu64 " interactions, %s", name, r->count,
               when);
    else
        printf("%s: the file is the report that was made, of a ledger of %" PRIu64 " entries, %s", name,
               r->count, when);
    if (r->kind != VERIFY_REPORT)
        printf("; entry %" PRIu64 " of the ledger of %" PRIu64, r->index, r->size);
    printf("\n");
}

/* The receipt's name without its suffix; NULL: it has none, or there is no such file. */
static const char *file_beside(const char *receipt, char room[CLI_PATH]) {
    const size_t n = strlen(receipt), end = strlen(SUFFIX);
    if (n <= end || n >= CLI_PATH || strcmp(receipt + n - end, SUFFIX) != 0)
        return NULL;
    memcpy(room, receipt, n - end);
    room[n - end] = 0;
    return access(room, F_OK) == 0 ? room : NULL;
}

/* An export that ends with its receipt, a line (doc/export.md): its digest without that, and the line.
 * False: it is no such file. */
static bool is_whole_export(const char *name, uint8_t hash[SHA_BYTES], uint8_t **ret, size_t *ret_len) {
    static const char line[] = "{\"type\":\"receipt\",";
    struct stat st;
    bool yes = false;
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    const size_t len = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? (size_t)st.st_size : 0;
    uint8_t *p = len > sizeof line ? mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
    if (p != MAP_FAILED) {
        const uint8_t *end = memrchr(p, '\n', len - 1);
        const size_t at = end ? (size_t)(end - p) + 1 : 0;
        yes = at && len - at >= sizeof line - 1 && memcmp(p + at, line, sizeof line - 1) == 0 &&
              (*ret = malloc(len - at)) != NULL;
        if (yes) {
            sha_two(hash, p, at, "", 0);
            memcpy(*ret, p + at, len - at);
            *ret_len = len - at;
        }
        munmap(p, len);
    }
    if (fd >= 0)
        close(fd);
    return yes;
}

static int one_receipt(const struct verify_papers *papers, const struct verify_spec *spec,
                       const struct verify_output *o, const char *name, struct verify_totals *t) {
    char beside[CLI_PATH];
    const char *file = papers->file ? papers->file : file_beside(name, beside);
    uint8_t hash[SHA_BYTES], *p;
    struct verify_paper r;
    size_t len;
    if (file && sha_file(hash, file))
        return cli_fail(CLI_USAGE, NULL, "%s cannot be read: %s", file, strerror(errno));
    const bool whole = !file && is_whole_export(name, hash, &p, &len);
    int code = whole ? CLI_GO : verify_read(name, &p, &len);
    if (code != CLI_GO)
        return code;
    if (verify_receipt(spec, name, p, len, file || whole ? hash : NULL, t, &r))
        print_receipt(o, name, &r);
    free(p);
    return CLI_GO;
}

/* ---- the command ---- */

int verify_papers_check(const struct verify_papers *p, int words, const char *first) {
    const bool any = p->proof || p->receipt;
    if (p->proof && p->receipt)
        return cli_fail(CLI_USAGE, "one after the other", "--proof and --receipt are two papers");
    if (words && !any)
        return cli_fail(CLI_USAGE, "proofs follow --proof, receipts --receipt", "what is %.100s?", first);
    if (p->tiles && !any)
        return cli_fail(CLI_USAGE, "--proof F or --receipt F", "--tiles is for papers, and there is none");
    if (p->file && (!p->receipt || words))
        return cli_fail(CLI_USAGE, "--receipt F --file F", "--file is what one receipt is about");
    return CLI_GO;
}

int verify_papers_run(const struct verify_papers *p, const struct verify_spec *spec,
                      struct verify_output *o, char **argv, int words) {
    struct verify_totals t = {0};
    argv[0] = (char *)(p->proof ? p->proof : p->receipt);
    for (int i = 0; i <= words; i++) {
        o->paper = argv[i];
        int code = p->proof ? one_proof(spec, o, argv[i], &t) : one_receipt(p, spec, o, argv[i], &t);
        if (code != CLI_GO)
            return code;
    }
    return verify_exit(&t);
}
