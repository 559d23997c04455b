/* One protocol at a time: the first byte says which service is asked, the second where it is. What
 * the first look showed comes from the input too, so that every parser is reached without a
 * recognition that fits. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../audit.h"
#include "../answers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct service *const services[] = {
        &service_nats,      &service_mysql,     &service_redis,   &service_memcached,
        &service_amqp,      &service_mqtt,      &service_kafka,   &service_postgresql,
        &service_cassandra, &service_zookeeper, &service_mongodb, &service_clickhouse_native};
    static const uint16_t ports[] = {1, 9004, 9005};
    static struct http_answer answers[2];
    struct sampler sampler = {.wanted = false};
    struct probe_result result = {
        .verdict = AUDIT_UNKNOWN, .grade = 'A', .service = "", .probe = ""};
    const struct conn_rules rules = {.timeout_ms = 10};
    if (size < 3)
        return 0;
    const size_t banner = data[2] < size - 3 ? data[2] : size - 3;
    const struct service *s = services[data[0] % (sizeof services / sizeof services[0])];
    const struct look look = {.banner = data + 3, .banner_len = banner};
    input = data + 3 + banner;
    left = size - 3 - banner;
    struct probe p = {.rules = &rules,
                      .pair = {"127.0.0.1", ports[data[1] % 3]},
                      .sign_in = true,
                      .sampler = &sampler,
                      .http = &answers[0],
                      .root = &answers[1],
                      .result = &result};
    s->recognise(&p, &look);
    s->prove(&p);
    check_result(&result);
    return 0;
}
