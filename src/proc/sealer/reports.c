/*
 * Reports from outside: a gateway worker has taken one and given its sender a number; here it is
 * sealed to the opening key, and goes to the vault, which keeps it and notes it in the ledger.
 *
 * They come as datagrams on a socket whose ends the supervisor holds, so neither a worker's nor
 * this process's death loses one. A datagram stays there until the vault has said that it is kept:
 * it is looked at, sealed and sent, and taken out after the answer. One at a time; what waits fills
 * the socket, and then the form says to come again later.
 */
#include <errno.h>
#include <sodium.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/bytes.h"
#include "base/log.h"
#include "proc/sealer/sealer.h"

#define NUMBER_BYTES 8
#define HEAD_BYTES (1 + NUMBER_BYTES + 8 + 1) /* u8 1 | number | u64 when | u8 n */
#define CAME_MAX (HEAD_BYTES + LIMIT_REPORT_TYPE + LIMIT_REPORT)
#define PLAIN_MAX (1 + 8 + 1 + LIMIT_REPORT_TYPE + LIMIT_REPORT)
#define SENT_HEAD (NUMBER_BYTES + 8 + 4 + crypto_hash_sha256_BYTES)

static void on_report(void *arg, uint32_t events) {
    (void)events;
    reports_turn(arg);
}

/* Not watched while nothing can be taken, or every round would be told of it. */
static void listen_to(struct sealer *s, bool on) {
    if (!on)
        loop_forget(s->loop, s->child.report_fd);
    else if (loop_watch(s->loop, s->child.report_fd, EPOLLIN, on_report, s))
        log_event("watch-failed", LOG_END);
}

static void take_out(struct sealer *s) {
    uint8_t byte;
    if (recv(s->child.report_fd, &byte, 1, MSG_DONTWAIT | MSG_TRUNC) < 0)
        log_event("report-lost", LOG_END);
}

/* u8 1 | 8 number | u64 when | u8 n | n content type | the report */
static bool is_whole(const uint8_t *p, size_t len) {
    return len > HEAD_BYTES && p[0] == 1 && p[HEAD_BYTES - 1] < LIMIT_REPORT_TYPE &&
           len > (size_t)HEAD_BYTES + p[HEAD_BYTES - 1] && len <= CAME_MAX;
}

static int seal_and_send(struct sealer *s, const uint8_t *p, size_t len) {
    static uint8_t plain[PLAIN_MAX], out[SENT_HEAD + PLAIN_MAX + crypto_box_SEALBYTES];
    const size_t type = p[HEAD_BYTES - 1], text = len - HEAD_BYTES - type;
    const size_t n = 1 + 8 + 1 + type + text;
    plain[0] = 1;
    memcpy(plain + 1, p + 1 + NUMBER_BYTES, n - 1);
    memcpy(out, p + 1, NUMBER_BYTES + 8);
    put_u32(out + NUMBER_BYTES + 8, (uint32_t)text);
    crypto_hash_sha256(out + NUMBER_BYTES + 12, p + HEAD_BYTES + type, text);
    int rc = crypto_box_seal(out + SENT_HEAD, plain, n, s->writer.opening);
    sodium_memzero(plain, sizeof plain);
    return rc ? rc
              : sealer_send(s, s->vault, MSG_REPORT, out, SENT_HEAD + n + crypto_box_SEALBYTES, -1);
}

void reports_turn(struct sealer *s) {
    static uint8_t came[CAME_MAX + 1];
    if (s->child.report_fd < 0)
        return;
    const bool may = s->vault && s->writer.have && !s->report_sent;
    listen_to(s, may);
    if (!may)
        return;
    ssize_t n = recv(s->child.report_fd, came, sizeof came, MSG_PEEK | MSG_DONTWAIT);
    if (n < 0)
        return;
    if (!is_whole(came, (size_t)n)) { /* of a worker that was taken over */
        log_event("report-malformed", LOG_END);
        take_out(s);
    } else {
        memcpy(s->report_number, came + 1, NUMBER_BYTES);
        s->report_sent = seal_and_send(s, came, (size_t)n) == 0;
        listen_to(s, false);
    }
    sodium_memzero(came, sizeof came);
}

void reports_noted(struct sealer *s, const uint8_t *number) {
    if (!s->report_sent || memcmp(number, s->report_number, NUMBER_BYTES) != 0)
        return;
    s->report_sent = false;
    take_out(s);
    reports_turn(s);
}

void reports_lost(struct sealer *s) {
    s->report_sent = false;
}

bool reports_waiting(const struct sealer *s) {
    uint8_t byte;
    return s->child.report_fd >= 0 &&
           recv(s->child.report_fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0;
}
