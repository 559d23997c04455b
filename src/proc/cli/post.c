/* POST by libcurl (post.h), in the command line's process alone: none that holds a key or a record
 * speaks HTTP. */
#include "proc/cli/post.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"

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

static CURLcode set(CURL *c, struct post *p, struct curl_slist *head) {
    CURLcode code = curl_easy_setopt(c, CURLOPT_URL, p->url);
    code = code ? code : curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    code = code ? code : curl_easy_setopt(c, CURLOPT_HTTPHEADER, head);
    code = code ? code : curl_easy_setopt(c, CURLOPT_POSTFIELDS, p->body);
    code = code ? code : curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE, (long)p->len);
    code = code ? code : curl_easy_setopt(c, CURLOPT_TIMEOUT, p->seconds);
    code = code ? code : curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    code = code ? code : curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take);
    return code ? code : curl_easy_setopt(c, CURLOPT_WRITEDATA, p);
}

int post_send(struct post *p) {
    char type[128];
    p->status = 0;
    p->why[0] = 0;
    CURL *c = curl_global_init(CURL_GLOBAL_DEFAULT) ? NULL : curl_easy_init();
    if (!c)
        return ERR_NOMEM;
    snprintf(type, sizeof type, "Content-Type: %s", p->type);
    struct curl_slist *head = curl_slist_append(NULL, type);
    CURLcode code = head ? set(c, p, head) : CURLE_OUT_OF_MEMORY;
    code = code ? code : curl_easy_perform(c);
    code = code ? code : curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &p->status);
    if (code)
        snprintf(p->why, sizeof p->why, "%s", curl_easy_strerror(code));
    curl_slist_free_all(head);
    curl_easy_cleanup(c);
    curl_global_cleanup();
    return translate(code, p);
}
