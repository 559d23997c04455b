/*
 * Functions of the C library that the engine calls and that safehouse-store must never perform: name
 * look-ups, sockets, new processes. Defined in the program they take precedence over the library's,
 * so the engine gets a plain refusal where the seccomp filter, which stands behind this and kills,
 * would end the store. (At start the engine looks up its host's name, for nothing that is used here.)
 */
#include <errno.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <pwd.h>
#include <sys/socket.h>
#include <unistd.h>

static int refused(void) {
    errno = EPERM;
    return -1;
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **ret) {
    (void)node, (void)service, (void)hints, (void)ret;
    return EAI_FAIL;
}

int getnameinfo(const struct sockaddr *sa, socklen_t len, char *host, socklen_t host_len,
                char *service, socklen_t service_len, int flags) {
    (void)sa, (void)len, (void)host, (void)host_len, (void)service, (void)service_len, (void)flags;
    return EAI_FAIL;
}

int getifaddrs(struct ifaddrs **ret) {
    (void)ret;
    return refused();
}

struct servent *getservbyname(const char *name, const char *protocol) {
    (void)name, (void)protocol;
    return NULL;
}

int getpwnam_r(const char *name, struct passwd *pwd, char *buf, size_t len, struct passwd **ret) {
    (void)name, (void)pwd, (void)buf, (void)len;
    *ret = NULL;
    return 0;
}

int getpwuid_r(uid_t uid, struct passwd *pwd, char *buf, size_t len, struct passwd **ret) {
    (void)uid, (void)pwd, (void)buf, (void)len;
    *ret = NULL;
    return 0;
}

int socket(int domain, int type, int protocol) {
    (void)domain, (void)type, (void)protocol;
    return refused();
}

int connect(int fd, const struct sockaddr *sa, socklen_t len) {
    (void)fd, (void)sa, (void)len;
    return refused();
}

int bind(int fd, const struct sockaddr *sa, socklen_t len) {
    (void)fd, (void)sa, (void)len;
    return refused();
}

pid_t fork(void) {
    return refused();
}

pid_t vfork(void) {
    return refused();
}
