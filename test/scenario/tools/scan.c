/*
 * Looks for canaries in files and in the memory of processes: scan PATTERNS FILE|pid:PID...
 *
 * PATTERNS holds one 12-byte pattern a line in hex. Every offset is compared with all patterns through a
 * table keyed by the first 8 bytes, so a hundred thousand patterns cost one pass. Of a process every page
 * is read that it has and that is no file's: what it keeps out of its cores (MADV_DONTDUMP), too. Prints
 * "FILE OFFSET PATTERN" for each hit (at most 100 of each) and exits 1 when there was one.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define WIDTH 12
#define HITS_MAX 100

struct table {
    uint8_t (*pattern)[WIDTH];
    uint32_t *slot; /* index + 1 into pattern */
    size_t count, mask;
};

static uint64_t key_of(const uint8_t *p) {
    uint64_t k;
    memcpy(&k, p, sizeof k);
    return k * 0x9e3779b97f4a7c15ull;
}

static void fail(const char *what) {
    perror(what);
    exit(2);
}

static void table_load(struct table *t, const char *path) {
    FILE *f = fopen(path, "r");
    if (!f)
        fail(path);
    size_t room = 1024;
    t->pattern = malloc(room * WIDTH);
    char line[2 * WIDTH + 2];
    while (t->pattern && fgets(line, sizeof line, f)) {
        if (t->count == room)
            t->pattern = realloc(t->pattern, (room *= 2) * WIDTH);
        for (int i = 0; i < WIDTH; i++) {
            unsigned v;
            if (sscanf(line + 2 * i, "%2x", &v) != 1)
                exit(2);
            t->pattern[t->count][i] = (uint8_t)v;
        }
        t->count++;
    }
    fclose(f);
    size_t slots = 1024;
    while (slots < t->count * 8)
        slots *= 2;
    t->mask = slots - 1;
    t->slot = calloc(slots, sizeof *t->slot);
    if (!t->slot || !t->pattern || t->count == 0)
        fail("patterns");
    for (size_t i = 0; i < t->count; i++) {
        size_t h = key_of(t->pattern[i]) >> 20 & t->mask;
        while (t->slot[h])
            h = (h + 1) & t->mask;
        t->slot[h] = (uint32_t)i + 1;
    }
}

/* Bytes that stand at `at` of what is named. */
static void scan_bytes(const struct table *t, const char *name, const uint8_t *p, size_t len,
                       uint64_t at, size_t *hits) {
    for (size_t i = 0; i + WIDTH <= len && *hits < HITS_MAX; i++)
        for (size_t h = key_of(p + i) >> 20 & t->mask; t->slot[h]; h = (h + 1) & t->mask)
            if (!memcmp(t->pattern[t->slot[h] - 1], p + i, WIDTH)) {
                printf("%s %llu %.12s\n", name, (unsigned long long)(at + i), (const char *)p + i);
                ++*hits;
                break;
            }
}

static size_t scan_file(const struct table *t, const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 && errno == ENOENT)
        return 0; /* it went while the others were looked through */
    if (fd < 0 || fstat(fd, &st))
        fail(path);
    size_t len = (size_t)st.st_size, hits = 0;
    if (S_ISREG(st.st_mode) && len >= WIDTH) {
        const uint8_t *p = mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p == MAP_FAILED)
            fail(path);
        scan_bytes(t, path, p, len, 0, &hits);
        munmap((void *)p, len);
    }
    close(fd);
    return hits;
}

/* ---- processes ---- */

#define PAGE 4096u
#define RUN_PAGES 4096u

struct process {
    const char *name;
    int mem, pages; /* /proc/PID/mem, /proc/PID/pagemap */
    size_t read;    /* bytes */
};

static int open_of(const char *pid, const char *file) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%s/%s", pid, file);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        fail(path);
    return fd;
}

/* Which of the pages from `from` on are in memory or swapped; how many there are, up to RUN_PAGES. */
static size_t pages_of(struct process *p, uint64_t from, uint64_t to, uint64_t *state) {
    size_t n = (to - from) / PAGE < RUN_PAGES ? (to - from) / PAGE : RUN_PAGES;
    ssize_t got = pread(p->pages, state, n * 8, (off_t)(from / PAGE * 8));
    if (got <= 0 || got % 8)
        fail("pagemap");
    return (size_t)got / 8;
}

static void scan_range(const struct table *t, struct process *p, uint64_t from, uint64_t to, size_t *hits) {
    static uint64_t state[RUN_PAGES];
    static uint8_t bytes[RUN_PAGES * PAGE + WIDTH];
    size_t kept = 0; /* of the run before, for what lies across */
    for (size_t n = 0; from < to; from += n * PAGE) {
        n = pages_of(p, from, to, state);
        for (size_t i = 0, run; i < n; i += run) {
            const bool there = state[i] >> 62;
            for (run = 1; i + run < n && (state[i + run] >> 62 != 0) == there; run++)
                ;
            ssize_t got = there ? pread(p->mem, bytes + kept, run * PAGE, (off_t)(from + i * PAGE)) : -1;
            if (got <= 0) { /* none there, or none that anybody may read */
                kept = 0;
                continue;
            }
            p->read += (size_t)got;
            scan_bytes(t, p->name, bytes, kept + (size_t)got, from + i * PAGE - kept, hits);
            memmove(bytes, bytes + kept + (size_t)got - (WIDTH - 1), WIDTH - 1);
            kept = WIDTH - 1;
        }
    }
}

static size_t scan_process(const struct table *t, const char *pid) {
    struct process p = {.name = pid, .mem = open_of(pid, "mem"), .pages = open_of(pid, "pagemap")};
    char line[1024], rest[512];
    unsigned long long from, to;
    size_t hits = 0;
    FILE *maps = fdopen(open_of(pid, "maps"), "r");
    while (maps && fgets(line, sizeof line, maps)) {
        rest[0] = 0;
        if (sscanf(line, "%llx-%llx %*4s %*x %*x:%*x %*u %511s", &from, &to, rest) < 2)
            exit(2);
        const bool file = rest[0] == '/' && strncmp(rest, "/memfd:", 7) != 0 && line[strcspn(line, " ") + 2] != 'w';
        if (!file && from < 1ull << 47)
            scan_range(t, &p, from, to, &hits);
    }
    fclose(maps);
    close(p.mem);
    close(p.pages);
    if (!p.read) {
        fprintf(stderr, "nothing of %s could be read\n", pid);
        exit(2);
    }
    return hits;
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: scan PATTERNS FILE|pid:PID...\n");
        return 2;
    }
    struct table t = {0};
    table_load(&t, argv[1]);
    size_t hits = 0;
    for (int i = 2; i < argc; i++)
        hits += strncmp(argv[i], "pid:", 4) ? scan_file(&t, argv[i]) : scan_process(&t, argv[i] + 4);
    return hits ? 1 : 0;
}
