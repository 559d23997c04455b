/*
 * Whom does somebody write to who finds a door open? /.well-known/security.txt (RFC 9116): the
 * fields Contact (one at least, a URI) and Expires (exactly one, RFC 3339, not passed) must be
 * there.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "audit/probe/probe.h"

#define PATH "/.well-known/security.txt"

/* The number of fields of that name; *ret_value is the last one's value, cut to size. */
static unsigned field(const char *text, const char *name, char *value, size_t size) {
    unsigned count = 0;
    size_t n = strlen(name);
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncasecmp(line, name, n) != 0 || line[n] != ':')
            continue;
        const char *v = line + n + 1;
        v += strspn(v, " \t");
        snprintf(value, size, "%.*s", (int)strcspn(v, "\r\n"), v);
        count++;
    }
    return count;
}

void probe_security_txt(struct probe *p) {
    struct probe_result kept =
        *p->result; /* how a page is answered is no evidence of the service */
    char contact[128] = "", expires[64] = "";
    struct tm day = {0};
    bool there = probe_get(p, "security-txt", PATH) && p->http->status == 200;
    unsigned contacts = there ? field(p->http->body, "Contact", contact, sizeof contact) : 0;
    unsigned ends = there ? field(p->http->body, "Expires", expires, sizeof expires) : 0;
    *p->result = kept;
    if (!contacts || !strchr(contact, ':')) {
        probe_note(p, "security-txt", "info", "No security.txt says whom to write to",
                   "publish " PATH " with Contact and Expires (RFC 9116)", NULL, 0);
        return;
    }
    if (ends != 1 || !strptime(expires, "%Y-%m-%dT%H:%M:%S", &day))
        probe_note(p, "security-txt", "low", "security.txt has no valid Expires",
                   "add one line: Expires: 2027-01-31T00:00:00Z", expires, strlen(expires));
    else if (timegm(&day) < time(NULL))
        probe_note(p, "security-txt", "medium",
                   "security.txt has expired, so nobody may rely on it", "renew its Expires",
                   expires, strlen(expires));
}
