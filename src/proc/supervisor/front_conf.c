/* The console's nginx.conf (front_conf.h). Pure, run by the supervisor. */
#include "proc/supervisor/front_conf.h"

#include "base/err.h"

#define CONNECTIONS 8000 /* of a worker */

static int put_main(struct buf *out, const struct front_conf *c) {
    int rc = buf_append_str(out, "worker_processes 2;\n"
                                 "worker_rlimit_nofile 20000;\n");
    return rc ? rc : nginx_put_process(out, c->dir, CONNECTIONS);
}

/* No request or answer ever touches a file or a log: both are content. */
static int put_limits(struct buf *out) {
    return buf_printf(out,
                      "    access_log off;\n"
                      "    server_tokens off;\n"
                      "    etag off;\n"
                      "    max_ranges 0;\n"
                      "    tcp_nodelay on;\n"
                      "    default_type text/plain;\n"
                      "    keepalive_timeout 75s;\n"
                      "    keepalive_requests 1000000;\n"
                      "    client_header_timeout 30s;\n"
                      "    client_body_timeout 30s;\n"
                      "    send_timeout %ds;\n"
                      "    reset_timedout_connection on;\n"
                      "    lingering_timeout 1s;\n"
                      "    client_header_buffer_size 4k;\n"
                      "    large_client_header_buffers 4 64k;\n"
                      "    client_max_body_size %u;\n"
                      "    client_body_buffer_size %u;\n"
                      "    client_body_in_file_only off;\n"
                      "    limit_req_zone $binary_remote_addr zone=rate:4m rate=%dr/s;\n"
                      "    limit_conn_zone $binary_remote_addr zone=active:4m;\n"
                      "    limit_req_status 429;\n"
                      "    limit_conn_status 429;\n",
                      FRONT_SEND_S, FRONT_BODY_BYTES, FRONT_BODY_BYTES, FRONT_RATE);
}

static int put_upstream(struct buf *out, const struct front_conf *c) {
    return buf_printf(out,
                      "    upstream console {\n"
                      "        zone console 64k;\n"
                      "        server unix:/proc/self/fd/%d/console.sock max_conns=%d max_fails=0;\n"
                      "    }\n",
                      c->run_fd, FRONT_ACTIVE);
}

/* An answer that ends early ends the client's connection early: proxy_buffering is off, and what is
 * chunked has no last chunk then. */
static int put_location(struct buf *out) {
    return buf_printf(out,
                      "        location / {\n"
                      "            if ($request_method !~ ^(GET|HEAD|POST|DELETE)$) {\n"
                      "                return 405;\n"
                      "            }\n"
                      "            limit_req zone=rate burst=%d nodelay;\n"
                      "            limit_conn active %d;\n"
                      "            proxy_pass http://console;\n"
                      "            proxy_http_version 1.1;\n"
                      "            proxy_set_header Host safehouse;\n"
                      "            proxy_set_header Connection close;\n"
                      "            proxy_set_header Cookie \"\";\n"
                      "            proxy_set_header Upgrade \"\";\n"
                      "            proxy_set_header Trailer \"\";\n"
                      "            proxy_request_buffering on;\n"
                      "            proxy_buffering off;\n"
                      "            proxy_buffer_size 64k;\n"
                      "            proxy_buffers 4 64k;\n"
                      "            proxy_busy_buffers_size 64k;\n"
                      "            proxy_max_temp_file_size 0;\n"
                      "            proxy_connect_timeout 5s;\n"
                      "            proxy_send_timeout 30s;\n"
                      "            proxy_read_timeout 600s;\n"
                      "            proxy_next_upstream off;\n"
                      "            proxy_ignore_headers X-Accel-Redirect X-Accel-Expires "
                      "X-Accel-Limit-Rate\n"
                      "                X-Accel-Buffering X-Accel-Charset Expires Cache-Control "
                      "Set-Cookie Vary;\n"
                      "            error_page 502 504 = @busy;\n"
                      "            error_page 429 = @often;\n"
                      "        }\n",
                      2 * FRONT_RATE, FRONT_ACTIVE_ADDRESS);
}

/* In the words that ClickHouse's clients read. */
static int put_refusals(struct buf *out) {
    return buf_append_str(out,
                          "        location @busy {\n"
                          "            add_header X-ClickHouse-Exception-Code 202 always;\n"
                          "            add_header Retry-After 1 always;\n"
                          "            return 503 \"Code: 202. DB::Exception: the console does not take "
                          "more requests at the moment. (TOO_MANY_SIMULTANEOUS_QUERIES)\\n\";\n"
                          "        }\n"
                          "        location @often {\n"
                          "            add_header X-ClickHouse-Exception-Code 202 always;\n"
                          "            add_header Retry-After 1 always;\n"
                          "            return 429 \"Code: 202. DB::Exception: too many requests of this "
                          "address. (TOO_MANY_SIMULTANEOUS_QUERIES)\\n\";\n"
                          "        }\n");
}

static int put_server(struct buf *out, const struct front_conf *c) {
    int rc = buf_append_str(out, "    server {\n");
    if (!rc)
        rc = nginx_put_listen(out, c->listen, c->certificate, c->certificate_key);
    if (!rc)
        rc = put_location(out);
    if (!rc)
        rc = put_refusals(out);
    return rc ? rc : buf_append_str(out, "    }\n");
}

int front_conf_write(struct buf *out, const struct front_conf *c) {
    if (!nginx_path_ok(c->dir) || !nginx_address_ok(c->listen) || c->run_fd < 0)
        return ERR_USAGE;
    if (nginx_is_set(c->certificate) &&
        !(nginx_path_ok(c->certificate) && nginx_path_ok(c->certificate_key)))
        return ERR_USAGE;
    int rc = put_main(out, c);
    if (!rc)
        rc = buf_append_str(out, "http {\n");
    if (!rc)
        rc = put_limits(out);
    if (!rc)
        rc = nginx_put_folders(out, c->dir);
    if (!rc)
        rc = put_upstream(out, c);
    if (!rc)
        rc = put_server(out, c);
    return rc ? rc : buf_append_str(out, "}\n");
}
