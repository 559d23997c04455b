#ifndef PROC_SUPERVISOR_WHY_H
#define PROC_SUPERVISOR_WHY_H
/*
 * What went wrong, in a sentence for a person that has the fix in it: "port 8080 is in use; choose
 * another with --listen". The command line prints it.
 */
struct why {
    char text[2048];
};

/* Writes the sentence and returns rc, so that `return why_say(w, ERR_IO, ...)` reads well. */
int why_say(struct why *w, int rc, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
