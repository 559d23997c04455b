#ifndef CONSOLE_API_H
#define CONSOLE_API_H
/* The JSON interface, under /api/v1; doc/openapi.yaml describes it, and a test compares the two. */
#include "proc/console/console.h"

struct api_request {
    const char *path, *method;
    struct http_request *request; /* credentials, parameters, the decoded body */
    int rc;                       /* not 0: the head or the body was not right; `why` says how */
    struct http_why *why;
};

enum MHD_Result api_answer(struct console *c, struct MHD_Connection *connection,
                           const struct api_request *q);

#endif
