/* The texts behind err.h. Every program links it; it holds no state. */
#include "base/err.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct err_row {
    int code;
    const char *name;
    int status;
    bool retry;
    const char *text;
};

static const struct err_row rows[] = {
#define ERR_ROW_(name, status, retry, text) {name, #name, status, retry, text},
    ERR_TABLE(ERR_ROW_)
#undef ERR_ROW_
};

static const struct err_row *find(int code) {
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].code == code)
            return &rows[i];
    return NULL;
}

const char *err_text(int code) {
    if (code == 0)
        return "done";
    const struct err_row *r = find(code);
    return r ? r->text : "unknown error";
}

const char *err_name(int code) {
    if (code == 0)
        return "ERR_OK";
    const struct err_row *r = find(code);
    return r ? r->name : "ERR_UNKNOWN";
}

int err_http_status(int code) {
    if (code == 0)
        return 200;
    const struct err_row *r = find(code);
    return r ? r->status : 500;
}

bool err_retryable(int code) {
    const struct err_row *r = find(code);
    return r && r->retry;
}

int err_from_errno(int e) {
    switch (e) {
    case 0:
        return 0;
    case EAGAIN:
    case EINTR:
        return ERR_AGAIN;
    case ENOMEM:
        return ERR_NOMEM;
    case ENOSPC:
    case EDQUOT:
        return ERR_FULL;
    case ENOENT:
        return ERR_NOTFOUND;
    case EEXIST:
        return ERR_EXISTS;
    case EACCES:
    case EPERM:
        return ERR_DENIED;
    case EPIPE:
    case ECONNRESET:
    case ECONNREFUSED:
        return ERR_PEER;
    default:
        return ERR_IO;
    }
}

void err_check_failed(const char *cond, const char *file, int line) {
    fprintf(stderr, "bug: %s is false (%s:%d)\n", cond, file, line);
    abort();
}
