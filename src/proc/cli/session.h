#ifndef PROC_CLI_SESSION_H
#define PROC_CLI_SESSION_H
/*
 * The session that a command runs in. Its token lies in a file of mode 0600: the one that --token-file
 * names, else the environment's SAFEHOUSE_TOKEN_FILE, else one for this installation under
 * $XDG_RUNTIME_DIR/safehouse. Without such a file the command runs as the unix user who ran init.
 *
 *   struct cli_session s = {0};
 *   const struct cli_option options[] = {..., CLI_SESSION_OPTION(s), {0}};
 *   ...
 *   code = session_load(dir, &s);
 *   if (code == CLI_GO)
 *       code = session_ask(dir, &s, MSG_WHO, NULL, 0, each, arg);
 *   session_wipe(&s);
 */
#include "base/buf.h"
#include "proc/cli/cli.h"

#define SESSION_BYTES 32

struct cli_session {
    const char *file; /* --token-file */
    bool there;
    uint8_t token[SESSION_BYTES];
};

#define CLI_SESSION_OPTION(s)                                                                      \
    {"--token-file", "F", .text = &(s).file,                                                       \
     .help = "the session's file (default: as signin wrote it)"}

/* From here on every command of this process runs in that session, and in no other. */
void session_fix(const uint8_t token[SESSION_BYTES]);
bool session_fixed(void);
/* Reads the token if there is one. CLI_GO, or the exit code after it said what is wrong. */
int session_load(const char *dir, struct cli_session *s);
/* Writes and removes it. CLI_GO, or the exit code. */
int session_save(const char *dir, const struct cli_session *s);
int session_remove(const char *dir, const struct cli_session *s);
void session_wipe(struct cli_session *s);

/* 43 characters of base64url, the token's text, without NUL. */
#define SESSION_TEXT B64URL_LEN(SESSION_BYTES)

/* A frame before END. CLI_GO goes on. */
typedef int session_fn(void *arg, const struct frame *f);
/*
 * One request to the vault in the session; its frames go to `each` (may be NULL: none is expected), until
 * END. CLI_GO, or the exit code after it said what is wrong; *ret_rc (may be NULL) is END's code.
 */
int session_ask(const char *dir, const struct cli_session *s, enum ipc_msg msg, const void *payload,
                size_t len, session_fn *each, void *arg, int *ret_rc);
/* The same, for answers that are JSON objects. */
typedef int session_object_fn(void *arg, json_t *o);
int session_objects(const char *dir, const struct cli_session *s, enum ipc_msg msg,
                    session_object_fn *each, void *arg);
/* WHO: takes no more than a moment. NULL after it said what is wrong (*ret_code). */
json_t *session_who(const char *dir, const struct cli_session *s, int *ret_code);

/*
 * Has the session one of these roles (NULL-ended) in force? For what is the unix user's in any case, and of
 * the persons who use his account only theirs who may. Without a session: yes. CLI_GO, or the exit code.
 */
int session_needs(const char *dir, const struct cli_session *s, const char *const *roles);

/*
 * May the session see clear columns (analyst or reader)? `projects` (may be NULL) gets those that it may
 * see, as a list of SQL strings with a NUL, or stays empty for all of them. CLI_GO, or the exit code.
 */
int session_reads(const char *dir, const struct cli_session *s, struct buf *projects);

#endif
