/*
 * bench-upstream: a mock of a model server, for the gateway benchmark. It invents every answer: the
 * same 1 kB completion, or the same event of about 200 bytes at a fixed pace. It must cost little
 * and keep its pace, so that what is measured is the gateway in front of it.
 *
 * Prints "port N" once it listens, and serves until it is ended. One process, one epoll set.
 * A connection goes READING -> (answer sent) -> READING, or READING -> STREAMING -> READING; a
 * client that pipelines is cut off. Streams wait in one list ordered by their next event's time:
 * all have the same interval, so a stream belongs at the tail, or very near it. With --hold yes a
 * stream does not end after its last event, but says nothing more until the client leaves.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http.h"
#include "net.h"

#define CONNECTIONS_MAX 12000
#define EVENT_ROUND 512

static const char STREAM_HEAD[] = "HTTP/1.1 200 OK\r\n"
                                  "Content-Type: text/event-stream; charset=utf-8\r\n"
                                  "Cache-Control: no-cache\r\n"
                                  "Transfer-Encoding: chunked\r\n\r\n";
static const char STREAM_END[] = "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n";
static const char NOT_FOUND[] = "HTTP/1.1 404 Not Found\r\n"
                                "Content-Type: application/json\r\n"
                                "Content-Length: 49\r\n\r\n"
                                "{\"error\":{\"message\":\"the mock has no such path\"}}";

struct text {
    char p[2048];
    size_t len;
};

struct conn {
    int fd;
    bool streaming, want_write, found, wants_stream, closes;
    unsigned match;  /* bytes of "stream": seen, see scan_body */
    unsigned events; /* still to send */
    unsigned owed;   /* events whose time came while the client did not read */
    bool end_owed;
    const char *out; /* the rest of what could not be sent: always one of the constant texts */
    size_t out_len;
    uint64_t due;
    struct conn *before, *after;
    struct http in;
};

static struct text answer, event;
static unsigned events_max = 100;
static bool hold;
static uint64_t interval_ns = 50 * 1000000ull;
static int epfd;
static struct conn *first, *last;
static unsigned connections;

static void make_texts(void) {
    static const char said[] =
        "This sentence comes from a mock that answers everything with the same words, so that a "
        "benchmark of what stands before it measures nothing else. ";
    char body[1536];
    int len = snprintf(body, sizeof body,
                       "{\"id\":\"chatcmpl-mock0000000000000000000001\",\"object\":"
                       "\"chat.completion\",\"created\":1767225600,\"model\":\"mock-model\","
                       "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":"
                       "\"%s%s%s%s%s\"},\"logprobs\":null,\"finish_reason\":\"stop\"}],"
                       "\"usage\":{\"prompt_tokens\":450,\"completion_tokens\":140,"
                       "\"total_tokens\":590}}",
                       said, said, said, said, said);
    answer.len = (size_t)snprintf(answer.p, sizeof answer.p,
                                  "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                                  "Content-Length: %d\r\n\r\n%s",
                                  len, body);
    len = snprintf(body, sizeof body,
                   "data: {\"id\":\"chatcmpl-mock0000000000000000000001\",\"object\":"
                   "\"chat.completion.chunk\",\"created\":1767225600,\"model\":\"mock-model\","
                   "\"choices\":[{\"index\":0,\"delta\":{\"content\":\" words\"},"
                   "\"finish_reason\":null}]}\n\n");
    event.len = (size_t)snprintf(event.p, sizeof event.p, "%x\r\n%s\r\n", (unsigned)len, body);
}

static void queue_remove(struct conn *c) {
    *(c->before ? &c->before->after : &first) = c->after;
    *(c->after ? &c->after->before : &last) = c->before;
    c->before = c->after = NULL;
}

static void queue_add(struct conn *c) {
    struct conn *at = last;
    while (at && at->due > c->due)
        at = at->before;
    c->before = at;
    c->after = at ? at->after : first;
    *(c->after ? &c->after->before : &last) = c;
    *(at ? &at->after : &first) = c;
}

static void conn_close(struct conn *c) {
    if (c->streaming)
        queue_remove(c);
    close(c->fd);
    connections--;
    free(c);
}

static void watch(struct conn *c, bool write) {
    if (c->want_write == write)
        return;
    struct epoll_event ev = {.events = EPOLLIN | (write ? EPOLLOUT : 0u), .data.ptr = c};
    if (epoll_ctl(epfd, EPOLL_CTL_MOD, c->fd, &ev))
        net_die("epoll_ctl");
    c->want_write = write;
}

/* Sends a constant text, or remembers its rest. False: the connection is gone. */
static bool put(struct conn *c, const char *p, size_t len) {
    ssize_t n = send(c->fd, p, len, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN)
        return false;
    size_t sent = n < 0 ? 0 : (size_t)n;
    c->out = sent < len ? p + sent : NULL;
    c->out_len = len - sent;
    watch(c, c->out != NULL);
    return true;
}

static bool is_idle(const struct conn *c) {
    return !c->streaming && !c->out && !c->owed && !c->end_owed;
}

/* What is owed once the socket takes bytes again, in order. False: the connection is to end. */
static bool put_owed(struct conn *c) {
    if (c->out && !put(c, c->out, c->out_len))
        return false;
    while (!c->out && c->owed > 0) {
        c->owed--;
        if (!put(c, event.p, event.len))
            return false;
    }
    if (!c->out && c->end_owed) {
        c->end_owed = false;
        if (!put(c, STREAM_END, sizeof STREAM_END - 1))
            return false;
    }
    return !(c->closes && is_idle(c));
}

