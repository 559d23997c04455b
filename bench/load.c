/*
 * bench-load: the client of the gateway benchmark. One process, one epoll set, loopback only.
 *
 * unary: R requests after W for warming up, over C keep-alive connections with one request at a
 * time each; begun evenly at --rate a second, or (rate 0) as soon as a connection is idle. Latency
 * is from the request's first byte to the answer's last.
 *
 * stream: S streams, started evenly over the ramp. The window is T ms from when each has had an
 * event, and streams that end start again; with T = 0 it lasts until all have ended. With --hold N
 * it is over once each stream has had N events; then they stay open until standard input ends.
 *
 * Processor time of the processes under test is read here, at both ends of the same window in which
 * requests and events are counted. Each request's text is its own (a number in front), as a log
 * that recognises a text it has seen would otherwise be measured too kindly. Prints a line of JSON.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http.h"
#include "net.h"

#define HEADERS_MAX 8
#define GROUPS_MAX 8
#define PIDS_MAX 32
#define CLIENTS_MAX 12000
#define BODY_MIN 256
#define BODY_MAX (32u << 20)
#define DONE_TEXT "data: [DONE]\n\n"
#define DONE_LEN (sizeof DONE_TEXT - 1)

struct client {
    int fd; /* -1: no connection */
    bool streamed, begun, dead;
    bool reused; /* a request before this one was answered on the connection */
    bool want_write;
    uint64_t events; /* of the stream under way; only with --hold */
    char *request;   /* request_len bytes; the number in it is this request's own */
    size_t sent;
    uint64_t started;
    char tail[DONE_LEN];
    struct http in;
};

struct group {
    const char *name;
    int pids[PIDS_MAX];
    unsigned count;
    uint64_t from, to;
};

static struct {
    bool stream;
    unsigned port, clients;
    const char *path;
    const char *headers[HEADERS_MAX];
    unsigned header_count;
    uint64_t requests, warmup, rate, ramp_ns, window_ns, patience_ns, hold;
    size_t body;
    const char *text; /* at the end of each request's; "" = nothing of its own */
} opt = {.clients = 1,
         .path = "/v1/chat/completions",
         .requests = 1000,
         .ramp_ns = NET_NS,
         .patience_ns = 10 * NET_NS,
         .body = 2048,
         .text = ""};

static struct group groups[GROUPS_MAX];
static unsigned group_count;

static int epfd;
static struct client *clients;
static char *template;
static size_t request_len, number_at;
static uint64_t number; /* of the last request begun */

static struct {
    uint64_t finished, errors, reconnects, done, events, events_from, progress;
    uint64_t begin, from, to;
    unsigned begun, dead, held;
    int last_status; /* of the last answer that was no 200 */
    bool over;
    struct client **idle; /* a queue, in a circle of opt.clients places; only with a rate */
    unsigned idle_at, idle_count;
    uint64_t *latency;
    size_t latency_count;
} run;

/* ---- requests ---- */

static void make_template(void) {
    static const char *const words[] = {
        "model",   "answer", "river",   "number", "because", "window", "market",  "seven",
        "careful", "letter", "between", "green",  "system",  "people", "morning", "whether"};
    char head[HTTP_HEAD_MAX];
    int len = snprintf(head, sizeof head,
                       "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n"
                       "Content-Type: application/json\r\nContent-Length: %zu\r\n",
                       opt.path, opt.port, opt.body);
    for (unsigned i = 0; i < opt.header_count && len > 0 && (size_t)len < sizeof head; i++)
        len += snprintf(head + len, sizeof head - (size_t)len, "%s\r\n", opt.headers[i]);
    errno = 0;
    if (len < 0 || (size_t)len + 3 > sizeof head)
        net_die("the headers are too long");
    memcpy(head + len, "\r\n", 3);
    size_t head_len = (size_t)len + 2;
    static const char end[] = "\"}]}";
    request_len = head_len + opt.body;
    if (!(template = malloc(request_len + 1)))
        net_die("no memory");
    len = snprintf(template, request_len + 1,
                   "%s{\"model\":\"mock-model\",%s\"messages\":[{\"role\":\"user\",\"content\":\"",
                   head, opt.stream ? "\"stream\":true," : "");
    number_at = (size_t)len;
    char *p = template + len, *stop = template + request_len - (sizeof end - 1);
    for (uint64_t x = 88172645463325252ull; p < stop; x ^= x << 13, x ^= x >> 7, x ^= x << 17) {
        const char *w = words[x >> 60];
        while (*w && p < stop)
            *p++ = *w++;
        if (p < stop)
            *p++ = ' ';
    }
    size_t text_len = strlen(opt.text);
    if (text_len < (size_t)(stop - template) - number_at - 32)
        memcpy(stop - text_len, opt.text, text_len);
    memcpy(stop, end, sizeof end);
}

