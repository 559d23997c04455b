/* What is served under which path, and where a provider has it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/err.h"
#include "llm/dialect.h"

/* Method, path, dialect (NULL: refused with rc); paths at OpenAI, DeepSeek, Anthropic. */
struct row {
    enum dialect_method method;
    const char *path, *dialect;
    int rc;
    const char *at[3];
};

#define GET DIALECT_GET
#define POST DIALECT_POST

static const struct row table[] = {
    {POST, "/v1/chat/completions", "openai.chat", 0, {"/v1/chat/completions", "/chat/completions", NULL}},
    {POST, "/chat/completions", "openai.chat", 0, {"/v1/chat/completions", "/chat/completions", NULL}},
    {POST, "/beta/chat/completions", "openai.chat", 0, {NULL, "/beta/chat/completions", NULL}},
    {POST, "/beta/v1/chat/completions", "openai.chat", 0, {NULL, "/beta/chat/completions", NULL}},
    {POST, "/v1/completions", "openai.completions", 0, {"/v1/completions", "/beta/completions", NULL}},
    {POST, "/completions", "openai.completions", 0, {"/v1/completions", "/beta/completions", NULL}},
    {POST, "/beta/completions", "openai.completions", 0, {NULL, "/beta/completions", NULL}},
    {POST, "/v1/embeddings", "openai.embeddings", 0, {"/v1/embeddings", NULL, NULL}},
    {POST, "/embeddings", "openai.embeddings", 0, {"/v1/embeddings", NULL, NULL}},
    {POST, "/responses", "openai.responses", 0, {"/v1/responses", NULL, NULL}},
    {POST, "/images/edits", "openai.images", 0, {"/v1/images/edits", NULL, NULL}},
    {POST, "/v1/responses", "openai.responses", 0, {"/v1/responses", NULL, NULL}},
    {GET, "/v1/models", "openai.models", 0, {"/v1/models", "/models", NULL}},
    {GET, "/models", "openai.models", 0, {"/v1/models", "/models", NULL}},
    {GET, "/v1/models/gpt-4o", "openai.models", 0, {"/v1/models/gpt-4o", "/models/gpt-4o", NULL}},
    {GET, "/v1/models/ft%3Agpt-4o:acme::1", "openai.models", 0,
     {"/v1/models/ft%3Agpt-4o:acme::1", "/models/ft%3Agpt-4o:acme::1", NULL}},
    {GET, "/v1/models/meta-llama/Llama-3.1", "openai.models", 0,
     {"/v1/models/meta-llama/Llama-3.1", "/models/meta-llama/Llama-3.1", NULL}},
    {GET, "/v1/models/meta-llama%2fLlama-3.1", "openai.models", 0,
     {"/v1/models/meta-llama%2fLlama-3.1", "/models/meta-llama%2fLlama-3.1", NULL}},
    {GET, "/user/balance", "deepseek.balance", 0, {NULL, "/user/balance", NULL}},
    {POST, "/v1/moderations", "openai.moderations", 0, {"/v1/moderations", NULL, NULL}},
    {POST, "/v1/audio/speech", "openai.audio", 0, {"/v1/audio/speech", NULL, NULL}},
    {POST, "/v1/audio/transcriptions", "openai.audio", 0, {"/v1/audio/transcriptions", NULL, NULL}},
    {POST, "/v1/audio/translations", "openai.audio", 0, {"/v1/audio/translations", NULL, NULL}},
    {POST, "/v1/images/generations", "openai.images", 0, {"/v1/images/generations", NULL, NULL}},
    {POST, "/v1/images/edits", "openai.images", 0, {"/v1/images/edits", NULL, NULL}},
    {POST, "/v1/images/variations", "openai.images", 0, {"/v1/images/variations", NULL, NULL}},
    {POST, "/v1/messages", "anthropic.messages", 0, {NULL, "/anthropic/v1/messages", "/v1/messages"}},
    {POST, "/anthropic/v1/messages", "anthropic.messages", 0,
     {NULL, "/anthropic/v1/messages", "/v1/messages"}},
    {POST, "/v1/messages/count_tokens", "anthropic.count_tokens", 0,
     {NULL, NULL, "/v1/messages/count_tokens"}},
    {POST, "/anthropic/v1/messages/count_tokens", "anthropic.count_tokens", 0,
     {NULL, NULL, "/v1/messages/count_tokens"}},
    {GET, "/anthropic/v1/models", "anthropic.models", 0, {NULL, NULL, "/v1/models"}},
    {GET, "/anthropic/v1/models/claude-x", "anthropic.models", 0, {NULL, NULL, "/v1/models/claude-x"}},
    /* another method */
    {GET, "/v1/chat/completions", NULL, ERR_UNSUPPORTED, {0}},
    {POST, "/v1/models", NULL, ERR_UNSUPPORTED, {0}},
    {DIALECT_OTHER_METHOD, "/v1/models/gpt-4o", NULL, ERR_UNSUPPORTED, {0}},
    /* no such thing */
    {GET, "", NULL, ERR_NOTFOUND, {0}},
    {GET, "/", NULL, ERR_NOTFOUND, {0}},
    {GET, "v1/models", NULL, ERR_NOTFOUND, {0}},
    {GET, "//models", NULL, ERR_NOTFOUND, {0}},
    {GET, "/v1", NULL, ERR_NOTFOUND, {0}},
    {GET, "/v1/", NULL, ERR_NOTFOUND, {0}},
    {GET, "/v1/models/", NULL, ERR_NOTFOUND, {0}},
    {GET, "/v1/modelsx", NULL, ERR_NOTFOUND, {0}},
    {POST, "/v1/chat/completions/", NULL, ERR_NOTFOUND, {0}},
    {POST, "/V1/chat/completions", NULL, ERR_NOTFOUND, {0}},
    {POST, "/v1/chat/completions?x", NULL, ERR_NOTFOUND, {0}},
    {GET, "/v1/responses/resp_1", NULL, ERR_NOTFOUND, {0}},
    {GET, "/v1/files", NULL, ERR_NOTFOUND, {0}},
    {POST, "/messages", NULL, ERR_NOTFOUND, {0}},
    {POST, "/anthropic/messages", NULL, ERR_NOTFOUND, {0}},
    {POST, "/anthropic/v1/chat/completions", NULL, ERR_NOTFOUND, {0}},
    {POST, "/beta/v1/messages", NULL, ERR_NOTFOUND, {0}},
    {GET, "/v1/user/balance", NULL, ERR_NOTFOUND, {0}},
    /* ids that lead elsewhere */
    {GET, "/v1/models/../files", NULL, ERR_NOTFOUND, {0}},
    {GET, "/v1/models/a/../../files", NULL, ERR_NOTFOUND, {0}},
    {GET, "/v1/models/a/..", NULL, ERR_NOTFOUND, {0}},
    {GET, "/v1/models/.", NULL, ERR_NOTFOUND, {0}},
    {GET, "/v1/models/a%2f..%2f..%2ffiles", NULL, ERR_NOTFOUND, {0}},
    {GET, "/v1/models/%2e%2e/files", NULL, ERR_NOTFOUND, {0}},
    {GET, "/v1/models/a%2f%2ffiles", NULL, ERR_NOTFOUND, {0}},
    {GET, "/v1/models//files", NULL, ERR_NOTFOUND, {0}},
    {GET, "/v1/models/a/", NULL, ERR_NOTFOUND, {0}},
    {GET, "/v1/models/a b", NULL, ERR_NOTFOUND, {0}},
    {GET, "/v1/models/a%0d%0ax", NULL, ERR_NOTFOUND, {0}},
    {GET, "/v1/models/a%", NULL, ERR_NOTFOUND, {0}},
    {GET, "/v1/models/a#b", NULL, ERR_NOTFOUND, {0}},
    {GET, "/v1/models/a;b", NULL, ERR_NOTFOUND, {0}},
};

