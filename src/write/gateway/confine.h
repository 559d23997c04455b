#ifndef GATEWAY_CONFINE_H
#define GATEWAY_CONFINE_H
#include <stdint.h>

/* Sandboxes this process for good; ports end with 0. ret_state: Landlock's ABI (0 = none) and whether
 * seccomp is on. */
int gateway_confine(const uint16_t *connect_ports, uint8_t ret_state[2]);

#endif