static void stamp(struct client *c) {
    static const char hex[] = "0123456789abcdef";
    uint64_t n = ++number ^ run.begin; /* differs between runs too */
    for (unsigned i = 0; i < 16; i++)
        c->request[number_at + i] = hex[n >> (60 - 4 * i) & 15];
    c->request[number_at + 16] = ' ';
}

static void drop(struct client *c) {
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
}

static void dial(struct client *c) {
    drop(c);
    c->fd = net_connect(opt.port);
    c->reused = false;
    c->want_write = true;
    struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
    if (epoll_ctl(epfd, EPOLL_CTL_ADD, c->fd, &ev))
        net_die("epoll_ctl");
}

/* Sends what is left of the request. False: the connection is gone. */
static bool push(struct client *c) {
    while (c->sent < request_len) {
        ssize_t n = send(c->fd, c->request + c->sent, request_len - c->sent, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            return false;
        if (n < 0)
            break;
        c->sent += (size_t)n;
    }
    bool write = c->sent < request_len;
    if (write != c->want_write) {
        struct epoll_event ev = {.events = EPOLLIN | (write ? EPOLLOUT : 0u), .data.ptr = c};
        if (epoll_ctl(epfd, EPOLL_CTL_MOD, c->fd, &ev))
            net_die("epoll_ctl");
        c->want_write = write;
    }
    return true;
}

static void begin_request(struct client *c) {
    stamp(c);
    c->sent = 0;
    c->events = 0;
    memset(c->tail, 0, sizeof c->tail);
    http_begin(&c->in, HTTP_RESPONSE);
    c->started = net_now();
    /* A connection that broke meanwhile shows itself as readable; the answer is judged there. */
    if (c->fd < 0)
        dial(c);
    else
        push(c);
}

/* ---- the window ---- */

static uint64_t group_cpu(const struct group *g) {
    uint64_t sum = 0;
    for (unsigned i = 0; i < g->count; i++)
        sum += net_cpu_ns(g->pids[i]);
    return sum;
}

static void window_open(void) {
    for (unsigned i = 0; i < group_count; i++)
        groups[i].from = group_cpu(&groups[i]);
    run.events_from = run.events;
    run.from = net_now();
}

static void window_close(void) {
    run.to = net_now();
    for (unsigned i = 0; i < group_count; i++)
        groups[i].to = group_cpu(&groups[i]);
    run.over = true;
}

/* ---- answers ---- */

static void add_idle(struct client *c) {
    run.idle[(run.idle_at + run.idle_count++) % opt.clients] = c;
}

static struct client *take_idle(void) {
    struct client *c = run.idle[run.idle_at];
    run.idle_at = (run.idle_at + 1) % opt.clients;
    run.idle_count--;
    return c;
}

static void finished_unary(struct client *c, bool ok) {
    if (ok && run.finished >= opt.warmup)
        run.latency[run.latency_count++] = net_now() - c->started;
    run.finished++;
    if (run.finished == opt.warmup)
        window_open();
    if (run.finished == opt.warmup + opt.requests)
        window_close();
    else if (opt.rate)
        add_idle(c);
    else if (number < opt.warmup + opt.requests)
        begin_request(c);
}

static void note_begun(struct client *c) {
    if (c->begun)
        return;
    c->begun = true;
    if (++run.begun == opt.clients && opt.window_ns)
        window_open();
}

static void note_held(struct client *c, uint64_t events) {
    bool was = c->events >= opt.hold;
    c->events += events;
    if (opt.hold && !was && c->events >= opt.hold && ++run.held == opt.clients)
        window_close();
}

static void finished_stream(struct client *c, bool ok) {
    if (ok) {
        run.done++;
        run.events--; /* the end mark is no event */
    }
    note_begun(c);
    if (ok && opt.window_ns) {
        begin_request(c);
        return;
    }
    drop(c);
    c->dead = true;
    if (++run.dead == opt.clients) {
        if (!run.from)
            window_open();
        window_close();
    }
}

/* The exchange is over. A failed one costs its connection, and is not tried again. */
static void finish(struct client *c, bool ok) {
    if (!ok) {
        run.errors++;
        if (c->in.status && c->in.status != 200)
            run.last_status = c->in.status;
    }
    if (!ok || c->in.close)
        drop(c);
    c->reused = true;
    run.progress = net_now();
    if (opt.stream)
        finished_stream(c, ok);
    else
        finished_unary(c, ok);
}

/* Counts events: an empty line ends one. The last bytes are kept, to know the end mark. */
static void take_events(struct client *c, const char *p, size_t len) {
    uint64_t before = run.events;
    char last = c->tail[DONE_LEN - 1];
    const char *end = p + len;
    for (const char *at = p; (at = memchr(at, '\n', (size_t)(end - at))); at++)
        run.events += (at == p ? last : at[-1]) == '\n';
    if (len >= DONE_LEN) {
        memcpy(c->tail, end - DONE_LEN, DONE_LEN);
    } else {
        memmove(c->tail, c->tail + len, DONE_LEN - len);
        memcpy(c->tail + DONE_LEN - len, p, len);
    }
    if (run.events == before)
        return;
    run.progress = net_now();
    note_begun(c);
    note_held(c, run.events - before);
}

static bool is_good(const struct client *c) {
    return c->in.status == 200 && c->sent == request_len &&
           (!opt.stream || memcmp(c->tail, DONE_TEXT, DONE_LEN) == 0);
}

static void on_bytes(struct client *c, const char *p, size_t len) {
    struct http_slice body;
    for (;;) {
        switch (http_feed(&c->in, &p, &len, &body)) {
        case HTTP_MORE:
            return;
        case HTTP_HEAD:
            break;
        case HTTP_BODY:
            if (opt.stream && c->in.status == 200)
                take_events(c, body.p, body.len);
            break;
        case HTTP_DONE:
            finish(c, is_good(c) && len == 0); /* bytes after an answer belong to nothing */
            return;
        default:
            finish(c, false);
            return;
        }
    }
}

static void on_end(struct client *c) {
    if (c->reused && http_untouched(&c->in)) {
        /* The server let go of an idle connection just then: no error, send it anew. */
        run.reconnects++;
        c->sent = 0;
        dial(c);
        return;
    }
    c->in.close = true;
    finish(c, http_end_ok(&c->in) && is_good(c));
}

static void on_ready(struct client *c, uint32_t events) {
    static char buf[65536];
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        ssize_t n = recv(c->fd, buf, sizeof buf, 0);
        if (n > 0)
            on_bytes(c, buf, (size_t)n);
        else if (n == 0 || errno != EAGAIN)
            on_end(c);
    } else if ((events & EPOLLOUT) && !push(c)) {
        on_end(c);
    }
}

