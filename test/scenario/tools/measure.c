/*
 * measure FILE COMMAND [ARGUMENTS]: runs a command, and writes what it took, with all that it
 * started and waited for:
 *   {"seconds": 1.234, "rss_kib": 12345, "cpu_seconds": 0.123}
 * rss_kib is the largest resident size that any one of these processes had. It ends as the command
 * does.
 */
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double seconds_of(struct timeval t) {
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

int main(int argc, char **argv) {
    struct timespec begun, ended;
    struct rusage used;
    int status;
    if (argc < 3)
        return 2;
    clock_gettime(CLOCK_MONOTONIC, &begun);
    pid_t pid = fork();
    if (pid == 0) {
        execvp(argv[2], argv + 2);
        _exit(127);
    }
    if (pid < 0 || wait4(pid, &status, 0, &used) != pid)
        return 4;
    clock_gettime(CLOCK_MONOTONIC, &ended);
    FILE *f = fopen(argv[1], "we");
    if (!f)
        return 4;
    fprintf(f, "{\"seconds\": %.3f, \"rss_kib\": %ld, \"cpu_seconds\": %.3f}\n",
            (double)(ended.tv_sec - begun.tv_sec) + (double)(ended.tv_nsec - begun.tv_nsec) / 1e9,
            used.ru_maxrss, seconds_of(used.ru_utime) + seconds_of(used.ru_stime));
    if (fclose(f))
        return 4;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
