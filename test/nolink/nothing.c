/* The control: what the write path may do links, and no check complains. */
#include "record/envelope.h"

int main(void) {
    return ENVELOPE_HEADER_BYTES == 0;
}
