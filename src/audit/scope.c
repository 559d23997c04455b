/*
 * The scope file of scope.h. Read by the command line before anything is connected to; the program
 * that probes gets the pairs that come out of it and no other.
 */
#include "audit/scope.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "audit/ports.h"
#include "base/err.h"

#define ADDRESSES_OF_NAME 16
#define PORTS_MAX 65536

/* An address as 16 bytes; IPv4 in its mapped form, so that one comparison serves both. */
struct ip {
    uint8_t b[16];
};

struct exclusion {
    struct ip ip;
    unsigned bits;
    uint16_t port; /* 0: all */
};

struct reading {
    struct scope *scope;
    scope_resolver *resolve;
    time_t now;
    size_t targets_max, targets_cap;
    struct exclusion *out;
    size_t out_count;
    uint32_t number;
    char *why;
};

__attribute__((format(printf, 3, 4))) static int wrong(struct reading *r, int code, const char *fmt,
                                                       ...) {
    int n = snprintf(r->why, SCOPE_WHY, "line %u: ", r->number);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(r->why + n, (size_t)(SCOPE_WHY - n), fmt, ap);
    va_end(ap);
    return code;
}

/* ---- addresses ---- */

static bool parse_ip(const char *s, struct ip *ret, unsigned *ret_bits) {
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (inet_pton(AF_INET, s, ret->b + 12) == 1) {
        memcpy(ret->b, mapped, sizeof mapped);
        *ret_bits = 32;
        return true;
    }
    *ret_bits = 128;
    return inet_pton(AF_INET6, s, ret->b) == 1;
}

static bool is_v4(const struct ip *ip) {
    struct in6_addr a;
    memcpy(&a, ip->b, 16);
    return IN6_IS_ADDR_V4MAPPED(&a);
}

static bool is_loopback(const struct ip *ip) {
    static const uint8_t one[16] = {[15] = 1};
    return is_v4(ip) ? ip->b[12] == 127 : memcmp(ip->b, one, 16) == 0;
}

static void print_ip(const struct ip *ip, char out[static 46]) {
    if (is_v4(ip))
        inet_ntop(AF_INET, ip->b + 12, out, 46);
    else
        inet_ntop(AF_INET6, ip->b, out, 46);
}

static bool in_network(const struct ip *ip, const struct ip *net, unsigned bits) {
    unsigned whole = bits / 8, rest = bits % 8;
    return memcmp(ip->b, net->b, whole) == 0 &&
           (!rest || ((ip->b[whole] ^ net->b[whole]) >> (8 - rest)) == 0);
}

static void next_ip(struct ip *ip) {
    for (int i = 15; i >= 0 && ++ip->b[i] == 0; i--) {
    }
}

/* ---- targets ---- */

static int add_target(struct reading *r, const struct ip *ip, uint16_t port) {
    struct scope *s = r->scope;
    for (size_t i = 0; i < r->out_count; i++)
        if (in_network(ip, &r->out[i].ip, r->out[i].bits) &&
            (!r->out[i].port || r->out[i].port == port))
            return 0;
    if (s->target_count == r->targets_max)
        return wrong(r, ERR_LIMIT,
                     "more than %zu pairs of address and port; narrow it, or raise --max-targets",
                     r->targets_max);
    if (s->target_count == r->targets_cap) {
        size_t cap = r->targets_cap ? 2 * r->targets_cap : 256;
        struct scope_target *more = realloc(s->targets, cap * sizeof *more);
        if (!more)
            return wrong(r, ERR_NOMEM, "out of memory");
        s->targets = more;
        r->targets_cap = cap;
    }
    struct scope_target *t = &s->targets[s->target_count++];
    *t = (struct scope_target){.port = port, .line = (uint32_t)(s->line_count - 1)};
    print_ip(ip, t->address);
    s->outside |= !is_loopback(ip);
    return 0;
}

