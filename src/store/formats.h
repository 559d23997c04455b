#ifndef STORE_FORMATS_H
#define STORE_FORMATS_H
/*
 * The output formats of ClickHouse that a query may ask for, and how text stands in each: the store
 * allows exactly these, the command line needs the second column to put opened text in place.
 *
 * FORMAT_TSV      backslash escapes          FORMAT_JSON     JSON string escapes
 * FORMAT_CSV      quotes doubled             FORMAT_PRETTY   raw, control characters shown
 * FORMAT_QUOTED   SQL string escapes         FORMAT_RAW      the bytes themselves, no place for a cell
 * FORMAT_BINARY   not text: cells stay sealed
 */
#define FORMATS(X)                                                                                 \
    X("TabSeparated", FORMAT_TSV)                                                                  \
    X("TabSeparatedWithNames", FORMAT_TSV)                                                         \
    X("TabSeparatedWithNamesAndTypes", FORMAT_TSV)                                                 \
    X("TSKV", FORMAT_TSV)                                                                          \
    X("TSV", FORMAT_TSV)                                                                           \
    X("TSVWithNames", FORMAT_TSV)                                                                  \
    X("TSVWithNamesAndTypes", FORMAT_TSV)                                                          \
    X("TabSeparatedRaw", FORMAT_RAW)                                                               \
    X("TSVRaw", FORMAT_RAW)                                                                        \
    X("LineAsString", FORMAT_RAW)                                                                  \
    X("CSV", FORMAT_CSV)                                                                           \
    X("CSVWithNames", FORMAT_CSV)                                                                  \
    X("CSVWithNamesAndTypes", FORMAT_CSV)                                                          \
    X("JSON", FORMAT_JSON)                                                                         \
    X("JSONStrings", FORMAT_JSON)                                                                  \
    X("JSONColumns", FORMAT_JSON)                                                                  \
    X("JSONCompact", FORMAT_JSON)                                                                  \
    X("JSONCompactStrings", FORMAT_JSON)                                                           \
    X("JSONEachRow", FORMAT_JSON)                                                                  \
    X("JSONLines", FORMAT_JSON)                                                                    \
    X("NDJSON", FORMAT_JSON)                                                                       \
    X("JSONStringsEachRow", FORMAT_JSON)                                                           \
    X("JSONCompactEachRow", FORMAT_JSON)                                                           \
    X("JSONCompactEachRowWithNames", FORMAT_JSON)                                                  \
    X("JSONCompactEachRowWithNamesAndTypes", FORMAT_JSON)                                          \
    X("Pretty", FORMAT_PRETTY)                                                                     \
    X("PrettyNoEscapes", FORMAT_PRETTY)                                                            \
    X("PrettyCompact", FORMAT_PRETTY)                                                              \
    X("PrettyCompactNoEscapes", FORMAT_PRETTY)                                                     \
    X("PrettyCompactMonoBlock", FORMAT_PRETTY)                                                     \
    X("PrettySpace", FORMAT_PRETTY)                                                                \
    X("PrettySpaceNoEscapes", FORMAT_PRETTY)                                                       \
    X("Vertical", FORMAT_PRETTY)                                                                   \
    X("Markdown", FORMAT_PRETTY)                                                                   \
    X("Values", FORMAT_QUOTED)                                                                     \
    X("RowBinary", FORMAT_BINARY)                                                                  \
    X("RowBinaryWithNames", FORMAT_BINARY)                                                         \
    X("RowBinaryWithNamesAndTypes", FORMAT_BINARY)                                                 \
    X("Native", FORMAT_BINARY)                                                                     \
    X("Null", FORMAT_BINARY)

enum format_family {
    FORMAT_TSV,
    FORMAT_CSV,
    FORMAT_JSON,
    FORMAT_PRETTY,
    FORMAT_QUOTED,
    FORMAT_RAW,
    FORMAT_BINARY,
};

#endif
