#ifndef GATEWAY_CONFINE_H
#define GATEWAY_CONFINE_H
/*
 * The sandbox of a gateway worker. doc/gateway.md says what is left to it.
 */
#include <stdint.h>

/* Enters it, for good. `connect_ports` ends with 0. ret_state: Landlock's ABI (0 = none), and
 * whether seccomp is on. ERR_UNSUPPORTED: no Landlock here, and SH_SANDBOX does not say
 * "best-effort". */
int gateway_confine(const uint16_t *connect_ports, uint8_t ret_state[2]);

#endif
