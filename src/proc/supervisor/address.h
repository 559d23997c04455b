#ifndef PROC_SUPERVISOR_ADDRESS_H
#define PROC_SUPERVISOR_ADDRESS_H
/*
 * Where the gateway listens: "127.0.0.1:8080", "[::1]:8080" or "localhost:8080". Names other than
 * localhost are not looked up: what listens is decided here, not by a resolver.
 */
#include <stdbool.h>
#include <sys/socket.h>

#include "proc/supervisor/why.h"

#define ADDRESS_TEXT 64

struct address {
    struct sockaddr_storage sa;
    socklen_t len;
};

bool address_parse(const char *text, struct address *ret);
/* As nginx and a URL have it: with brackets around IPv6. */
void address_format(const struct address *a, char out[ADDRESS_TEXT]);
bool address_is_loopback(const struct address *a);
unsigned address_port(const struct address *a);
/* A listening TCP socket; port 0 becomes the one that the kernel gave. */
int address_listen(struct address *a, int *ret_fd, struct why *why);

#endif
