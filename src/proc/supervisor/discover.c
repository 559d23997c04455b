/*
 * Looks for a model server on loopback (upstream.h). It runs in a child process of its own that
 * lives for this, as another user when root started it: what it reads from strangers ends with it,
 * and only its exit code comes back.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <jansson.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "proc/supervisor/spawn.h"
#include "proc/supervisor/upstream.h"

#define ANSWER_MAX (256u << 10)
#define ANSWER_MS 700 /* from connecting to the last byte */

static const struct {
    in_port_t port;
    const char *url, *name, *chosen;
} servers[] = {
    {11434, "http://127.0.0.1:11434", "ollama", "found on loopback: Ollama's port"},
    {8000, "http://127.0.0.1:8000", "vllm", "found on loopback: vLLM's port"},
    {8080, "http://127.0.0.1:8080", "llama.cpp", "found on loopback: llama.cpp's port"},
};
#define SERVERS (sizeof servers / sizeof servers[0])

bool upstream_is_model_list(const char *answer, size_t len) {
    static const char end_of_head[] = "\r\n\r\n";
    if (len < 13 || memcmp(answer, "HTTP/1.", 7) != 0 || memcmp(answer + 8, " 200", 4) != 0)
        return false;
    const char *body = memmem(answer, len, end_of_head, 4);
    if (!body)
        return false;
    body += 4;
    json_t *root = json_loadb(body, len - (size_t)(body - answer), 0, NULL), *model;
    json_t *data = json_object_get(root, "data"); /* NULL-safe, and NULL for what is no object */
    bool ok = json_is_array(data);
    size_t i;
    json_array_foreach(data, i, model) ok = ok && json_is_object(model);
    json_decref(root);
    return ok;
}

static bool wait_for(int fd, short events, uint64_t end_ns) {
    uint64_t now = clock_mono_ns();
    struct pollfd p = {.fd = fd, .events = events};
    return now < end_ns && poll(&p, 1, (int)((end_ns - now) / 1000000) + 1) > 0;
}

/* Reads up to ANSWER_MAX bytes until the other end closes; their number, or 0. */
static size_t read_answer(int fd, char *answer, uint64_t end_ns) {
    size_t n = 0;
    while (n < ANSWER_MAX && wait_for(fd, POLLIN, end_ns)) {
        ssize_t got = read(fd, answer + n, ANSWER_MAX - n);
        if (got == 0)
            return n;
        if (got < 0 && errno != EAGAIN && errno != EINTR)
            return 0;
        if (got > 0)
            n += (size_t)got;
    }
    return 0; /* too long or too slow: not what is looked for */
}

static bool ask(in_port_t port) {
    static char answer[ANSWER_MAX];
    char request[128];
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    uint64_t end_ns = clock_mono_ns() + ANSWER_MS * 1000000ull;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), error = 0;
    socklen_t len = sizeof error;
    /* HTTP/1.0: no chunks, and the end of the answer is the end of the connection. */
    int n = snprintf(request, sizeof request,
                     "GET /v1/models HTTP/1.0\r\nHost: 127.0.0.1:%u\r\nConnection: close\r\n\r\n",
                     port);
    if (fd < 0 || (connect(fd, (struct sockaddr *)&a, sizeof a) && errno != EINPROGRESS))
        return false;
    return wait_for(fd, POLLOUT, end_ns) &&
           getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error == 0 &&
           write(fd, request, (size_t)n) == n &&
           upstream_is_model_list(answer, read_answer(fd, answer, end_ns));
}

bool upstream_discover(unsigned own_port, unsigned uid, const char **ret_url, const char **ret_name,
                       const char **ret_chosen) {
    int status = 0;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        if (geteuid() == 0 && spawn_become(uid))
            _exit(0);
        for (size_t i = 0; i < SERVERS; i++)
            if (servers[i].port != own_port && ask(servers[i].port))
                _exit((int)i + 1);
        _exit(0);
    }
    if (pid < 0)
        return false;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    size_t found = WIFEXITED(status) ? (size_t)WEXITSTATUS(status) : 0;
    if (found < 1 || found > SERVERS)
        return false;
    *ret_url = servers[found - 1].url;
    *ret_name = servers[found - 1].name;
    *ret_chosen = servers[found - 1].chosen;
    return true;
}
