/*
 * `safehouse audit`: reads the scope, has safehouse-audit look at what stands in it, and reports.
 * This program connects to nothing itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "audit/report/report.h"
#include "base/err.h"
#include "proc/cli/audit_config.h"
#include "proc/cli/audit_watch.h"
#include "proc/cli/cli.h"

#define FILES_BYTES_MAX (400u << 20)

static const struct cli_usage usage = {
    "safehouse audit --scope FILE [OPTIONS]\n"
    "       safehouse audit --config-dir DIR [OPTIONS]",
    "Finds the databases and AI services on your own hosts that answer strangers, and says what a\n"
    "stranger could read there. Only what the scope file lists is connected to, with requests that "
    "only\n"
    "read; no password is tried. Whatever is not loopback needs --authorised.\n"
    "With --config-dir nothing is connected to: the files of a ClickHouse are judged.",
};

struct audit {
    const char *config_dir, *scope_path, *authorised, *baseline, *accepted, *output, *explain;
    const char *rate, *per_host, *workers, *timeout, *max_targets, *fail_on;
    const char *keep, *watch, *webhook;
    bool json, sarif, no_sign_in, no_sample;
    struct scope scope;
    struct report report;
    char *scope_text;
    size_t scope_len;
    struct buf files; /* of a configuration, as lines */
};

static int number(const char *option, const char *text, long least, long most, long *ret) {
    char *end;
    errno = 0;
    *ret = strtol(text, &end, 10);
    if (errno || *end || end == text || *ret < least || *ret > most)
        return cli_fail(CLI_USAGE, NULL, "%s must be a number from %ld to %ld", option, least,
                        most);
    return CLI_GO;
}

/* ---- the scope ---- */

static int load(const char *path, char **ret, size_t *ret_len) {
    FILE *f = fopen(path, "re");
    *ret = malloc(SCOPE_FILE_MAX + 1);
    if (!f || !*ret) {
        if (f)
            fclose(f);
        return cli_fail(CLI_USAGE, "write one: lines such as 127.0.0.1 8123, 9000",
                        "the scope file %s cannot be read: %s", path, strerror(errno));
    }
    *ret_len = fread(*ret, 1, SCOPE_FILE_MAX + 1, f);
    fclose(f);
    return CLI_GO;
}

static int read_scope(struct audit *a) {
    char why[SCOPE_WHY];
    long most;
    if (!a->scope_path)
        return cli_fail(CLI_USAGE, "say --scope FILE; safehouse audit --help tells more",
                        "nothing is probed without a scope file");
    int code = number("--max-targets", a->max_targets, 1, SCOPE_TARGETS_MAX, &most);
    if (code == CLI_GO)
        code = load(a->scope_path, &a->scope_text, &a->scope_len);
    if (code != CLI_GO)
        return code;
    if (scope_read(&a->scope, a->scope_text, a->scope_len, time(NULL), (size_t)most, scope_resolve,
                   why))
        return cli_fail(CLI_USAGE, NULL, "%s: %s", a->scope_path, why);
    if (a->scope.outside && !a->authorised)
        return cli_fail(CLI_USAGE, "say on whose word: --authorised \"name, ticket\"",
                        "%s lists more than loopback", a->scope_path);
    return CLI_GO;
}

/* ---- the program that looks ---- */

static json_t *settings(const struct audit *a, int *ret_code) {
    long rate, per_host, workers, timeout;
    int code = number("--rate", a->rate, 1, 100000, &rate);
    if (code == CLI_GO)
        code = number("--per-host", a->per_host, 1, 64, &per_host);
    if (code == CLI_GO)
        code = number("--workers", a->workers, 1, 64, &workers);
    if (code == CLI_GO)
        code = number("--timeout", a->timeout, 10, 60000, &timeout);
    *ret_code = code;
    if (code == CLI_GO && a->config_dir)
        return json_pack("{s:b}", "config", 1);
    return code != CLI_GO ? NULL
                          : json_pack("{s:I, s:I, s:I, s:I, s:b, s:b}", "rate", (json_int_t)rate,
                                      "timeout_ms", (json_int_t)timeout, "workers",
                                      (json_int_t)workers, "per_host", (json_int_t)per_host,
                                      "sign_in", !a->no_sign_in, "sample", !a->no_sample);
}

