#ifndef STORE_DASH_H
#define STORE_DASH_H
/*
 * The library of dashboard queries: views over the log, doc/dashboards.md. Each groups by an hour or a day
 * and by project, so that a dashboard's range of time and its choice of projects are conditions on them,
 * which the engine takes into the table's primary key.
 */
#include "store/catalogue.h"

extern const struct view dash_views[];
extern const unsigned dash_views_n;

#endif
