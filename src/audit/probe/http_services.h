#ifndef AUDIT_PROBE_HTTP_SERVICES_H
#define AUDIT_PROBE_HTTP_SERVICES_H
/*
 * Services that speak HTTP, as tables: for each, what shows that it is this one (no proof of
 * anything), and which requests a locked server would refuse. Only requests that read; nothing that
 * makes a model work, starts a job or writes a file.
 *
 * A proof counts when the answer has the shape that is named (JSON, with that member), not for its
 * status: pages for people answer 200 to everything. And it counts only where a path that cannot
 * exist is answered in another shape.
 */
#include "audit/probe/probe.h"

enum http_shape {
    TEXT = 1, /* the body has this text */
    HEADER,   /* this header is there (and has this value in it) */
    NUMBERS,  /* the body is a version: 8.1.0, with or without quotes */
    MEMBER,   /* JSON with this member; a path with dots */
    EQUALS,   /* the member has this value */
    ARRAY,    /* the member is an array; "" is the whole body */
    ROWS,     /* the same, and not an empty one */
};

struct http_want {
    enum http_shape shape;
    const char *member, *value;
};

struct http_mark {
    const char *path, *body; /* body NULL: GET; else POST of this JSON */
    struct http_want want;
};

struct http_proof {
    struct http_mark ask;
    enum audit_verdict verdict;
    char grade;
    const char *reason;
};

#define HTTP_PORTS 4
#define HTTP_MARKS 6
#define HTTP_PROOFS 6

struct http_service {
    const char *name;
    uint16_t ports[HTTP_PORTS];                /* where it is looked for first */
    struct http_mark fingerprints[HTTP_MARKS]; /* any one is enough */
    struct http_proof proofs[HTTP_PROOFS];     /* each is asked */
    struct http_mark
        version;         /* path NULL: it stands in the fingerprint's answer; no shape: nowhere */
    int refused;         /* a status that means "asks for a credential", beside the usual ones */
    const char *refusal; /* and a text that must come with it */
};

/* Tables, each ended by a service without a name. The last one has those that others would be taken
 * for. */
extern const struct http_service http_databases[], http_models[], http_operations[], http_general[];

#define GET(path, ...)                                                                             \
    {                                                                                              \
        path, NULL, {                                                                              \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }
#define POST(path, body, ...)                                                                      \
    {                                                                                              \
        path, body, {                                                                              \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }
#define LIST(path, member, reason)                                                                 \
    { GET(path, ARRAY, member, NULL), AUDIT_OPEN, 'D', reason }
#define FULL(path, member, reason)                                                                 \
    { GET(path, ROWS, member, NULL), AUDIT_OPEN, 'E', reason }

#endif
