#ifndef AUDIT_PORTS_H
#define AUDIT_PORTS_H
/* Ports on which the services that are known listen by default: what a scope line without ports
 * means. */
#include <stdint.h>

static const uint16_t audit_ports[] = {
    443,  1234,  1883,  2181,  2375,  2376,  2379,  2380,  3000,  3306,  4000,  4222,
    5000, 5432,  5672,  5984,  6006,  6333,  6334,  6379,  6380,  8000,  8080,  8086,
    8090, 8123,  8265,  8443,  8888,  8889,  8890,  9000,  9001,  9004,  9005,  9009,
    9042, 9090,  9091,  9092,  9093,  9094,  9100,  9121,  9181,  9200,  9300,  9363,
    9440, 10001, 11211, 11434, 15672, 19530, 26379, 27017, 27018, 27019, 30000, 50051,
};
#define AUDIT_PORT_COUNT (sizeof audit_ports / sizeof audit_ports[0])

#endif
