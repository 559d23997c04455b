/*
 * Runs SQL on the folder of a stopped store, as somebody would who can write to the database:
 *   tamper FOLDER FORMAT [>FILE] SQL...
 * The store itself refuses to write; this links the engine directly. Each statement's result goes to
 * standard output in FORMAT, or to the file that is named before it. As the folder's owner, so that the
 * store can read its files afterwards.
 */
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/chdb.h"

#define STATEMENTS_MAX 1024

static int run(chdb_connection conn, const char *sql, const char *format, FILE *out) {
    chdb_result *r = chdb_query_n(conn, sql, strlen(sql), format, strlen(format));
    const char *error = r ? chdb_result_error(r) : "no result";
    if (error)
        fprintf(stderr, "%s: %s\n", sql, error);
    else if (chdb_result_length(r))
        fwrite(chdb_result_buffer(r), 1, chdb_result_length(r), out);
    chdb_destroy_query_result(r);
    return error != NULL;
}

static int become_owner(const char *folder) {
    struct stat st;
    if (stat(folder, &st))
        return -1;
    if (geteuid() != 0 || st.st_uid == 0)
        return 0;
    return setgroups(0, NULL) || setresgid(st.st_gid, st.st_gid, st.st_gid) ||
           setresuid(st.st_uid, st.st_uid, st.st_uid);
}

int main(int argc, char **argv) {
    char path[4096];
    static FILE *files[STATEMENTS_MAX];
    for (int i = 3; i < argc && i < STATEMENTS_MAX; i++) /* before the caller's rights are gone */
        if (argv[i][0] == '>' && !(files[i] = fopen(argv[i] + 1, "we")))
            return 2;
    if (argc < 4 || argc > STATEMENTS_MAX || become_owner(argv[1]) || chdir("/proc")) {
        fprintf(stderr, "usage: tamper FOLDER FORMAT SQL...\n");
        return 2;
    }
    snprintf(path, sizeof path, "--path=%s", argv[1]);
    char *options[] = {(char *)"tamper", path, (char *)"--log_queries=0", NULL};
    chdb_set_signal_handlers_enabled(0);
    chdb_connection *conn = chdb_connect(3, options);
    if (!conn) {
        fprintf(stderr, "the engine does not start on %s\n", argv[1]);
        return 4;
    }
    int failed = run(*conn, "USE safehouse", "Null", stdout) ||
                 run(*conn, "SET mutations_sync = 2, alter_sync = 2, "
                            "output_format_json_quote_64bit_integers = 1", "Null", stdout);
    for (int i = 3; !failed && i < argc; i++) {
        FILE *file = argv[i][0] == '>' && i + 1 < argc ? files[i] : NULL;
        i += file != NULL;
        failed = run(*conn, argv[i], argv[2], file ? file : stdout);
        if (file && fclose(file))
            failed = 1;
    }
    chdb_close_conn(conn);
    (void)chdb_shutdown();
    fflush(stdout);
    return failed ? 1 : 0;
}
