/* What to do about a service that answers strangers, in its own words. Names of options are those
 * of the services' manuals; where a service has no sign-in of its own, something in front has to
 * ask. */
#include <string.h>

#include "audit/report/report.h"

static const struct {
    const char *service, *fix;
} fixes[] = {
    {"chroma",
     "it has no sign-in of its own: put a proxy with one in front, and bind it to loopback"},
    {"cassandra",
     "authenticator: PasswordAuthenticator in cassandra.yaml; rpc_address of the inside"},
    {"clickhouse", "a password for user default (or no such user), <networks>, and listen_host"},
    {"clickhouse-interserver", "<interserver_http_credentials>, interserver_https_port, and an "
                               "interserver_listen_host of the inside"},
    {"clickhouse-native",
     "a password for user default (or no such user), <networks>, and listen_host"},
    {"couchdb", "an admin in [admins], require_valid_user = true, bind_address of the inside"},
    {"docker", "no tcp:// in -H without --tlsverify; use the unix socket, or ssh://"},
    {"docker-registry", "auth: htpasswd in its configuration, or a proxy that asks"},
    {"elasticsearch",
     "xpack.security.enabled: true (OpenSearch: the security plugin); network.host"},
    {"etcd", "--client-cert-auth, or etcdctl auth enable; --listen-client-urls of the inside"},
    {"grafana", "[auth.anonymous] enabled = false"},
    {"influxdb", "[http] auth-enabled = true, after an admin was made; bind-address"},
    {"jupyter", "a token or password (no empty ServerApp.token), and ip = 127.0.0.1"},
    {"kafka", "SASL_SSL listeners and ACLs in place of PLAINTEXT ones"},
    {"langfuse", "an API key for every project, no public ones; AUTH_DISABLE_SIGNUP=true"},
    {"litellm", "LITELLM_MASTER_KEY, and keys for those who may"},
    {"llama.cpp", "--api-key or --api-key-file, --host 127.0.0.1, and a proxy that asks for a key"},
    {"memcached", "-l with the inner address, -U 0, and -S (SASL) or -Y"},
    {"metrics", "bind it to the inside, or --web.config.file with basic_auth_users"},
    {"milvus", "common.security.authorizationEnabled: true, and another password than the default"},
    {"minio", "mc anonymous set none for each bucket"},
    {"mlflow", "mlflow server --app-name basic-auth, or a proxy that asks"},
    {"mongodb", "security.authorization: enabled, and net.bindIp of the inside"},
    {"mqtt", "allow_anonymous false, password_file, and a listener of the inside"},
    {"mysql", "passwords for root and no anonymous user; bind-address; never --skip-grant-tables"},
    {"nats", "authorization in its configuration, and -a with the inner address"},
    {"ollama", "OLLAMA_HOST=127.0.0.1, and a proxy that asks for a key in front of it"},
    {"open-webui", "WEBUI_AUTH=true, ENABLE_SIGNUP=false"},
    {"openai-compatible", "start it with an API key (--api-key), on an inner address"},
    {"phoenix", "PHOENIX_ENABLE_AUTH=true, and its secret"},
    {"postgresql", "no trust in pg_hba.conf (scram-sha-256), and listen_addresses of the inside"},
    {"prometheus",
     "--web.config.file with basic_auth_users, and --web.listen-address of the inside"},
    {"qdrant", "service.api_key in its configuration, and service.host of the inside"},
    {"rabbitmq", "no ANONYMOUS in auth_mechanisms; no user guest; listeners of the inside"},
    {"rabbitmq-management", "no user guest; management.tcp.ip of the inside"},
    {"ray", "--dashboard-host 127.0.0.1: whoever reaches it runs programs"},
    {"redis", "requirepass or ACL users (user default off), protected-mode yes, bind"},
    {"weaviate", "AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED=false, and API keys"},
    {"zookeeper", "enforce.auth.enabled with SASL, ACLs on nodes, clientPortAddress of the inside"},
};

const char *report_fix(const char *service) {
    for (size_t i = 0; i < sizeof fixes / sizeof fixes[0]; i++)
        if (strcmp(fixes[i].service, service) == 0)
            return fixes[i].fix;
    return "let it ask for a credential, and listen only where it is needed";
}
