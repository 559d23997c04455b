/* The write path calls the reading side's function: nothing on its link line has it. */
#include "read/unseal/unseal.h"

int main(void) {
    struct unseal *u;
    return unseal_new(&u);
}