static int add_ports(struct reading *r, const struct ip *ip, const uint16_t *ports, size_t count) {
    int rc = 0;
    for (size_t i = 0; !rc && i < count; i++)
        rc = add_target(r, ip, ports[i]);
    return rc;
}

/* ---- a line ---- */

static char *trim(char *s) {
    while (isspace((unsigned char)*s))
        s++;
    size_t n = strlen(s);
    while (n && isspace((unsigned char)s[n - 1]))
        s[--n] = 0;
    return s;
}

static bool parse_port(const char *s, char **end, unsigned *ret) {
    unsigned long v = isdigit((unsigned char)*s) ? strtoul(s, end, 10) : 0;
    *ret = (unsigned)v;
    return v >= 1 && v <= 65535;
}

/* "6379, 8123 9000-9010"; nothing gives the ports of the known services. */
static int parse_ports(struct reading *r, char *text, uint16_t *ports, size_t *ret_count) {
    size_t n = 0;
    for (char *save = NULL, *word = strtok_r(text, ", \t", &save); word;
         word = strtok_r(NULL, ", \t", &save)) {
        unsigned from, to;
        char *end;
        if (!parse_port(word, &end, &from))
            return wrong(r, ERR_SYNTAX, "\"%.20s\" is no port; write 6379, or 9000-9010", word);
        to = from;
        if (*end == '-' && !parse_port(end + 1, &end, &to))
            return wrong(r, ERR_SYNTAX, "\"%.20s\" is no range of ports", word);
        if (*end || to < from || n + (to - from) >= PORTS_MAX)
            return wrong(r, ERR_SYNTAX, "\"%.20s\" is no range of ports", word);
        for (unsigned p = from; p <= to; p++)
            ports[n++] = (uint16_t)p;
    }
    if (!n) {
        n = AUDIT_PORT_COUNT;
        memcpy(ports, audit_ports, sizeof audit_ports);
    }
    *ret_count = n;
    return 0;
}

static bool take_word(char **rest, char *out, size_t size) {
    char *word = strsep(rest, ",");
    if (!word)
        return false;
    word = trim(word);
    size_t n = strlen(word);
    if (!n || n >= size)
        return false;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)word[i] < 0x20 || word[i] == 0x7f)
            return false;
    memcpy(out, word, n + 1);
    return true;
}

/* "owner, ticket, 2027-01-31"; NULL: there is none. */
static int parse_terms(struct reading *r, char *terms, struct scope_line *l) {
    if (!terms)
        return 0;
    struct tm day = {0};
    if (!take_word(&terms, l->owner, sizeof l->owner) ||
        !take_word(&terms, l->ticket, sizeof l->ticket) ||
        !take_word(&terms, l->until, sizeof l->until) || terms)
        return wrong(r, ERR_SYNTAX,
                     "after # stand owner, ticket and last day: # data team, SEC-12, 2027-01-31");
    const char *end = strptime(l->until, "%Y-%m-%d", &day);
    if (!end || *end)
        return wrong(r, ERR_SYNTAX, "\"%s\" is no day; write it as 2027-01-31", l->until);
    if (r->now >= timegm(&day) + 86400)
        return wrong(r, ERR_DENIED, "its last day was %s; ask the owner (%s) for a new one",
                     l->until, l->owner);
    return 0;
}

static int check_terms(struct reading *r, const struct scope_line *l, const struct ip *ip) {
    if (is_loopback(ip) || l->owner[0])
        return 0;
    return wrong(r, ERR_SYNTAX,
                 "%s is not loopback, so owner, ticket and last day must stand there: # data team, "
                 "SEC-12, 2027-01-31",
                 l->name);
}

