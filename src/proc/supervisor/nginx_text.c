/* nginx_text.h. Pure, run by the supervisor. */
#include "proc/supervisor/nginx_text.h"

#include <string.h>

bool nginx_is_set(const char *text) {
    return text && *text;
}

/* Paths stand in quotes, where nginx still reads backslashes, and in some directives variables. */
bool nginx_path_ok(const char *path) {
    if (!nginx_is_set(path) || path[0] != '/')
        return false;
    for (const char *p = path; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f || strchr("\"\\$", *p))
            return false;
    return true;
}

bool nginx_address_ok(const char *address) {
    return nginx_is_set(address) && strrchr(address, ':') &&
           strspn(address, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:[]-") ==
               strlen(address);
}

int nginx_put_process(struct buf *out, const char *dir, unsigned connections) {
    return buf_printf(out,
                      "daemon off;\n"
                      "master_process on;\n"
                      "pid \"%s/nginx.pid\";\n"
                      "error_log /dev/null emerg;\n"
                      "events {\n"
                      "    worker_connections %u;\n"
                      "}\n",
                      dir, connections);
}

int nginx_put_folders(struct buf *out, const char *dir) {
    return buf_printf(out,
                      "    client_body_temp_path \"%s/body\";\n"
                      "    proxy_temp_path \"%s/proxy\";\n"
                      "    fastcgi_temp_path \"%s/fastcgi\";\n"
                      "    uwsgi_temp_path \"%s/uwsgi\";\n"
                      "    scgi_temp_path \"%s/scgi\";\n",
                      dir, dir, dir, dir, dir);
}

int nginx_put_listen(struct buf *out, const char *listen, const char *certificate, const char *key) {
    const bool tls = nginx_is_set(certificate);
    int rc = buf_printf(out, "        listen %s backlog=4096 so_keepalive=on%s;\n", listen,
                        tls ? " ssl" : "");
    if (!rc && tls)
        rc = buf_printf(out,
                        "        ssl_certificate \"%s\";\n"
                        "        ssl_certificate_key \"%s\";\n"
                        "        ssl_protocols TLSv1.2 TLSv1.3;\n"
                        "        ssl_session_cache shared:tls:4m;\n",
                        certificate, key);
    return rc;
}
