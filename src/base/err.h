#ifndef BASE_ERR_H
#define BASE_ERR_H
/*
 * The one table of errors. A fallible function returns 0 or one of these negative codes; codes of
 * other libraries are translated where the library is called. ERR_AGAIN is a normal result, not a
 * failure: "nothing now, call again when the event loop says so".
 *
 * Columns: name, HTTP status for a client, whether trying again can help, a sentence for a person.
 */
#include <stdbool.h>

#define ERR_TABLE(X)                                                                               \
    X(ERR_AGAIN, 503, true, "not ready yet")                                                       \
    X(ERR_NOMEM, 503, true, "out of memory")                                                       \
    X(ERR_LIMIT, 413, false, "larger than the configured ceiling")                                 \
    X(ERR_FULL, 503, true, "no room at the moment")                                                \
    X(ERR_SYNTAX, 400, false, "malformed input")                                                   \
    X(ERR_CORRUPT, 500, false, "damaged or forged data")                                           \
    X(ERR_VERSION, 500, false, "made by a version that this one does not know")                    \
    X(ERR_NOTFOUND, 404, false, "not found")                                                       \
    X(ERR_EXISTS, 409, false, "exists already")                                                    \
    X(ERR_DENIED, 403, false, "not allowed")                                                       \
    X(ERR_UNAUTHENTICATED, 401, false, "no valid credential")                                      \
    X(ERR_LOCKED, 503, true, "the vault is locked")                                                \
    X(ERR_ERASED, 410, false, "the key was destroyed")                                             \
    X(ERR_IO, 500, true, "input or output failed")                                                 \
    X(ERR_PEER, 503, true, "the other program is gone")                                            \
    X(ERR_USAGE, 400, false, "wrong use")                                                          \
    X(ERR_UNSUPPORTED, 501, false, "not supported here")                                           \
    X(ERR_INTERNAL, 500, false, "internal error")                                                  \
    X(ERR_APPROVAL, 403, false, "a second person's approval is needed")                            \
    X(ERR_QUOTA, 429, true, "the hour's quota of opened cells is used up")                         \
    X(ERR_PROJECT, 403, false, "of a project that this session may not open")

enum err {
    ERR_OK = 0,
    ERR_BASE_ = -1000,
#define ERR_ENUM_(name, status, retry, text) name,
    ERR_TABLE(ERR_ENUM_)
#undef ERR_ENUM_
};

/* Never NULL; unknown codes give "unknown error". */
const char *err_text(int code);
const char *err_name(int code);
int err_http_status(int code);
bool err_retryable(int code);

/* errno -> ERR_*; for the edge where a system call failed. */
int err_from_errno(int e);

/* A broken invariant is a bug, not an error: it ends this one process and the supervisor restarts it. */
#define CHECK(cond) ((cond) ? (void)0 : err_check_failed(#cond, __FILE__, __LINE__))
_Noreturn void err_check_failed(const char *cond, const char *file, int line);

#endif
