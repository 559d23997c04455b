/* A result as JSON: what the command line makes its reports of. Field names are doc/audit.md's. */
#include "base/bytes.h"
#include "proc/audit/audit.h"

static json_t *notes_json(const struct probe_result *r) {
    json_t *list = json_array();
    for (size_t i = 0; i < r->note_count; i++) {
        const struct probe_note *n = &r->notes[i];
        json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:s}", "id", n->id, "severity", n->severity,
                              "title", n->title, "remediation", n->fix, "detail", n->detail);
        if (n->file[0]) {
            json_object_set_new(o, "file", json_string(n->file));
            json_object_set_new(o, "file_line", json_integer((json_int_t)n->line));
        }
        json_array_append_new(list, o);
    }
    return list;
}

json_t *audit_result_json(const struct conn_pair *pair, const struct probe_result *r,
                          double seconds) {
    char request[65], response[65], grade[2] = {r->grade, 0};
    hex_encode(request, r->request_sha256, 32);
    hex_encode(response, r->response_sha256, 32);
    return json_pack(
        "{s:s, s:s, s:I, s:s, s:b, s:s, s:s, s:s, s:s, s:s, s:{s:s, s:s, s:s, s:I}, s:o, s:f}",
        "type", "host", "address", pair->address, "port", (json_int_t)pair->port, "transport",
        "tcp", "tls", r->tls, "service", r->service, "version", r->version, "verdict",
        audit_verdict_word(r->verdict), "grade", grade, "reason", r->reason, "evidence", "probe",
        r->probe, "request_sha256", request, "response_sha256", response, "response_bytes",
        (json_int_t)r->response_bytes, "notes", notes_json(r), "seconds", seconds);
}
