/* Well-formedness of UTF-8 (utf8.h), byte by byte after the table of RFC 3629 section 4. */
#include "base/utf8.h"

bool utf8_valid(const void *src, size_t len) {
    const uint8_t *p = len ? src : (const void *)"", *e = p + len;
    while (p < e) {
        uint8_t c = *p++;
        if (c < 0x80)
            continue;
        if (c < 0xc2 || c > 0xf4)
            return false;
        int more = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
        uint8_t min = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
        uint8_t max = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
        for (; more; more--, p++, min = 0x80, max = 0xbf)
            if (p == e || *p < min || *p > max)
                return false;
    }
    return true;
}