static int add_network(struct reading *r, const struct scope_line *l, struct ip ip, unsigned bits,
                       unsigned family_bits, const uint16_t *ports, size_t count) {
    unsigned least = family_bits == 32 ? SCOPE_PREFIX_MIN4 : SCOPE_PREFIX_MIN6;
    if (bits < least)
        return wrong(r, ERR_DENIED, "%s is wider than /%u; list smaller networks", l->name, least);
    unsigned host = family_bits - bits;
    for (unsigned i = 0; i < host; i++) /* the network's own address comes first */
        ip.b[15 - i / 8] &= (uint8_t) ~(1u << (i % 8));
    int rc = check_terms(r, l, &ip);
    for (uint64_t n = 0; !rc && n < (1ull << host); n++) {
        /* neither the network's address nor the broadcast address is a host */
        if (!(family_bits == 32 && host > 1 && (n == 0 || n == (1ull << host) - 1)))
            rc = add_ports(r, &ip, ports, count);
        next_ip(&ip);
    }
    return rc;
}

static int add_name(struct reading *r, const struct scope_line *l, const uint16_t *ports,
                    size_t count) {
    char found[ADDRESSES_OF_NAME][46];
    size_t n = r->resolve(l->name, found, ADDRESSES_OF_NAME);
    if (!n)
        return wrong(r, ERR_NOTFOUND, "the name %s has no address", l->name);
    int rc = 0;
    for (size_t i = 0; !rc && i < n; i++) {
        struct ip ip;
        unsigned bits;
        if (!parse_ip(found[i], &ip, &bits))
            continue;
        rc = check_terms(r, l, &ip);
        if (!rc)
            rc = add_ports(r, &ip, ports, count);
    }
    return rc;
}

/* Takes "address[/bits]" apart. 1: it is one, 0: it is a name, or a negative code. */
static int parse_network(struct reading *r, char *host, struct ip *ip, unsigned *ret_bits,
                         unsigned *ret_family) {
    char *slash = strchr(host, '/'), *end;
    if (slash)
        *slash = 0;
    bool numeric = parse_ip(host, ip, ret_family);
    *ret_bits = *ret_family;
    if (slash && !numeric)
        return wrong(r, ERR_SYNTAX, "%.60s before / is no address", host);
    if (slash) {
        unsigned long bits = strtoul(slash + 1, &end, 10);
        if (!isdigit((unsigned char)slash[1]) || *end || bits > *ret_family)
            return wrong(r, ERR_SYNTAX, "\"/%.20s\" is no prefix length", slash + 1);
        *ret_bits = (unsigned)bits;
        *slash = '/';
    }
    return numeric;
}

static bool is_name(const char *s) {
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_");
    return n > 0 && !s[n] && s[strspn(s, "0123456789.")] != 0;
}

static int exclude(struct reading *r, const struct ip *ip, unsigned bits, unsigned family,
                   const uint16_t *ports, size_t count) {
    bool all = count == 0;
    for (size_t i = 0; i < (all ? 1 : count); i++) {
        struct exclusion *more = realloc(r->out, (r->out_count + 1) * sizeof *more);
        if (!more)
            return wrong(r, ERR_NOMEM, "out of memory");
        r->out = more;
        r->out[r->out_count++] = (struct exclusion){
            .ip = *ip, .bits = bits + (128 - family), .port = all ? 0 : ports[i]};
    }
    return 0;
}

