/* Files of anyone: read or faulted with a reason, every text ended, and what is fine has what RFC 9116
 * wants. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/security_txt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct security_txt t;
    const time_t now = 1800000000;
    enum security_txt_flaw flaw = security_txt_read(&t, (const char *)data, size, now);
    if (!memchr(t.contact, 0, sizeof t.contact) || !memchr(t.expires, 0, sizeof t.expires))
        abort();
    if ((flaw != SECURITY_TXT_FINE) != (security_txt_flaw(flaw)[0] != 0))
        abort();
    if (flaw == SECURITY_TXT_FINE && (!t.contacts || t.expires_count != 1 || t.expires_at < now))
        abort();
    return 0;
}
