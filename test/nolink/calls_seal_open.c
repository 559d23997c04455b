/* The write path opens a sealed box with libsodium itself: it links, and check-links must name it.
 */
#include <sodium.h>

int main(void) {
    static unsigned char out[1], in[crypto_box_SEALBYTES + 1], key[crypto_box_SECRETKEYBYTES];
    return crypto_box_seal_open(out, in, sizeof in, key, key);
}
