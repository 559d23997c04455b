/*
 * The command line's session (session.h). The token is a secret: it is in a file of its owner and in
 * guarded frames, and in no argument and no environment value.
 */
#include "proc/cli/session.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/err.h"
#include "read/query/visible.h"

#define ANSWER_MS 60000 /* a hash among others on a slow machine */

/* ---- the file ---- */

/* $XDG_RUNTIME_DIR/safehouse/<of the installation's real path>.session */
static bool default_path(const char *dir, char out[CLI_PATH], bool make) {
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    char real[CLI_PATH], hex[33];
    uint8_t hash[16];
    if (!runtime || *runtime != '/' || !realpath(dir, real))
        return false;
    crypto_generichash(hash, sizeof hash, (const uint8_t *)real, strlen(real), NULL, 0);
    hex_encode(hex, hash, sizeof hash);
    int n = snprintf(out, CLI_PATH, "%s/safehouse", runtime);
    if (n < 0 || n >= CLI_PATH - 48)
        return false;
    if (make)
        mkdir(out, 0700);
    snprintf(out + n, 48, "/%s.session", hex);
    return true;
}

/* False: there is no name for it. *ret_named: somebody named it. */
static bool path_of(const char *dir, const struct cli_session *s, char out[CLI_PATH], bool make,
                    bool *ret_named) {
    const char *file = s->file ? s->file : getenv("SAFEHOUSE_TOKEN_FILE");
    *ret_named = file && *file;
    if (!*ret_named)
        return default_path(dir, out, make);
    int n = snprintf(out, CLI_PATH, "%s", file);
    return n > 0 && n < CLI_PATH;
}

static int read_token(int fd, uint8_t token[SESSION_BYTES]) {
    char text[SESSION_TEXT + 2];
    struct stat st;
    ssize_t n = -1;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && !(st.st_mode & 077) && st.st_uid == geteuid())
        n = read(fd, text, sizeof text);
    else
        return ERR_DENIED;
    while (n > 0 && text[n - 1] == '\n')
        n--;
    const bool good = n == SESSION_TEXT && b64url_decode(token, text, SESSION_TEXT) == SESSION_BYTES;
    sodium_memzero(text, sizeof text);
    return good ? 0 : ERR_SYNTAX;
}

static const uint8_t *fixed; /* guarded */

void session_fix(const uint8_t token[SESSION_BYTES]) {
    uint8_t *p = sodium_malloc(SESSION_BYTES);
    CHECK(p);
    memcpy(p, token, SESSION_BYTES);
    fixed = p;
}

bool session_fixed(void) {
    return fixed != NULL;
}

int session_load(const char *dir, struct cli_session *s) {
    char path[CLI_PATH];
    bool named;
    s->there = fixed != NULL;
    if (fixed) {
        memcpy(s->token, fixed, sizeof s->token);
        return CLI_GO;
    }
    if (!path_of(dir, s, path, false, &named))
        return CLI_GO;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT && !named)
        return CLI_GO;
    if (fd < 0)
        return cli_fail(CLI_USAGE, "sign in with: safehouse signin NAME", "there is no session in %s: %s",
                        path, strerror(errno));
    int rc = read_token(fd, s->token);
    close(fd);
    if (rc)
        return cli_fail(CLI_USAGE, "sign in again, or remove it",
                        rc == ERR_DENIED ? "%s is not a file that you alone can read"
                                         : "%s holds no session",
                        path);
    s->there = true;
    return CLI_GO;
}

int session_save(const char *dir, const struct cli_session *s) {
    char path[CLI_PATH], text[SESSION_TEXT + 1];
    bool named;
    if (!path_of(dir, s, path, true, &named))
        return cli_fail(CLI_USAGE, "name one: --token-file F",
                        "there is no place for the session (XDG_RUNTIME_DIR is not set)");
    unlink(path); /* never into a file that somebody else made */
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    b64url_encode(text, s->token, SESSION_BYTES);
    text[SESSION_TEXT] = '\n';
    bool written = fd >= 0 && write(fd, text, sizeof text) == (ssize_t)sizeof text;
    const int e = errno;
    sodium_memzero(text, sizeof text);
    if (fd >= 0)
        close(fd);
    return written ? CLI_GO
                   : cli_fail(CLI_USAGE, "name another file: --token-file F",
                              "the session cannot be written to %s: %s", path, strerror(e));
}

int session_remove(const char *dir, const struct cli_session *s) {
    char path[CLI_PATH];
    bool named;
    if (path_of(dir, s, path, false, &named) && unlink(path) && errno != ENOENT)
        return cli_fail(CLI_USAGE, "remove it", "%s is still there: %s", path, strerror(errno));
    return CLI_GO;
}

void session_wipe(struct cli_session *s) {
    sodium_memzero(s->token, sizeof s->token);
}

/* ---- asking ---- */