static int read_line(struct reading *r, char *line, bool exclusions, uint16_t *ports) {
    char *terms = strchr(line, '#');
    if (terms)
        *terms++ = 0;
    line = trim(line);
    if (!*line)
        return 0;
    bool out = *line == '!';
    if (out != exclusions)
        return 0;
    char *host = trim(line + out), *rest = host + strcspn(host, " \t,");
    if (*rest)
        *rest++ = 0;
    if (strlen(host) >= sizeof r->scope->lines->name)
        return wrong(r, ERR_SYNTAX, "the name is too long");

    struct ip ip = {{0}};
    unsigned bits, family;
    int numeric = parse_network(r, host, &ip, &bits, &family);
    if (numeric < 0)
        return numeric;
    if (!numeric && (!is_name(host) || out))
        return wrong(r, ERR_SYNTAX, "\"%.60s\" is no address%s", host,
                     out ? "; exclusions are by address or network" : ", network or name");
    size_t count = 0;
    bool listed = trim(rest)[0] != 0;
    int rc = listed || !out ? parse_ports(r, rest, ports, &count) : 0;
    if (rc)
        return rc;
    if (out)
        return exclude(r, &ip, bits, family, ports, count);

    struct scope_line *lines = realloc(r->scope->lines, (r->scope->line_count + 1) * sizeof *lines);
    if (!lines)
        return wrong(r, ERR_NOMEM, "out of memory");
    r->scope->lines = lines;
    struct scope_line *l = &lines[r->scope->line_count++];
    *l = (struct scope_line){.number = r->number};
    memcpy(l->name, host, strlen(host) + 1);
    rc = parse_terms(r, terms, l);
    if (rc)
        return rc;
    return numeric ? add_network(r, l, ip, bits, family, ports, count)
                   : add_name(r, l, ports, count);
}

/* Exclusions count wherever they stand, so they are read first. */
static int read_lines(struct reading *r, const char *text, bool exclusions, uint16_t *ports) {
    char *copy = strdup(text), *rest = copy;
    int rc = copy ? 0 : ERR_NOMEM;
    r->number = 0;
    for (char *line; !rc && (line = strsep(&rest, "\n"));) {
        r->number++;
        rc = read_line(r, line, exclusions, ports);
    }
    free(copy);
    return rc;
}

static int by_place(const void *a, const void *b) {
    const struct scope_target *x = a, *y = b;
    int c = strcmp(x->address, y->address);
    return c ? c : (x->port > y->port) - (x->port < y->port);
}

static void once_each(struct scope *s) {
    if (!s->target_count)
        return;
    qsort(s->targets, s->target_count, sizeof *s->targets, by_place);
    size_t kept = 1;
    for (size_t i = 1; i < s->target_count; i++)
        if (by_place(&s->targets[kept - 1], &s->targets[i]) != 0)
            s->targets[kept++] = s->targets[i];
    s->target_count = kept;
}

int scope_read(struct scope *ret, const char *text, size_t len, time_t now, size_t targets_max,
               scope_resolver *resolve, char why[static SCOPE_WHY]) {
    *ret = (struct scope){0};
    struct reading r = {
        .scope = ret, .resolve = resolve, .now = now, .targets_max = targets_max, .why = why};
    why[0] = 0;
    if (len > SCOPE_FILE_MAX || memchr(text, 0, len)) {
        snprintf(why, SCOPE_WHY, "this is no scope file");
        return ERR_SYNTAX;
    }
    char *whole = strndup(text, len);
    uint16_t *ports = malloc(PORTS_MAX * sizeof *ports);
    int rc = whole && ports ? 0 : ERR_NOMEM;
    if (!rc)
        rc = read_lines(&r, whole, true, ports);
    if (!rc)
        rc = read_lines(&r, whole, false, ports);
    if (!rc && !ret->target_count) {
        snprintf(why, SCOPE_WHY,
                 "there is nothing in it to probe; write lines such as: 127.0.0.1 8123, 9000");
        rc = ERR_SYNTAX;
    }
    free(ports);
    free(whole);
    free(r.out);
    if (rc)
        scope_done(ret);
    else
        once_each(ret);
    return rc;
}

void scope_done(struct scope *s) {
    free(s->lines);
    free(s->targets);
    *s = (struct scope){0};
}

size_t scope_resolve(const char *name, char (*out)[46], size_t max) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    size_t n = 0;
    if (getaddrinfo(name, NULL, &hints, &list))
        return 0;
    for (struct addrinfo *a = list; a && n < max; a = a->ai_next)
        if (getnameinfo(a->ai_addr, a->ai_addrlen, out[n], 46, NULL, 0, NI_NUMERICHOST) == 0)
            n++;
    freeaddrinfo(list);
    return n;
}