/* ---- the run ---- */

static void start_all(void) {
    clients = calloc(opt.clients, sizeof *clients);
    run.latency = calloc(opt.requests + 1, sizeof *run.latency);
    epfd = epoll_create1(EPOLL_CLOEXEC);
    run.idle = calloc(opt.clients, sizeof(struct client *));
    if (!clients || !run.latency || !run.idle || epfd < 0)
        net_die("start");
    for (unsigned i = 0; i < opt.clients; i++) {
        clients[i].fd = -1;
        if (!(clients[i].request = malloc(request_len)))
            net_die("no memory for the requests");
        memcpy(clients[i].request, template, request_len);
    }
    run.begin = run.progress = net_now();
}

/*
 * Begins what is due by now; returns when the next one is. Clients come from `fresh` on first, each
 * once; requests at a rate then take those that are idle.
 */
static uint64_t begin_due(unsigned *fresh, uint64_t now) {
    uint64_t total = opt.stream ? UINT64_MAX : opt.warmup + opt.requests;
    bool paced = !opt.stream && opt.rate;
    while ((*fresh < opt.clients || (paced && run.idle_count)) && number < total) {
        uint64_t at = run.begin;
        if (opt.stream)
            at += opt.ramp_ns * *fresh / opt.clients;
        else if (paced)
            at += number * NET_NS / opt.rate;
        if (at > now)
            return at;
        begin_request(*fresh < opt.clients ? &clients[(*fresh)++] : take_idle());
    }
    return UINT64_MAX;
}