static void served(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const struct row *t = &table[i];
        struct endpoint e = {0};
        char out[128];
        int rc = endpoint_find(&e, t->method, t->path, strlen(t->path));
        if (rc != t->rc)
            print_error("%s\n", t->path);
        assert_int_equal(rc, t->rc);
        if (rc)
            continue;
        assert_string_equal(e.row->dialect->name, t->dialect);
        assert_ptr_equal(dialect_named(t->dialect), e.row->dialect);
        for (int at = 0; at < 3; at++) {
            rc = endpoint_upstream(&e, (enum dialect_at)at, out, sizeof out);
            if (!t->at[at]) {
                assert_int_equal(rc, ERR_NOTFOUND);
                continue;
            }
            assert_string_equal(out, t->at[at]);
            assert_int_equal(rc, strlen(out));
            assert_int_equal(endpoint_upstream(&e, (enum dialect_at)at, out, strlen(t->at[at])), ERR_LIMIT);
        }
    }
}

static void length_of_ids(void **state) {
    (void)state;
    char path[512];
    struct endpoint e;
    for (int n = 256; n <= 257; n++) {
        int len = sprintf(path, "/v1/models/%0*d", n, 0);
        assert_int_equal(endpoint_find(&e, GET, path, (size_t)len), n == 256 ? 0 : ERR_NOTFOUND);
    }
}

static void properties(void **state) {
    (void)state;
    const struct dialect *d = dialect_named("openai.chat");
    assert_int_equal(d->end, DIALECT_END_DONE);
    assert_true(d->content);
    assert_int_equal(d->family, FAMILY_OPENAI);
    assert_int_equal(dialect_named("anthropic.messages")->family, FAMILY_ANTHROPIC);
    assert_int_equal(dialect_named("anthropic.messages")->end, DIALECT_END_MESSAGE);
    assert_int_equal(dialect_named("openai.responses")->end, DIALECT_END_RESPONSE);
    assert_int_equal(dialect_named("openai.embeddings")->end, DIALECT_END_NONE);
    assert_false(dialect_named("openai.models")->content);
    assert_false(dialect_named("deepseek.balance")->content);
    assert_string_equal(dialect_named("openai")->name, "other");
    assert_true(dialect_named("")->content);
    assert_int_equal(dialect_named("")->shape, DIALECT_PLAIN);
    assert_int_equal(endpoint_family("/anthropic/v1/x", 15), FAMILY_ANTHROPIC);
    assert_int_equal(endpoint_family("/v1/messages/batches", 20), FAMILY_ANTHROPIC);
    assert_int_equal(endpoint_family("/v1/files", 9), FAMILY_OPENAI);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(served),
        cmocka_unit_test(length_of_ids),
        cmocka_unit_test(properties),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
