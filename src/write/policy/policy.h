#ifndef WRITE_POLICY_POLICY_H
#define WRITE_POLICY_POLICY_H
/*
 * What the configuration says of the detector's classes, for the sealer and for gateway workers. The
 * supervisor writes it as lines into a memory file and has tried it (src/proc/supervisor/policy.c has
 * its form); it is checked here all the same.
 */
#include <stdbool.h>
#include <stddef.h>

enum action {
    ACTION_DEFAULT, /* nothing is said of the class */
    ACTION_FINGERPRINT,
    ACTION_SEAL,
    ACTION_ALLOW,
    ACTION_BLOCK, /* these two are the gateway's; in the log such a class is treated as by default */
    ACTION_MASK,
};

struct policy;

/* fd -1: nothing is said. `ret_mute` (NULL-ended) and the rules, which end with the policy, are for
 * detect_options. ERR_SYNTAX, ERR_IO, ERR_NOMEM. */
int policy_new(struct policy **ret, int fd, const char *const **ret_mute, const char **ret_rules,
               size_t *ret_rules_len);
void policy_free(struct policy *p); /* NULL-safe */
bool policy_on(const struct policy *p);
/* `family` is what a rule's class and others are called together, or NULL. A line of the class counts before one of
 * its family, a line of the project before one of all. */
enum action policy_action(const struct policy *p, const char *project, const char *class, const char *family);
/* Has a class this action somewhere: in this project; NULL: in any? */
bool policy_has(const struct policy *p, const char *project, enum action action);

#endif