static int failed(const char *dir, const struct cli_session *s, int rc, const struct frame *end) {
    char text[512] = "", fix[CLI_PATH + 64];
    const size_t n = end && end->len > 4 ? end->len - 4 : 0;
    memcpy(text, n ? (const char *)end->p + 4 : "", n < sizeof text ? n : sizeof text - 1);
    for (size_t i = 0; text[i]; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            text[i] = '?';
    if (rc == ERR_LOCKED) {
        snprintf(fix, sizeof fix, "open it with: safehouse unlock --dir %s", dir);
        return cli_fail_as(rc, CLI_INCOMPLETE, fix, "the vault is locked, and knows nobody then");
    }
    if (rc == ERR_UNAUTHENTICATED && s && s->there)
        return cli_fail_as(rc, CLI_USAGE,
                           "sign in again with: safehouse signin NAME (or forget it with: signout)", "%s",
                           *text ? text : "the session is over");
    if (!end)
        return cli_fail_err(rc, "look at: safehouse status", "asking the vault");
    return cli_fail_as(rc, err_retryable(rc) || rc == ERR_APPROVAL ? CLI_INCOMPLETE : CLI_USAGE, NULL, "%s",
                       *text ? text : err_text(rc));
}

static int begin(const char *dir, const struct cli_session *s, enum ipc_msg msg, const void *payload,
                 size_t len, struct peer **ret) {
    int code = cli_connect(dir, "vault", IPC_VAULT, ret);
    if (code != CLI_GO)
        return code;
    int rc = s && s->there ? peer_send(*ret, MSG_AS, s->token, sizeof s->token, -1) : 0;
    if (!rc)
        rc = peer_send(*ret, msg, payload, len, -1);
    if (!rc)
        rc = peer_flush_wait(*ret, ANSWER_MS);
    if (!rc)
        return CLI_GO;
    peer_free(*ret);
    *ret = NULL;
    return failed(dir, s, rc, NULL);
}

int session_ask(const char *dir, const struct cli_session *s, enum ipc_msg msg, const void *payload,
                size_t len, session_fn *each, void *arg, int *ret_rc) {
    struct peer *p;
    struct frame f;
    int code = begin(dir, s, msg, payload, len, &p), rc = 0;
    if (code != CLI_GO)
        return code;
    while (code == CLI_GO && (rc = peer_recv_wait(p, &f, ANSWER_MS)) == 0 && f.msg != MSG_END)
        code = each && f.fd < 0 ? each(arg, &f) : failed(dir, s, ERR_PEER, NULL);
    if (code == CLI_GO && rc)
        code = failed(dir, s, rc, NULL);
    else if (code == CLI_GO) {
        rc = f.len >= 4 ? (int)(int32_t)get_u32(f.p) : ERR_PEER;
        if (ret_rc)
            *ret_rc = rc;
        code = rc ? failed(dir, s, rc, &f) : CLI_GO;
    }
    peer_free(p);
    return code;
}

struct objects {
    session_object_fn *each;
    void *arg;
};

static int object(void *arg, const struct frame *f) {
    const struct objects *to = arg;
    json_t *o = f->msg == MSG_STATUS_IS ? json_loadb((const char *)f->p, f->len, 0, NULL) : NULL;
    int code = o ? to->each(to->arg, o)
                 : cli_fail(CLI_INTERNAL, NULL, "the vault's answer is not understood");
    json_decref(o);
    return code;
}

int session_objects(const char *dir, const struct cli_session *s, enum ipc_msg msg,
                    session_object_fn *each, void *arg) {
    struct objects to = {each, arg};
    return session_ask(dir, s, msg, NULL, 0, object, &to, NULL);
}

static int keep_object(void *arg, json_t *o) {
    *(json_t **)arg = json_incref(o);
    return CLI_GO;
}

json_t *session_who(const char *dir, const struct cli_session *s, int *ret_code) {
    json_t *o = NULL;
    *ret_code = session_objects(dir, s, MSG_WHO, keep_object, &o);
    if (*ret_code != CLI_GO) {
        json_decref(o);
        o = NULL;
    }
    return o;
}

/* ---- roles ---- */

int session_needs(const char *dir, const struct cli_session *s, const char *const *roles) {
    const json_t *role;
    bool has = false;
    size_t i;
    int code;
    if (!s->there)
        return CLI_GO;
    json_t *o = session_who(dir, s, &code);
    if (!o)
        return code;
    json_array_foreach(json_object_get(o, "roles"), i, role) {
        for (size_t r = 0; roles[r] && json_is_string(role); r++)
            has = has || strcmp(json_string_value(role), roles[r]) == 0;
    }
    json_decref(o);
    return has ? CLI_GO
               : cli_fail_as(ERR_DENIED, CLI_USAGE, "safehouse whoami tells them",
                             "the roles held here do not allow that");
}

/* ---- clear columns ---- */

struct seen {
    struct buf list;
    bool all;
};

/* Names of projects have no quote in them: the vault takes no others. */
static int add_project(void *arg, const char *name) {
    struct seen *seen = arg;
    if (strchr(name, '\''))
        return ERR_CORRUPT;
    seen->all = seen->all || strcmp(name, "*") == 0;
    return buf_printf(&seen->list, "%s'%s'", seen->list.len ? "," : "", name);
}

int session_reads(const char *dir, const struct cli_session *s, struct buf *projects) {
    struct seen seen = {.all = false};
    bool any;
    int code;
    json_t *o = session_who(dir, s, &code);
    if (!o)
        return code;
    buf_init(&seen.list, LIMIT_SQL / 2);
    int rc = visible_projects(o, add_project, &seen, &any);
    json_decref(o);
    if (!rc && projects && !seen.all && any)
        rc = buf_append(projects, seen.list.p, seen.list.len);
    if (!rc && projects && !seen.all && any)
        rc = buf_append_u8(projects, 0);
    buf_wipe(&seen.list);
    if (rc)
        return cli_fail_err(rc, NULL, "reading the session's projects");
    return any ? CLI_GO
               : cli_fail(CLI_USAGE, "an admin gives it: safehouse person grant",
                          "this session has neither the role of analyst nor that of reader");
}