/* Beside this program, wherever that is. */
static bool program(char out[CLI_PATH]) {
    ssize_t n = readlink("/proc/self/exe", out, CLI_PATH - 32);
    if (n <= 0)
        return false;
    out[n] = 0;
    char *slash = strrchr(out, '/');
    return slash && snprintf(slash + 1, 32, "safehouse-audit") > 0;
}

static pid_t start(int *ret_in, int *ret_out) {
    char path[CLI_PATH];
    int in[2], out[2];
    if (!program(path) || pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC))
        return -1;
    pid_t pid = fork();
    if (pid == 0) {
        char *const argv[] = {path, NULL}, *const env[] = {NULL};
        if (dup2(in[0], 0) == 0 && dup2(out[1], 1) == 1)
            execve(path, argv, env);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    *ret_in = in[1];
    *ret_out = out[0];
    return pid;
}

static bool hand_over(const struct audit *a, json_t *take_settings, int fd) {
    FILE *f = fdopen(fd, "w");
    bool ok = f && json_dumpf(take_settings, f, JSON_COMPACT) == 0;
    if (ok && a->files.len)
        ok = fputc('\n', f) != EOF && fwrite(a->files.p, 1, a->files.len, f) == a->files.len;
    for (size_t i = 0; ok && i < a->scope.target_count; i++)
        ok = fprintf(f, "\n{\"address\":\"%s\",\"port\":%u}", a->scope.targets[i].address,
                     (unsigned)a->scope.targets[i].port) > 0;
    json_decref(take_settings);
    return f && fclose(f) == 0 && ok;
}

