#ifndef QUERY_TALLY_H
#define QUERY_TALLY_H
/* How many cells were opened, and how many were not, by reason. All zero is an empty one. */
#include <stdbool.h>
#include <stddef.h>

#define TALLY_REASONS 8

struct tally {
    size_t opened, failed;
    struct {
        int code;
        size_t count;
    } reasons[TALLY_REASONS];
};

/* One more: rc 0, or why not. */
void tally_note(struct tally *t, int rc);
/* The reasons for a person, "" if there are none. */
void tally_text(const struct tally *t, char *out, size_t size);
/* Was this ERR_* a reason? */
bool tally_has(const struct tally *t, int code);

#endif
