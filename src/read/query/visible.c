/* What a session sees, of the vault's answer (visible.h). */
#include "read/query/visible.h"

#include <string.h>

#include "base/err.h"

static bool sees(const json_t *grant) {
    const char *role = json_string_value(json_object_get(grant, "role")),
               *state = json_string_value(json_object_get(grant, "state"));
    return role && state && strcmp(state, "in force") == 0 &&
           (strcmp(role, "analyst") == 0 || strcmp(role, "reader") == 0);
}

int visible_projects(const json_t *who, visible_fn *fn, void *arg, bool *ret_any) {
    const json_t *grant, *project;
    size_t i, k;
    *ret_any = false;
    json_array_foreach(json_object_get(who, "grants"), i, grant) {
        if (!sees(grant))
            continue;
        *ret_any = true;
        json_array_foreach(json_object_get(grant, "projects"), k, project) {
            const char *name = json_string_value(project);
            int rc = name ? fn(arg, name) : ERR_SYNTAX;
            if (rc)
                return rc;
        }
    }
    return 0;
}
