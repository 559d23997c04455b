/*
 * packets: what leaves this network namespace. Reads every packet that is sent on any interface
 * (packet(7)) until its standard input ends, and then prints one JSON object a line for each kind
 * that it saw:
 *   {"interface": "lo", "protocol": "tcp", "to": "10.7.0.1", "port": 6379, "packets": 12}
 * and at the end {"dropped": N}, the packets that came too fast to be looked at. "reading" is the
 * first line.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define KINDS 65536 /* a power of two */
#define BUFFER (256 << 20)

struct kind {
    uint8_t used, v6, protocol;
    uint8_t to[16];
    uint16_t port, ether;
    int interface;
    unsigned long packets;
};

static struct kind kinds[KINDS];

static void count(const struct kind *k) {
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < 16; i++)
        h = (h ^ k->to[i]) * 16777619u;
    h = (h ^ k->port) * 16777619u;
    for (size_t i = 0; i < KINDS; i++) {
        struct kind *at = &kinds[(h + i) % KINDS];
        if (at->used &&
            (memcmp(at->to, k->to, 16) != 0 || at->port != k->port || at->ether != k->ether ||
             at->protocol != k->protocol || at->interface != k->interface))
            continue;
        const unsigned long before = at->packets;
        *at = *k;
        at->packets = before + 1;
        return;
    }
    fprintf(stderr, "packets: too many kinds\n");
    exit(1);
}

static void look(const uint8_t *p, size_t n, const struct sockaddr_ll *from) {
    struct kind k = {.used = 1, .interface = from->sll_ifindex, .ether = ntohs(from->sll_protocol)};
    size_t ports = 0;
    if (k.ether == ETH_P_IP && n >= 20) {
        k.protocol = p[9];
        memcpy(k.to, p + 16, 4);
        ports = (size_t)(p[0] & 15) * 4;
    } else if (k.ether == ETH_P_IPV6 && n >= 40) {
        k.v6 = 1;
        k.protocol = p[6];
        memcpy(k.to, p + 24, 16);
        ports = 40;
        if (k.protocol == IPPROTO_HOPOPTS && n >= 48) { /* the kernel's multicast reports (RFC 3810) */
            k.protocol = p[40];
            ports += 8 + (size_t)p[41] * 8;
        }
    }
    if (ports && (k.protocol == IPPROTO_TCP || k.protocol == IPPROTO_UDP) && n >= ports + 4)
        k.port = (uint16_t)(p[ports + 2] << 8 | p[ports + 3]);
    count(&k);
}

static void tell(const struct kind *k) {
    char to[INET6_ADDRSTRLEN] = "", name[IF_NAMESIZE] = "";
    if (k->ether == ETH_P_IP || k->ether == ETH_P_IPV6)
        inet_ntop(k->v6 ? AF_INET6 : AF_INET, k->to, to, sizeof to);
    const char *protocol = k->ether == ETH_P_ARP           ? "arp"
                           : !to[0]                        ? "other"
                           : k->protocol == IPPROTO_TCP    ? "tcp"
                           : k->protocol == IPPROTO_UDP    ? "udp"
                           : k->protocol == IPPROTO_ICMP   ? "icmp"
                           : k->protocol == IPPROTO_ICMPV6 ? "icmp6"
                                                           : "other";
    printf("{\"interface\": \"%s\", \"protocol\": \"%s\", \"to\": \"%s\", \"port\": %u, "
           "\"packets\": %lu}\n",
           if_indextoname((unsigned)k->interface, name) ? name : "", protocol, to,
           (unsigned)k->port, k->packets);
}

int main(void) {
    static uint8_t packet[256];
    const int buffer = BUFFER;
    int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(ETH_P_ALL));
    if (fd < 0) {
        perror("packets");
        return 1;
    }
    /* without the right to force it, what the system allows */
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer))
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
    printf("reading\n");
    fflush(stdout);
    struct pollfd fds[] = {{.fd = fd, .events = POLLIN}, {.fd = 0, .events = POLLIN}};
    for (int ended = 0;;) {
        struct sockaddr_ll from;
        socklen_t size = sizeof from;
        ssize_t n = recvfrom(fd, packet, sizeof packet, 0, (struct sockaddr *)&from, &size);
        if (n > 0 && from.sll_pkttype == PACKET_OUTGOING)
            look(packet, (size_t)n, &from);
        if (n >= 0)
            continue;
        if (errno != EAGAIN && errno != EINTR && errno != ENETDOWN) {
            perror("packets");
            return 1;
        }
        if (ended)
            break; /* nothing is left to read */
        char c;
        if (poll(fds, 2, -1) > 0 && fds[1].revents && read(0, &c, 1) == 0)
            ended = 1;
    }
    for (size_t i = 0; i < KINDS; i++)
        if (kinds[i].used)
            tell(&kinds[i]);
    struct tpacket_stats seen;
    socklen_t size = sizeof seen;
    if (getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &seen, &size))
        return 1;
    printf("{\"dropped\": %u}\n", seen.tp_drops);
    return 0;
}
