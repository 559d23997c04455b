/* Addresses and listening sockets of address.h. The supervisor binds, so that low ports and port 0
 * work and a restarted gateway finds the queue of the one before; the gateway accepts. */
#include "proc/supervisor/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"

#define BACKLOG 511 /* nginx's own */

/* Decimal digits only, 0..65535. */
static bool parse_port(const char *text, in_port_t *ret) {
    size_t n = strlen(text);
    if (n < 1 || n > 5 || strspn(text, "0123456789") != n)
        return false;
    long v = strtol(text, NULL, 10);
    *ret = htons((in_port_t)v);
    return v <= 65535;
}

bool address_parse(const char *text, struct address *ret) {
    char host[ADDRESS_TEXT];
    const char *colon = strrchr(text, ':');
    *ret = (struct address){0};
    if (!colon || (size_t)(colon - text) >= sizeof host)
        return false;
    size_t n = (size_t)(colon - text);
    memcpy(host, text, n);
    host[n] = 0;
    if (n > 2 && host[0] == '[' && host[n - 1] == ']') {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&ret->sa;
        host[n - 1] = 0;
        in6->sin6_family = AF_INET6;
        ret->len = sizeof *in6;
        return inet_pton(AF_INET6, host + 1, &in6->sin6_addr) == 1 &&
               parse_port(colon + 1, &in6->sin6_port);
    }
    struct sockaddr_in *in = (struct sockaddr_in *)&ret->sa;
    in->sin_family = AF_INET;
    ret->len = sizeof *in;
    return inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, &in->sin_addr) ==
               1 &&
           parse_port(colon + 1, &in->sin_port);
}

unsigned address_port(const struct address *a) {
    if (a->sa.ss_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)&a->sa)->sin6_port);
    return ntohs(((const struct sockaddr_in *)&a->sa)->sin_port);
}

void address_format(const struct address *a, char out[ADDRESS_TEXT]) {
    char host[INET6_ADDRSTRLEN] = "?";
    bool six = a->sa.ss_family == AF_INET6;
    if (six)
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)&a->sa)->sin6_addr, host, sizeof host);
    else
        inet_ntop(AF_INET, &((const struct sockaddr_in *)&a->sa)->sin_addr, host, sizeof host);
    snprintf(out, ADDRESS_TEXT, six ? "[%s]:%u" : "%s:%u", host, address_port(a));
}

bool address_is_loopback(const struct address *a) {
    if (a->sa.ss_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)&a->sa)->sin6_addr);
    return ntohl(((const struct sockaddr_in *)&a->sa)->sin_addr.s_addr) >> 24 == 127;
}

static int say(struct why *why, int error, const struct address *a) {
    char text[ADDRESS_TEXT];
    address_format(a, text);
    if (error == EADDRINUSE)
        return why_say(why, ERR_EXISTS,
                       "something listens on %s already; choose another port with "
                       "--listen",
                       text);
    if (error == EADDRNOTAVAIL)
        return why_say(why, ERR_USAGE,
                       "%s is no address of this machine; choose one that is with "
                       "--listen",
                       text);
    if (error == EACCES)
        return why_say(why, ERR_DENIED,
                       "this user may not listen on %s; choose a port from 1024 on "
                       "with --listen",
                       text);
    return why_say(why, err_from_errno(error), "cannot listen on %s: %s", text, strerror(error));
}

int address_listen(struct address *a, int *ret_fd, struct why *why) {
    const int on = 1;
    int fd = socket(a->sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return say(why, errno, a);
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) ||
        (a->sa.ss_family == AF_INET6 &&
         setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on)) ||
        bind(fd, (const struct sockaddr *)&a->sa, a->len) || listen(fd, BACKLOG) ||
        getsockname(fd, (struct sockaddr *)&a->sa, &a->len)) {
        int error = errno;
        close(fd);
        return say(why, error, a);
    }
    *ret_fd = fd;
    return 0;
}
