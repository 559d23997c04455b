/*
 * Looks for canaries in files: scan PATTERNS FILE...
 *
 * PATTERNS holds one 12-byte pattern a line in hex. Every offset of every file is compared with all
 * patterns through a table keyed by the first 8 bytes, so a hundred thousand patterns cost one pass.
 * Prints "FILE OFFSET PATTERN" for each hit (at most 100) and exits 1 when there was one.
 */
#include <fcntl.h>
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

static size_t scan_file(const struct table *t, const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st))
        fail(path);
    size_t len = (size_t)st.st_size, hits = 0;
    if (S_ISREG(st.st_mode) && len >= WIDTH) {
        const uint8_t *p = mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p == MAP_FAILED)
            fail(path);
        for (size_t i = 0; i + WIDTH <= len && hits < HITS_MAX; i++)
            for (size_t h = key_of(p + i) >> 20 & t->mask; t->slot[h]; h = (h + 1) & t->mask)
                if (!memcmp(t->pattern[t->slot[h] - 1], p + i, WIDTH)) {
                    printf("%s %zu %.12s\n", path, i, (const char *)p + i);
                    hits++;
                    break;
                }
        munmap((void *)p, len);
    }
    close(fd);
    return hits;
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: scan PATTERNS FILE...\n");
        return 2;
    }
    struct table t = {0};
    table_load(&t, argv[1]);
    size_t hits = 0;
    for (int i = 2; i < argc; i++)
        hits += scan_file(&t, argv[i]);
    return hits ? 1 : 0;
}