static void go(void) {
    struct epoll_event events[256];
    unsigned fresh = 0;
    if (!(opt.stream ? opt.window_ns : opt.warmup))
        window_open();
    while (!run.over) {
        uint64_t now = net_now(), end = run.progress + opt.patience_ns;
        errno = 0;
        if (now > end)
            net_die("nothing came for %llu s", (unsigned long long)(opt.patience_ns / NET_NS));
        if (run.from && opt.stream && opt.window_ns) {
            uint64_t shut = run.from + opt.window_ns;
            if (now >= shut) {
                window_close();
                break;
            }
            end = shut < end ? shut : end;
        }
        uint64_t due = begin_due(&fresh, now);
        int n = net_wait(epfd, events, 256, due < end ? due : end);
        for (int i = 0; i < n && !run.over; i++)
            on_ready(events[i].data.ptr, events[i].events);
    }
}

/* The streams stay open, for somebody to look at the gateway meanwhile. */
static void hold(void) {
    char byte;
    fflush(stdout);
    while (read(STDIN_FILENO, &byte, 1) > 0)
        ;
}

/* ---- the report ---- */

static int by_size(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static double percentile_us(unsigned percent) {
    if (run.latency_count == 0)
        return 0;
    size_t at = (run.latency_count * percent + 99) / 100;
    return (double)run.latency[at ? at - 1 : 0] / 1000;
}

static void report(void) {
    printf("{\"mode\":\"%s\",\"clients\":%u,\"errors\":%llu,\"last_status\":%d,"
           "\"window_s\":%.6f,",
           opt.stream ? "stream" : "unary", opt.clients, (unsigned long long)run.errors,
           run.last_status, (double)(run.to - run.from) / 1e9);
    if (opt.stream) {
        printf("\"window_events\":%llu,\"total_events\":%llu,\"done\":%llu,",
               (unsigned long long)(run.events - run.events_from), (unsigned long long)run.events,
               (unsigned long long)run.done);
    } else {
        qsort(run.latency, run.latency_count, sizeof *run.latency, by_size);
        printf("\"window_requests\":%llu,\"total_requests\":%llu,\"reconnects\":%llu,"
               "\"p50_us\":%.1f,\"p99_us\":%.1f,",
               (unsigned long long)opt.requests, (unsigned long long)run.finished,
               (unsigned long long)run.reconnects, percentile_us(50), percentile_us(99));
    }
    printf("\"cpu\":{");
    for (unsigned i = 0; i < group_count; i++)
        printf("%s\"%s_ns\":%llu", i ? "," : "", groups[i].name,
               (unsigned long long)(groups[i].to - groups[i].from));
    printf("}}\n");
}

/* ---- the command line ---- */

static void read_watch(char *text) {
    struct group *g = &groups[group_count];
    char *list = strchr(text, '='), *save = NULL;
    errno = 0;
    if (!list || list == text || group_count == GROUPS_MAX)
        net_die("--watch takes NAME=PID,PID..., at most %d times", GROUPS_MAX);
    *list++ = 0;
    g->name = text;
    for (char *p = strtok_r(list, ",", &save); p; p = strtok_r(NULL, ",", &save)) {
        if (g->count == PIDS_MAX)
            net_die("--watch takes at most %d processes", PIDS_MAX);
        g->pids[g->count++] = (int)net_number("--watch", p, 1u << 30);
    }
    group_count++;
}

static bool read_option(const char *flag, char *value) {
    if (strcmp(flag, "--port") == 0)
        opt.port = (unsigned)net_number(flag, value, 65535);
    else if (strcmp(flag, "--path") == 0)
        opt.path = value;
    else if (strcmp(flag, "--header") == 0 && opt.header_count < HEADERS_MAX)
        opt.headers[opt.header_count++] = value;
    else if (strcmp(flag, opt.stream ? "--streams" : "--connections") == 0)
        opt.clients = (unsigned)net_number(flag, value, CLIENTS_MAX);
    else if (strcmp(flag, "--body") == 0)
        opt.body = net_number(flag, value, BODY_MAX);
    else if (strcmp(flag, "--text") == 0)
        opt.text = value;
    else if (strcmp(flag, "--requests") == 0 && !opt.stream)
        opt.requests = net_number(flag, value, 100000000);
    else if (strcmp(flag, "--warmup") == 0 && !opt.stream)
        opt.warmup = net_number(flag, value, 100000000);
    else if (strcmp(flag, "--rate") == 0 && !opt.stream)
        opt.rate = net_number(flag, value, 1000000);
    else if (strcmp(flag, "--ramp-ms") == 0 && opt.stream)
        opt.ramp_ns = net_number(flag, value, 600000) * 1000000;
    else if (strcmp(flag, "--window-ms") == 0 && opt.stream)
        opt.window_ns = net_number(flag, value, 3600000) * 1000000;
    else if (strcmp(flag, "--hold") == 0 && opt.stream)
        opt.hold = net_number(flag, value, 1000000);
    else if (strcmp(flag, "--patience-ms") == 0)
        opt.patience_ns = net_number(flag, value, 600000) * 1000000;
    else if (strcmp(flag, "--watch") == 0)
        read_watch(value);
    else
        return false;
    return true;
}

static int usage(const char *name) {
    fprintf(stderr,
            "usage: %s unary --port P [--connections C] [--requests R] [--warmup W] "
            "[--rate N]\n"
            "       %s stream --port P [--streams S] [--ramp-ms N] [--window-ms N] "
            "[--hold N]\n"
            "both:  [--path PATH] [--header 'NAME: VALUE'] [--body BYTES] [--watch NAME=PID,PID]\n"
            "       [--patience-ms N] [--text TEXT]\n",
            name, name);
    return 2;
}

int main(int argc, char **argv) {
    if (argc < 2 || (strcmp(argv[1], "unary") != 0 && strcmp(argv[1], "stream") != 0))
        return usage(argv[0]);
    opt.stream = strcmp(argv[1], "stream") == 0;
    for (int i = 2; i < argc; i += 2)
        if (i + 1 == argc || !read_option(argv[i], argv[i + 1]))
            return usage(argv[0]);
    if (!opt.port || !opt.clients || !opt.requests || opt.body < BODY_MIN)
        return usage(argv[0]);
    net_need_fds(opt.clients + 32ul);
    make_template();
    start_all();
    go();
    report();
    if (opt.hold)
        hold();
    return 0;
}
