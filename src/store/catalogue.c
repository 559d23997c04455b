/*
 * The views of catalogue.h. Columns have the names and types that ClickHouse 26.7 documents; what asks for
 * them are ClickHouse's JavaScript and Java clients, Grafana's data source, Metabase's driver.
 */
#include "store/catalogue.h"

/* A client calls the log's database either name. (An ARRAY JOIN here and one of the client's over the view would have
 * the engine take their columns for one.) */
#define EACH_NAME "arrayJoin(['default', 'safehouse']) AS named"
#define NO_UUID "toUUID('00000000-0000-0000-0000-000000000000')"
#define NO_NUMBER "CAST(NULL, 'Nullable(UInt64)')"
#define NO_NAMES "CAST([], 'Array(String)')"

const struct view catalogue_views[] = {
    {"databases", "the log's database, under both of its names",
     "SELECT named AS name, 'Atomic' AS engine, '' AS data_path, '' AS metadata_path, " NO_UUID " AS uuid,"
     " 'Atomic' AS engine_full, '' AS comment, toUInt8(0) AS is_external, named AS database"
     " FROM (SELECT " EACH_NAME " FROM system.one)"},
    /* The comment of a view ends in what views.c puts there. */
    {"tables", "the log's tables and views",
     "SELECT named AS database, name, " NO_UUID " AS uuid, engine, is_temporary, " NO_NAMES " AS data_paths,"
     " '' AS metadata_path, toDateTime(0, 'UTC') AS metadata_modification_time, toInt32(0) AS metadata_version,"
     " " NO_NAMES " AS dependencies_database, " NO_NAMES " AS dependencies_table, '' AS create_table_query,"
     " engine AS engine_full, '' AS as_select, partition_key, sorting_key, primary_key, sampling_key,"
     " storage_policy, " NO_NUMBER " AS total_rows, " NO_NUMBER " AS total_bytes, " NO_NUMBER " AS"
     " total_bytes_uncompressed, " NO_NUMBER " AS parts, " NO_NUMBER " AS active_parts, " NO_NUMBER " AS"
     " total_marks, " NO_NUMBER " AS lifetime_rows, " NO_NUMBER " AS lifetime_bytes,"
     " replaceRegexpOne(about, ' #[0-9a-f]+$', '') AS comment, has_own_data,"
     " " NO_NAMES " AS loading_dependencies_database, " NO_NAMES " AS loading_dependencies_table,"
     " " NO_NAMES " AS loading_dependent_database, " NO_NAMES " AS loading_dependent_table"
     " FROM (SELECT " EACH_NAME ", name, engine, is_temporary, partition_key, sorting_key, primary_key, sampling_key,"
     " storage_policy, comment AS about, has_own_data FROM system.tables WHERE database = 'safehouse')"},
    {"columns", "their columns",
     "SELECT named AS database, table, name, type, position, default_kind, default_expression,"
     " toUInt64(0) AS data_compressed_bytes, toUInt64(0) AS data_uncompressed_bytes, toUInt64(0) AS marks_bytes,"
     " comment, is_in_partition_key, is_in_sorting_key, is_in_primary_key, is_in_sampling_key,"
     " compression_codec, character_octet_length, numeric_precision, numeric_precision_radix, numeric_scale,"
     " datetime_precision"
     " FROM (SELECT " EACH_NAME ", table, name, type, position, default_kind, default_expression, comment,"
     " is_in_partition_key, is_in_sorting_key, is_in_primary_key, is_in_sampling_key, compression_codec,"
     " character_octet_length, numeric_precision, numeric_precision_radix, numeric_scale, datetime_precision"
     " FROM system.columns WHERE database = 'safehouse')"},
    {"functions", "the engine's functions; the store refuses some", "SELECT * FROM system.functions"},
    {"data_type_families", "types", "SELECT * FROM system.data_type_families"},
    {"time_zones", "time zones", "SELECT * FROM system.time_zones"},
    /* Not the values in force: they are the store's, and one says which projects a session sees. */
    {"settings", "settings and their defaults; none can be changed",
     "SELECT name, default AS value, toUInt8(0) AS changed, description, min, max, disallowed_values,"
     " toUInt8(1) AS readonly, type, default, alias_for, is_obsolete, tier FROM system.settings"},
    {"one", "one row", "SELECT toUInt8(0) AS dummy"},
    {"numbers", "0, 1, 2, ...: with a LIMIT", "SELECT number FROM system.numbers"},
    {"table_functions", "none", "SELECT * FROM system.table_functions WHERE 0"},
    {"parts", "none to see", "SELECT * FROM system.parts WHERE 0"},
    {"clusters", "none", "SELECT * FROM system.clusters WHERE 0"},
    {"data_skipping_indices", "none", "SELECT * FROM system.data_skipping_indices WHERE 0"},
};
const unsigned catalogue_views_n = sizeof catalogue_views / sizeof catalogue_views[0];
