/* Answers and their headers (console.h), in ClickHouse's words. */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "proc/console/console.h"

void reply_headers(struct MHD_Response *response, const struct http_request *r) {
    MHD_add_response_header(response, "X-ClickHouse-Server-Display-Name", "safehouse");
    MHD_add_response_header(response, "X-ClickHouse-Timezone", "UTC");
    MHD_add_response_header(response, "Cache-Control", "no-store");
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    if (r && r->query_id[0])
        MHD_add_response_header(response, "X-ClickHouse-Query-Id", r->query_id);
    if (r && r->format)
        MHD_add_response_header(response, "X-ClickHouse-Format", r->format);
}

static struct MHD_Response *text_response(const char *type, const void *p, size_t len) {
    struct MHD_Response *response =
        MHD_create_response_from_buffer(len, (void *)(uintptr_t)p, MHD_RESPMEM_MUST_COPY);
    if (response)
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    return response;
}

static enum MHD_Result queue(struct MHD_Connection *connection, unsigned status,
                             struct MHD_Response *response) {
    if (!response)
        return MHD_NO;
    enum MHD_Result result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

enum MHD_Result reply_text(struct MHD_Connection *connection, unsigned status, const char *type,
                           const void *p, size_t len) {
    struct MHD_Response *response = text_response(type, p, len);
    if (response)
        reply_headers(response, NULL);
    return queue(connection, status, response);
}

enum MHD_Result reply_why(struct MHD_Connection *connection, const struct http_request *r,
                          const struct http_why *why) {
    struct buf text;
    char code[16];
    const unsigned status = why->status ? why->status : http_code_status(why->code);
    buf_init(&text, 4096);
    if (http_put_exception(&text, why))
        return MHD_NO;
    struct MHD_Response *response = text_response("text/plain; charset=UTF-8", text.p, text.len);
    buf_wipe(&text);
    if (!response)
        return MHD_NO;
    reply_headers(response, r);
    snprintf(code, sizeof code, "%u", why->code);
    MHD_add_response_header(response, "X-ClickHouse-Exception-Code", code);
    if (status == 401)
        MHD_add_response_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Basic realm=\"Safehouse\"");
    if (status == 429 || status == 503)
        MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, "1");
    return queue(connection, status, response);
}
