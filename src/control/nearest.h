#ifndef CONTROL_NEAREST_H
#define CONTROL_NEAREST_H
/*
 * Which known word did somebody mean? For mistyped fields, options and subcommands.
 */

/* The entry of `names` (NULL-ended) with the fewest edits from `typed`; NULL when none is within a
 * third of its length. Borrowed from `names`. */
const char *nearest_name(const char *typed, const char *const *names);

#endif