/* One event's time has come; false: the connection is gone. */
static bool tick(struct conn *c, uint64_t now) {
    queue_remove(c);
    c->owed++;
    if (--c->events == 0) {
        c->streaming = false;
        c->end_owed = !hold;
    } else {
        c->due += interval_ns;
        if (c->due < now) /* too late for a whole interval: do not send a burst to catch up */
            c->due = now;
        queue_add(c);
    }
    return c->out ? true : put_owed(c);
}

/*
 * Finds "stream": true in a body that comes in any pieces. Within a JSON string the name's quotes
 * are escaped, so a text that quotes a request does not match.
 */
static void scan_body(struct conn *c, const char *p, size_t len) {
    static const char want[] = "\"stream\":true";
    const char *end = p + len;
    while (p < end && !c->wants_stream) {
        if (c->match == 0 && !(p = memchr(p, '"', (size_t)(end - p))))
            return;
        char ch = *p++;
        if (ch == want[c->match])
            c->wants_stream = ++c->match == sizeof want - 1;
        else if (c->match < 8 || c->match > 9 || (ch != ' ' && ch != '\t' && ch != '\n'))
            c->match = ch == '"';
    }
}

static bool respond(struct conn *c, uint64_t now) {
    bool stream = c->found && c->wants_stream;
    http_begin(&c->in, HTTP_REQUEST);
    c->match = 0;
    c->wants_stream = false;
    if (!c->found)
        return put(c, NOT_FOUND, sizeof NOT_FOUND - 1);
    if (!stream)
        return put(c, answer.p, answer.len);
    c->streaming = true;
    c->events = events_max;
    c->due = now + interval_ns;
    queue_add(c);
    return put(c, STREAM_HEAD, sizeof STREAM_HEAD - 1);
}

/* False: close the connection. */
static bool take(struct conn *c, const char *p, size_t len, uint64_t now) {
    struct http_slice body;
    if (!is_idle(c))
        return false;
    for (;;) {
        switch (http_feed(&c->in, &p, &len, &body)) {
        case HTTP_MORE:
            return true;
        case HTTP_HEAD:
            c->found = strncmp(c->in.head, "POST /v1/chat/completions ", 26) == 0;
            break;
        case HTTP_BODY:
            scan_body(c, body.p, body.len);
            break;
        case HTTP_DONE:
            c->closes = c->in.close;
            return len == 0 && respond(c, now) && !(c->closes && is_idle(c));
        default:
            return false;
        }
    }
}

static void on_ready(struct conn *c, uint32_t events, uint64_t now) {
    static char buf[65536];
    if ((events & EPOLLOUT) && !put_owed(c)) {
        conn_close(c);
        return;
    }
    if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        return;
    ssize_t n = recv(c->fd, buf, sizeof buf, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0 || !take(c, buf, (size_t)n, now))
        conn_close(c);
}

static void on_accept(int listener) {
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EAGAIN || errno == ECONNABORTED || errno == EINTR)
                return;
            net_die("accept4");
        }
        struct conn *c = connections < CONNECTIONS_MAX ? calloc(1, sizeof *c) : NULL;
        if (!c) {
            close(fd);
            continue;
        }
        connections++;
        c->fd = fd;
        http_begin(&c->in, HTTP_REQUEST);
        net_nodelay(fd);
        struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
        if (epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev))
            net_die("epoll_ctl");
    }
}

static void serve(int listener) {
    struct epoll_event events[EVENT_ROUND];
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(epfd, EPOLL_CTL_ADD, listener, &ev))
        net_die("epoll_ctl");
    for (;;) {
        int n = net_wait(epfd, events, EVENT_ROUND, first ? first->due : UINT64_MAX);
        uint64_t now = net_now();
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr)
                on_ready(events[i].data.ptr, events[i].events, now);
            else
                on_accept(listener);
        }
        while (first && first->due <= now) {
            struct conn *c = first;
            if (!tick(c, now))
                conn_close(c);
        }
    }
}

int main(int argc, char **argv) {
    const char *address = "127.0.0.1:0";
    for (int i = 1; i < argc; i += 2) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (value && strcmp(argv[i], "--listen") == 0)
            address = value;
        else if (value && strcmp(argv[i], "--events") == 0)
            events_max = (unsigned)net_number(argv[i], value, 1000000);
        else if (value && strcmp(argv[i], "--interval-ms") == 0)
            interval_ns = net_number(argv[i], value, 60000) * 1000000;
        else if (value && strcmp(argv[i], "--hold") == 0)
            hold = strcmp(value, "yes") == 0;
        else {
            fprintf(stderr,
                    "usage: %s [--listen ADDRESS:PORT] [--events N] [--interval-ms M] "
                    "[--hold yes|no]\n"
                    "A mock of a model server, for benchmarks. Prints its port.\n",
                    argv[0]);
            return 2;
        }
    }
    if (events_max == 0)
        events_max = 1;
    unsigned port;
    net_need_fds(CONNECTIONS_MAX + 16);
    make_texts();
    epfd = epoll_create1(EPOLL_CLOEXEC);
    int listener = net_listen(address, &port);
    if (epfd < 0)
        net_die("epoll_create1");
    printf("port %u\n", port);
    fflush(stdout);
    serve(listener);
}
