/*
 * `safehouse attach`: becomes an nginx of the owner's, with the descriptors that its workers need.
 * They are named in its environment; nginx-main.conf, which it includes, lets them through to its
 * workers.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/traces.h"
#include "proc/cli/cli.h"

#define ANSWER_MS 15000
#define NAME_MAX_CHARS 64
#define WORDS_MAX 1000

/* Its number goes with the descriptor through the exec. */
static int keep(const struct frame *f) {
    char name[NAME_MAX_CHARS + 1], number[16];
    if (f->fd < 0 || f->len > NAME_MAX_CHARS || f->len < 3 || memcmp(f->p, "SH_", 3) != 0)
        return ERR_PEER;
    snprintf(name, sizeof name, "%.*s", (int)f->len, (const char *)f->p);
    snprintf(number, sizeof number, "%d", f->fd);
    return fcntl(f->fd, F_SETFD, 0) || setenv(name, number, 1) ? err_from_errno(errno) : 0;
}

/* One frame for each descriptor, then END, whose text says why there are none. */
static int take_all(struct peer *p, char *text, size_t size) {
    struct frame f;
    int rc = peer_send(p, MSG_ATTACH, NULL, 0, -1);
    if (!rc)
        rc = peer_flush_wait(p, ANSWER_MS);
    while (!rc && (rc = peer_recv_wait(p, &f, ANSWER_MS)) == 0 && f.msg == MSG_DESCRIPTOR)
        rc = keep(&f);
    if (rc)
        return rc;
    if (f.msg != MSG_END || f.len < 4)
        return ERR_PEER;
    snprintf(text, size, "%.*s", (int)(f.len - 4), (const char *)f.p + 4);
    return (int32_t)get_u32(f.p);
}

int cli_attach(int argc, char **argv) {
    static const struct cli_usage usage = {
        "safehouse attach [--dir D] -- NGINX [ITS OPTIONS]",
        "Becomes NGINX, with what its workers need to be the gateway of a running installation\n"
        "that has gateway.nginx: own. Its configuration includes D/run/nginx-main.conf,\n"
        "nginx-http.conf and nginx-server.conf. Exit code 3: nothing runs there."};
    const char *dir = CLI_DIR_DEFAULT;
    const struct cli_option options[] = {{"--dir", "D", .text = &dir, .help = CLI_DIR_HELP}, {0}};
    struct peer *p;
    char text[1024] = "";
    int words = 0, code = cli_parse(&usage, options, argc, argv, 1, WORDS_MAX, &words);
    if (code == CLI_GO)
        code = cli_connect(dir, "control", IPC_SUPERVISOR, &p);
    if (code != CLI_GO)
        return code;
    int rc = take_all(p, text, sizeof text);
    peer_free(p);
    if (rc)
        return text[0] ? cli_fail(CLI_USAGE, NULL, "%s", text)
                       : cli_fail_err(rc, "look at: safehouse status", "attaching");
    /* What libraries free without wiping, free() overwrites; a process cannot begin that later. */
    if (setenv("GLIBC_TUNABLES", TRACES_TUNABLES, 1))
        return cli_fail_err(ERR_NOMEM, NULL, "attaching");
    argv[1 + words] = NULL;
    signal(SIGPIPE, SIG_DFL);
    execvp(argv[1], argv + 1);
    return cli_fail(CLI_USAGE, NULL, "cannot run %.1000s: %s", argv[1], strerror(errno));
}