static void progress(size_t done, size_t all) {
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r%zu of %zu probed%s", done, all, done == all ? "\r\x1b[K" : "");
}

/* Connections that are made go to the log, if there is one, as they are made. */
static void hear(struct audit *a, int fd, FILE *log) {
    FILE *f = fdopen(fd, "r");
    char *line = NULL;
    size_t size = 0, done = 0;
    for (ssize_t n; f && (n = getline(&line, &size, f)) > 0;) {
        json_t *o = json_loadb(line, (size_t)n, 0, NULL);
        if (!o)
            continue;
        if (log && strcmp(json_string_value(json_object_get(o, "type")), "connection") == 0) {
            fwrite(line, 1, (size_t)n, log);
            fflush(log);
        } else if (strcmp(json_string_value(json_object_get(o, "type")), "host") == 0) {
            done++;
            progress(done, a->config_dir ? done : a->scope.target_count);
        }
        report_add(&a->report, o);
    }
    free(line);
    if (f)
        fclose(f);
}

static int look(struct audit *a, const char *log_path) {
    int in, out, code, status;
    json_t *s = settings(a, &code);
    if (!s)
        return code;
    FILE *log = log_path ? fopen(log_path, "ae") : NULL;
    if (log_path && !log) {
        json_decref(s);
        return cli_fail(CLI_USAGE, NULL, "the log %s cannot be written: %s", log_path,
                        strerror(errno));
    }
    pid_t pid = start(&in, &out);
    if (pid < 0)
        return cli_fail(CLI_INTERNAL, NULL, "safehouse-audit does not start");
    bool given = hand_over(a, s, in);
    hear(a, out, log);
    if (log)
        fclose(log);
    waitpid(pid, &status, 0);
    if (!given || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        a->report.incomplete++;
    return WIFEXITED(status) && WEXITSTATUS(status) == 127
               ? cli_fail(CLI_INTERNAL, "it lies beside safehouse; make build makes both",
                          "safehouse-audit is not there")
               : CLI_GO;
}

/* ---- reports ---- */

static int compare(struct audit *a) {
    if (a->baseline) {
        FILE *f = fopen(a->baseline, "re");
        int rc = f ? report_baseline(&a->report, f) : ERR_IO;
        if (f)
            fclose(f);
        if (rc)
            return cli_fail(CLI_USAGE, "it must be what --json printed",
                            "the baseline %s cannot be used", a->baseline);
    }
    if (a->accepted) {
        unsigned line;
        FILE *f = fopen(a->accepted, "re");
        int rc = f ? report_suppress(&a->report, f, time(NULL), &line) : ERR_IO;
        if (f)
            fclose(f);
        if (rc)
            return cli_fail(CLI_USAGE, "a line is: FINGERPRINT YYYY-MM-DD REASON",
                            "the accepted findings %s cannot be used (line %u)", a->accepted,
                            f ? line : 0);
    }
    return CLI_GO;
}

static int tell(const struct audit *a) {
    FILE *out = stdout;
    bool ok = true;
    if (a->explain)
        return report_explain(&a->report, stdout, a->explain)
                   ? CLI_GO
                   : cli_fail(CLI_USAGE, "run without --explain to see them",
                              "there is no finding %s", a->explain);
    if (a->output) {
        int fd = open(a->output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (fd < 0 || fchmod(fd, 0600) || !(out = fdopen(fd, "w")))
            return cli_fail(CLI_USAGE, NULL, "%s cannot be written: %s", a->output,
                            strerror(errno));
    }
    if (a->sarif)
        ok = report_sarif(&a->report, out);
    else if (a->json)
        ok = report_jsonl(&a->report, out);
    else
        report_text(&a->report, out, isatty(fileno(out)));
    if (out != stdout ? fclose(out) : fflush(out))
        ok = false;
    return ok ? CLI_GO : cli_fail(CLI_INTERNAL, NULL, "the report could not be written");
}

static int check_options(const struct audit *a, const char *log_path) {
    if (a->config_dir && (a->scope_path || log_path))
        return cli_fail(CLI_USAGE, "run it twice",
                        "--config-dir asks no server: leave --scope and --log out");
    if (a->json && a->sarif)
        return cli_fail(CLI_USAGE, "choose one", "--json and --sarif exclude each other");
    if (strlen(a->fail_on) != 1 || a->fail_on[0] < 'C' || a->fail_on[0] > 'F')
        return cli_fail(CLI_USAGE, NULL, "--fail-on must be C, D, E or F");
    if ((a->watch || a->webhook) && !a->keep)
        return cli_fail(CLI_USAGE, "say --keep FOLDER",
                        "the results of each run are kept for the next one to compare with");
    return CLI_GO;
}

/* One run, from the scope to the findings. The scope is read anew each time: its lines end on a
 * day. */
static int once(struct audit *a, const char *log_path) {
    int code = a->config_dir ? audit_config_read(a->config_dir, &a->files) : read_scope(a);
    if (code != CLI_GO)
        return code;
    const char *text = a->config_dir ? (const char *)a->files.p : a->scope_text;
    if (report_new(&a->report, &a->scope, a->config_dir ? a->config_dir : a->scope_path, text,
                   a->config_dir ? a->files.len : a->scope_len, a->authorised ? a->authorised : ""))
        return cli_fail(CLI_INTERNAL, NULL, "out of memory");
    for (size_t i = 0; i < a->files.len; i++)
        a->report.files += a->files.p[i] == '\n';
    a->report.fail_on = a->fail_on[0];
    code = look(a, log_path);
    if (code != CLI_GO)
        return code;
    report_finish(&a->report);
    return compare(a);
}

static void forget(struct audit *a) {
    report_done(&a->report);
    scope_done(&a->scope);
    free(a->scope_text);
    a->scope_text = NULL;
    buf_wipe(&a->files);
    buf_init(&a->files, FILES_BYTES_MAX);
}

static int run(struct audit *a, const char *log_path) {
    struct audit_watch w = {.folder = a->keep, .webhook = a->webhook};
    long seconds = 0;
    int code = check_options(a, log_path);
    if (code == CLI_GO && a->watch)
        code = number("--watch", a->watch, 1, 30L * 86400, &seconds);
    while (code == CLI_GO) {
        code = once(a, log_path);
        if (code == CLI_GO && a->keep)
            code = audit_keep(&w, &a->report);
        if (code == CLI_GO)
            code = tell(a);
        if (code != CLI_GO)
            break;
        if (!a->watch)
            return report_fails(&a->report) ? CLI_FOUND
                   : a->report.incomplete   ? CLI_INCOMPLETE
                                            : CLI_DONE;
        forget(a);
        sleep((unsigned)seconds);
    }
    return code;
}

int cli_audit(int argc, char **argv) {
    struct audit a = {.rate = "5",
                      .per_host = "1",
                      .workers = "16",
                      .timeout = "3000",
                      .max_targets = "4096",
                      .fail_on = "C"};
    const char *log_path = NULL;
    buf_init(&a.files, FILES_BYTES_MAX);
    const struct cli_option options[] = {
        {"--config-dir", "DIR", .text = &a.config_dir,
         .help = "judge these files of a ClickHouse (/etc/clickhouse-server), and ask no server"},
        {"--scope", "FILE", .text = &a.scope_path, .help = "what may be connected to"},
        {"--authorised", "WHO", .text = &a.authorised,
         .help = "\"name, ticket\": on whose word; stands in every report"},
        {"--json", NULL, .flag = &a.json, .help = "JSON Lines"},
        {"--sarif", NULL, .flag = &a.sarif, .help = "SARIF 2.1.0"},
        {"--output", "FILE", .text = &a.output, .help = "the report goes there (mode 0600)"},
        {"--baseline", "FILE", .text = &a.baseline,
         .help = "an earlier --json: what is new, what is fixed"},
        {"--accepted", "FILE", .text = &a.accepted,
         .help = "findings that are accepted, until a day, for a reason"},
        {"--fail-on", "GRADE", .text = &a.fail_on,
         .help = "exit code 1 from this grade on (default C)"},
        {"--explain", "FINDING", .text = &a.explain, .help = "everything about one finding"},
        {"--rate", "N", .text = &a.rate, .help = "connections a second in all (default 5)"},
        {"--per-host", "N", .text = &a.per_host,
         .help = "connections to one address at a time (default 1)"},
        {"--workers", "N", .text = &a.workers, .help = "pairs probed at a time (default 16)"},
        {"--timeout", "MS", .text = &a.timeout,
         .help = "of each connection and silence (default 3000)"},
        {"--max-targets", "N", .text = &a.max_targets,
         .help = "pairs that a scope may list (default 4096)"},
        {"--no-sign-in", NULL, .flag = &a.no_sign_in,
         .help = "do not sign in without a password (PostgreSQL, MySQL)"},
        {"--no-sample", NULL, .flag = &a.no_sample, .help = "do not look at rows for secrets"},
        {"--keep", "FOLDER", .text = &a.keep,
         .help = "results are kept there, and compared with the last ones"},
        {"--watch", "SECONDS", .text = &a.watch,
         .help = "look again and again, so many seconds apart; needs --keep"},
        {"--webhook", "FILE", .text = &a.webhook,
         .help = "a file with the URL that new findings are sent to; needs --keep"},
        {"--log", "FILE", .text = &log_path,
         .help = "a line for every connection, before it is made"},
        {0}};
    int code = cli_parse(&usage, options, argc, argv, 0, 0, NULL);
    if (code != CLI_GO)
        return code;
    code = run(&a, log_path);
    forget(&a);
    return code;
}
