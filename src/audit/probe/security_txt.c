/* Whom does somebody write to who finds this host's door open? Its security.txt
 * (base/security_txt.h). */
#include "base/security_txt.h"

#include <string.h>
#include <time.h>

#include "audit/probe/probe.h"

#define ID "security-txt"

/* A file is text; a page for everything is HTML, whatever its status says. */
static bool is_there(struct probe *p) {
    char type[64];
    if (!probe_get(p, ID, SECURITY_TXT_PATH) || p->http->status != 200)
        return false;
    return !http_header(p->http, "content-type", type, sizeof type) ||
           strncasecmp(type, "text/plain", 10) == 0;
}

void probe_security_txt(struct probe *p) {
    struct probe_result kept =
        *p->result; /* how a page is answered is no evidence of the service */
    struct security_txt t = {0};
    const bool there = is_there(p);
    enum security_txt_flaw flaw =
        there ? security_txt_read(&t, p->http->body, p->http->body_len, time(NULL))
              : SECURITY_TXT_NO_CONTACT;
    *p->result = kept;
    if (!there)
        probe_note(p, ID, "info", "No security.txt says whom to write to",
                   "publish " SECURITY_TXT_PATH " with Contact and Expires (RFC 9116)", NULL, 0);
    else if (flaw == SECURITY_TXT_EXPIRED)
        probe_note(p, ID, "medium", "security.txt has expired, so nobody may rely on it",
                   "renew its Expires", t.expires, strlen(t.expires));
    else if (flaw)
        probe_note(p, ID, "low", "security.txt does not say what it must (RFC 9116)",
                   "it needs one Contact at least, a URI, and exactly one Expires",
                   security_txt_flaw(flaw), strlen(security_txt_flaw(flaw)));
}
