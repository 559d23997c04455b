/* The JSON interface of api.h. */
#include "proc/console/api.h"

#include <string.h>

enum MHD_Result api_answer(struct console *c, struct MHD_Connection *connection,
                           const struct api_request *q) {
    static const char text[] = "{\"error\":{\"code\":\"not_found\"}}\n";
    (void)c, (void)q;
    return reply_text(connection, 404, "application/json", text, strlen(text));
}
