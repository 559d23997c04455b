/*
 * Gives the vault its passphrase at each of its starts (supervisor_int.h), then asks it, as any
 * client would, whether it is open: it answers after it has tried the passphrase.
 */
#include <sodium.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "ipc/dial/dial.h"
#include "proc/supervisor/supervisor_int.h"

#define DESCRIPTION_BYTES (4u << 20)
#define ANSWER_NS (20000 * MS) /* Argon2id on a slow machine, and a long ledger */

void vault_done(struct supervisor *s) {
    if (!s->vault)
        return;
    loop_forget(s->loop, peer_fd(s->vault));
    peer_free(s->vault);
    s->vault = NULL;
}

static void answered(struct supervisor *s, enum vault_lock lock) {
    vault_done(s);
    s->lock = lock;
    if (lock == VAULT_WRONG_PASSPHRASE)
        fprintf(stderr,
                "safehouse: the passphrase is wrong, the vault stays locked; logging goes "
                "on, unlock it with: safehouse unlock --dir %s\n",
                s->spec->install->dir);
}

static void read_vault(void *arg, uint32_t events) {
    struct supervisor *s = arg;
    struct frame f;
    (void)events;
    int rc = peer_flush(s->vault);
    if (rc == 0 || rc == ERR_AGAIN)
        rc = peer_recv(s->vault, &f);
    if (rc == ERR_AGAIN) {
        if (loop_watch(s->loop, peer_fd(s->vault),
                       EPOLLIN | (peer_wants_write(s->vault) ? EPOLLOUT : 0u), read_vault, s))
            answered(s, VAULT_LOCKED);
        return;
    }
    json_t *o =
        rc == 0 && f.msg == MSG_STATUS_IS ? json_loadb((const char *)f.p, f.len, 0, NULL) : NULL;
    bool open = json_is_false(json_object_get(o, "locked"));
    json_decref(o);
    answered(s, open ? VAULT_UNLOCKED : s->passphrase_sent ? VAULT_WRONG_PASSPHRASE : VAULT_LOCKED);
}

static void ask(struct supervisor *s) {
    char dir[32];
    vault_done(s);
    s->lock = VAULT_ASKED;
    s->vault_end_ns = clock_mono_ns() + ANSWER_NS;
    snprintf(dir, sizeof dir, "/proc/self/fd/%d", s->dir_fd);
    int rc = dial(dir, "vault", IPC_VAULT, &s->vault);
    if (!rc)
        rc = peer_send(s->vault, MSG_STATUS, NULL, 0, -1);
    if (!rc)
        rc = loop_watch(s->loop, peer_fd(s->vault), EPOLLIN | EPOLLOUT, read_vault, s);
    if (rc) {
        log_event("vault-not-asked", LOG_ERR(rc), LOG_END);
        answered(s, VAULT_LOCKED);
    }
}

void vault_configuration(struct supervisor *s, uint32_t by) {
    uint8_t p[36];
    struct buf text;
    buf_init(&text, DESCRIPTION_BYTES);
    int rc = config_describe(s->settings->config, &text);
    crypto_hash_sha256(p, text.p, text.len);
    put_u32(p + 32, by);
    buf_wipe(&text);
    if (!rc)
        program_send(&s->programs[PROGRAM_VAULT], MSG_CONFIGURATION, p, sizeof p, -1);
    else
        log_event("configuration-not-told", LOG_ERR(rc), LOG_END);
}

void vault_running(struct supervisor *s) {
    vault_configuration(s, UINT32_MAX);
    const struct supervisor_spec *spec = s->spec;
    s->passphrase_sent = false;
    char *passphrase = spec->passphrase ? sodium_malloc(SUPERVISOR_PASSPHRASE + 1) : NULL;
    size_t len = 0;
    if (passphrase && spec->passphrase(spec->passphrase_arg, passphrase, &len) == 0) {
        program_send(&s->programs[PROGRAM_VAULT], MSG_PASSPHRASE, passphrase, len, -1);
        s->passphrase_sent = true;
    }
    sodium_free(passphrase);
    ask(s);
}

void vault_tick(struct supervisor *s, uint64_t now, uint64_t *due) {
    if (!s->vault)
        return;
    if (now >= s->vault_end_ns)
        answered(s, VAULT_LOCKED);
    else
        supervisor_due(due, s->vault_end_ns);
}
