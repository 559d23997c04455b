/*
 * `safehouse post-alarm`, which is no command for people: the supervisor starts it with a URL and a
 * body on standard input, so that neither a key nor the supervisor's own memory is in a process
 * that speaks to the network, and a slow webhook holds up nobody.
 *
 * Before it asks for the name or connects it is confined: it may read what a resolver and a verifier of
 * certificates read, write no file, run nothing, and connect by TCP to the webhook's port alone (and to that of
 * names), where the kernel can tell. A kernel without Landlock does not keep the alarm from being told.
 */
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "control/webhook.h"
#include "ipc/child.h"
#include "proc/cli/cli.h"
#include "proc/cli/post.h"

#define INPUT_MAX (WEBHOOK_URL_MAX + 4096)
#define PORT_OF_NAMES 53

/* Libraries for those that libcurl and the resolver load when they are asked, certificates, and who names are. */
static const char *const readable[] = {
    "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache", "/etc/ssl",
    "/etc/pki", "/etc/crypto-policies", "/etc/ca-certificates", "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates", "/usr/share/pki", "/usr/share/crypto-policies",
    "/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf",
    "/etc/services", "/run/systemd/resolve", "/dev/urandom", NULL};

/* libcurl's, with its resolver's thread. */
static const int syscalls[] = {
    SYS_socket,   SYS_socketpair, SYS_connect,   SYS_bind,       SYS_setsockopt,        SYS_getsockname,
    SYS_sendmmsg, SYS_recvmmsg,   SYS_ioctl,     SYS_pipe2,      SYS_getpeername,       SYS_openat,
    SYS_open,     SYS_access,     SYS_faccessat, SYS_faccessat2, SYS_stat,              SYS_lstat,
    SYS_statx,    SYS_readlink,   SYS_pread64,   SYS_readlinkat, SYS_getdents64,        SYS_getcwd,
    SYS_clone,    SYS_clone3,     SYS_select,    SYS_pselect6,   SYS_sched_getaffinity, SYS_uname,
    SYS_sysinfo,  SYS_getppid,    SYS_getgid,    SYS_getegid,    SYS_statfs,            SYS_fstatfs,
    -1};

static bool confine(const char *url) {
    const uint16_t ports[] = {webhook_port(url), PORT_OF_NAMES, 0};
    const struct sandbox_spec spec = {
        .read_paths = readable, .syscalls = syscalls, .connect_ports = ports, .best_effort = true};
    struct sandbox_state state;
    return ports[0] && sandbox_enter(&spec, &state) == 0;
}

int cli_post_alarm(int argc, char **argv) {
    static char input[INPUT_MAX + 1];
    size_t n = 0;
    (void)argv;
    if (argc != 1)
        return CLI_USAGE;
    prctl(PR_SET_DUMPABLE, 0);
    for (ssize_t got = 1; got > 0 && n<INPUT_MAX; n += got> 0 ? (size_t)got : 0)
        got = read(STDIN_FILENO, input + n, INPUT_MAX - n);
    char *body = memchr(input, '\n', n);
    if (!body)
        return CLI_USAGE;
    *body++ = 0;
    const bool taken = webhook_valid(input) && confine(input) &&
                       post_json(input, body, n - (size_t)(body - input));
    explicit_bzero(input, sizeof input);
    return taken ? CLI_DONE : CLI_INCOMPLETE;
}
