/* What of `detect` concerns the gateway (config.h). */
#include <string.h>

#include "control/config.h"

bool config_is_inspection(const char *action) {
    return strcmp(action, "block") == 0 || strcmp(action, "mask") == 0;
}

static const struct config_detected *detected(const struct config *c, const char *project) {
    for (size_t i = 0; project && i < c->detect.projects.count; i++)
        if (strcmp(c->detect.projects.at[i].name, project) == 0)
            return &c->detect.projects.at[i];
    return NULL;
}

static bool has(const struct config_pairs *classes) {
    for (size_t i = 0; i < classes->count; i++)
        if (config_is_inspection(classes->at[i].text))
            return true;
    return false;
}

static bool says(const struct config_pairs *classes, const char *class) {
    for (size_t i = 0; i < classes->count; i++)
        if (strcmp(classes->at[i].name, class) == 0)
            return true;
    return false;
}

bool config_inspects(const struct config *c, const char *project) {
    const struct config_detected *own = detected(c, project);
    if (!c->detect.enabled)
        return false;
    for (size_t i = 0; !project && i < c->detect.projects.count; i++)
        if (has(&c->detect.projects.at[i].classes))
            return true;
    if (!own)
        return has(&c->detect.classes);
    for (size_t i = 0; i < c->detect.classes.count; i++)
        if (config_is_inspection(c->detect.classes.at[i].text) &&
            !says(&own->classes, c->detect.classes.at[i].name))
            return true;
    return has(&own->classes);
}
