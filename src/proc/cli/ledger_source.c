/*
 * Where the ledger's commands have the log from: a descriptor that the running vault hands out,
 * with how much of it is confirmed; or, when no vault answers, the file in its folder, read and
 * checked up to its last checkpoint.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/err.h"
#include "ipc/dial/dial.h"
#include "proc/cli/cli.h"
#include "proc/cli/ledger_cli.h"

#define ANSWER_MS 20000
#define WITNESSED "control/witnessed"

/* ---- from the vault ---- */

static int take_answer(struct ledger_source *s, const struct frame *f) {
    if (f->msg == MSG_END && f->len > 4)
        return cli_fail(CLI_INCOMPLETE, NULL, "%.*s", (int)f->len - 4, (const char *)f->p + 4);
    if (f->msg != MSG_LEDGER_IS || f->len < 8 || f->fd < 0)
        return cli_fail_err(ERR_PEER, NULL, "asking the vault");
    s->fd = f->fd;
    s->bytes = get_u64(f->p);
    int rc = buf_append(&s->note, f->p + 8, f->len - 8);
    return rc ? cli_fail_err(rc, NULL, "asking the vault") : CLI_GO;
}

static int ask_vault(struct ledger_source *s, struct peer *p, const struct cli_session *session) {
    struct frame f;
    int rc = session && session->there
                 ? peer_send(p, MSG_AS, session->token, sizeof session->token, -1)
                 : 0;
    if (!rc)
        rc = peer_send(p, MSG_LEDGER, NULL, 0, -1);
    if (!rc)
        rc = peer_flush_wait(p, ANSWER_MS);
    if (!rc)
        rc = peer_recv_wait(p, &f, ANSWER_MS);
    return rc ? cli_fail_err(rc, NULL, "asking the vault") : take_answer(s, &f);
}

/* The head's key: whoever reads this installation's own log has no other. */
static int read_key(struct ledger_source *s) {
    uint8_t head[64];
    char origin[sizeof LEDGER_ORIGIN + 32] = LEDGER_ORIGIN;
    if (pread(s->fd, head, sizeof head, 0) != sizeof head)
        return ERR_CORRUPT;
    hex_encode(origin + sizeof LEDGER_ORIGIN - 1, head + 8, 16);
    return note_key_make(&s->key, origin, NOTE_ED25519, head + 24);
}

/* ---- from the file ---- */

static int read_file(struct ledger_source *s, const char *dir) {
    static const struct ledger_walk walk = {0};
    char path[CLI_PATH];
    struct ledger_end end;
    struct checkpoint c = {0};
    if (!cli_path(path, dir, "vault/" LEDGER_FILE))
        return cli_fail(CLI_USAGE, NULL, "the folder's name is too long");
    s->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (s->fd < 0)
        return cli_fail_err(err_from_errno(errno), "run it as the installation's owner",
                            "opening the ledger");
    int rc = ledger_walk(s->fd, &walk, &end);
    if (rc == ERR_CORRUPT || rc == ERR_VERSION)
        return cli_fail(CLI_FOUND, "keep it as it is, and compare it with a copy",
                        "the ledger %s is %s", path,
                        rc == ERR_CORRUPT ? "damaged" : "of another version");
    if (!rc) {
        s->bytes = end.bytes;
        c.size = end.tree.size;
        memcpy(c.origin, end.key.name, sizeof c.origin);
        merkle_root(&end.tree, c.root);
        rc = ledger_note(&s->note, &end.key, &c, end.signature);
    }
    return rc ? cli_fail_err(rc, NULL, "reading the ledger") : CLI_GO;
}

int ledger_source_open(struct ledger_source *s, const char *dir, const struct cli_session *session) {
    struct peer *p;
    *s = (struct ledger_source){.fd = -1};
    buf_init(&s->note, NOTE_MAX);
    int code = cli_need_installation(dir);
    if (code != CLI_GO)
        return code;
    if (dial(dir, "vault", IPC_VAULT, &p) == 0) {
        code = ask_vault(s, p, session);
        peer_free(p);
    } else {
        code = read_file(s, dir);
    }
    if (code != CLI_GO)
        return code;
    int rc = read_key(s);
    if (!rc)
        rc = checkpoint_open(&s->checkpoint, &s->key, (const char *)s->note.p, s->note.len);
    return rc ? cli_fail_err(rc, NULL, "checking the newest checkpoint") : CLI_GO;
}

void ledger_source_close(struct ledger_source *s) {
    if (s->fd >= 0)
        close(s->fd);
    buf_wipe(&s->note);
}

/* ---- the cosigned checkpoint ---- */

int ledger_witnessed_read(const char *dir, struct buf *note) {
    char path[CLI_PATH];
    if (!cli_path(path, dir, WITNESSED))
        return ERR_LIMIT;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return err_from_errno(errno);
    int rc = buf_reserve(note, NOTE_MAX);
    ssize_t n = rc ? 0 : read(fd, note->p, NOTE_MAX);
    close(fd);
    if (rc || n < 0)
        return rc ? rc : ERR_IO;
    note->len = (size_t)n;
    return 0;
}

int ledger_witnessed_write(const char *dir, const struct buf *note) {
    char path[CLI_PATH], fresh[CLI_PATH];
    if (!cli_path(path, dir, WITNESSED) || !cli_path(fresh, dir, WITNESSED ".new"))
        return ERR_LIMIT;
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_from_errno(errno);
    int rc = write(fd, note->p, note->len) == (ssize_t)note->len && fsync(fd) == 0 ? 0 : ERR_IO;
    close(fd);
    if (!rc && rename(fresh, path))
        rc = err_from_errno(errno);
    if (rc)
        unlink(fresh);
    return rc;
}

int ledger_source_witnessed(struct ledger_source *s, const char *dir) {
    struct checkpoint c;
    buf_clear(&s->note);
    int rc = ledger_witnessed_read(dir, &s->note);
    if (rc == ERR_NOTFOUND)
        return cli_fail(CLI_INCOMPLETE, "safehouse ledger witness URL asks one",
                        "no witness has cosigned a checkpoint yet");
    if (!rc)
        rc = checkpoint_open(&c, &s->key, (const char *)s->note.p, s->note.len);
    if (!rc && c.size > s->checkpoint.size)
        return cli_fail(CLI_FOUND, "the ledger was cut back: keep everything as it is",
                        "a witness cosigned %llu entries, the ledger has %llu",
                        (unsigned long long)c.size, (unsigned long long)s->checkpoint.size);
    if (!rc)
        s->checkpoint = c;
    return rc ? cli_fail_err(rc, NULL, "reading the cosigned checkpoint") : CLI_GO;
}
