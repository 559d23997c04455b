/* POST by libcurl (post.h), in the command line's process alone: none that holds a key or a record
 * speaks HTTP. The library is loaded here and not at every start: with the thirty that it brings it
 * would be more than half of what a command takes. */
#include "proc/cli/post.h"

#include <curl/curl.h>
#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"

#define LIBRARY "libcurl.so.4"

struct curl {
    void *library;
    __typeof__(&curl_global_init) global_init;
    __typeof__(&curl_global_cleanup) global_cleanup;
    __typeof__(&curl_easy_init) init;
    __typeof__(&curl_easy_cleanup) cleanup;
    CURLcode (*setopt)(CURL *, CURLoption, ...);
    CURLcode (*getinfo)(CURL *, CURLINFO, ...);
    __typeof__(&curl_easy_perform) perform;
    __typeof__(&curl_easy_strerror) strerror;
    __typeof__(&curl_slist_append) append;
    __typeof__(&curl_slist_free_all) free_all;
};

static bool load(struct curl *l) {
    const struct {
        const char *name;
        void *to;
    } symbols[] = {
        {"curl_global_init", &l->global_init}, {"curl_global_cleanup", &l->global_cleanup},
        {"curl_easy_init", &l->init},          {"curl_easy_cleanup", &l->cleanup},
        {"curl_easy_setopt", &l->setopt},      {"curl_easy_getinfo", &l->getinfo},
        {"curl_easy_perform", &l->perform},    {"curl_easy_strerror", &l->strerror},
        {"curl_slist_append", &l->append},     {"curl_slist_free_all", &l->free_all},
    };
    l->library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    for (size_t i = 0; l->library && i < sizeof symbols / sizeof symbols[0]; i++) {
        void *at = dlsym(l->library, symbols[i].name);
        if (!at)
            return false;
        memcpy(symbols[i].to, &at, sizeof at);
    }
    return l->library != NULL;
}

static size_t take(char *p, size_t size, size_t n, void *arg) {
    struct post *post = arg;
    return buf_append(&post->answer, p, size * n) ? 0 : size * n;
}

static int translate(CURLcode code, const struct post *p) {
    switch (code) {
    case CURLE_OK:
        return 0;
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
        return ERR_USAGE;
    case CURLE_WRITE_ERROR:
        return p->answer.len ? ERR_LIMIT : ERR_NOMEM;
    default:
        return ERR_PEER;
    }
}

static CURLcode set(const struct curl *l, CURL *c, struct post *p, struct curl_slist *head) {
    CURLcode code = l->setopt(c, CURLOPT_URL, p->url);
    code = code ? code : l->setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    code = code ? code : l->setopt(c, CURLOPT_HTTPHEADER, head);
    code = code ? code : l->setopt(c, CURLOPT_POSTFIELDS, p->body);
    code = code ? code : l->setopt(c, CURLOPT_POSTFIELDSIZE, (long)p->len);
    code = code ? code : l->setopt(c, CURLOPT_TIMEOUT, p->seconds);
    code = code ? code : l->setopt(c, CURLOPT_NOSIGNAL, 1L);
    code = code ? code : l->setopt(c, CURLOPT_WRITEFUNCTION, &take);
    return code ? code : l->setopt(c, CURLOPT_WRITEDATA, p);
}

static int send_with(const struct curl *l, struct post *p) {
    char type[128];
    CURL *c = l->global_init(CURL_GLOBAL_DEFAULT) ? NULL : l->init();
    if (!c)
        return ERR_NOMEM;
    snprintf(type, sizeof type, "Content-Type: %s", p->type);
    struct curl_slist *head = l->append(NULL, type);
    CURLcode code = head ? set(l, c, p, head) : CURLE_OUT_OF_MEMORY;
    code = code ? code : l->perform(c);
    code = code ? code : l->getinfo(c, CURLINFO_RESPONSE_CODE, &p->status);
    if (code)
        snprintf(p->why, sizeof p->why, "%s", l->strerror(code));
    l->free_all(head);
    l->cleanup(c);
    l->global_cleanup();
    return translate(code, p);
}

/* The library stays: it leaves things of its own behind that cannot be unloaded. */
int post_send(struct post *p) {
    struct curl l = {0};
    p->status = 0;
    p->why[0] = 0;
    if (load(&l))
        return send_with(&l, p);
    snprintf(p->why, sizeof p->why, LIBRARY " cannot be loaded: install libcurl4");
    return ERR_PEER;
}

bool post_json(const char *url, const void *json, size_t len) {
    struct post p = {.url = url,
                     .type = "application/json",
                     .body = json,
                     .len = len,
                     .seconds = POST_JSON_SECONDS};
    buf_init(&p.answer, POST_ANSWER_MAX);
    const bool taken = post_send(&p) == 0 && p.status >= 200 && p.status < 300;
    buf_wipe(&p.answer);
    return taken;
}
