#ifndef AUDIT_VERDICT_H
#define AUDIT_VERDICT_H
/*
 * The words of `safehouse audit`, known to the program that probes and to the one that reports.
 *
 * Verdict: what a stranger gets at a port. Grade: what was proved readable, whatever the product:
 *   A not reachable            B reachable, asks for a credential
 *   C a version, metrics or another trait shows        D names (databases, tables, models) are
 * readable E rows are readable        F secrets lie in them, or writing, execution or files are
 * within reach
 */

#define AUDIT_VERDICTS(X)                                                                          \
    X(CLOSED, "closed")                                                                            \
    X(FILTERED, "filtered")                                                                        \
    X(AUTH_REQUIRED, "auth-required")                                                              \
    X(OPEN_LIMITED, "open-limited")                                                                \
    X(OPEN, "open")                                                                                \
    X(UNKNOWN, "unknown")

enum audit_verdict {
#define AUDIT_ENUM_(name, word) AUDIT_##name,
    AUDIT_VERDICTS(AUDIT_ENUM_)
#undef AUDIT_ENUM_
};

static inline const char *audit_verdict_word(enum audit_verdict v) {
    static const char *const words[] = {
#define AUDIT_WORD_(name, word) word,
        AUDIT_VERDICTS(AUDIT_WORD_)
#undef AUDIT_WORD_
    };
    return words[v];
}

#endif
