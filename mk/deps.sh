#!/bin/sh
# deps.sh PACKAGE[:COMMAND]...: installs those of Debian's packages that are missing. The network and
# root are needed only if any is.
set -eu

# `command` finds what is on PATH, whoever installed it; the rest is dpkg's word.
packages= missing=
for entry; do
    case $entry in
    *:*) command -v "${entry#*:}" >/dev/null || missing="$missing ${entry%%:*}" ;;
    *) packages="$packages $entry" ;;
    esac
done
if command -v dpkg-query >/dev/null; then
    there=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $packages 2>/dev/null |
        sed -n 's/^installed //p') || true
    for p in $packages; do
        case "
$there
" in *"
$p
"*) ;; *) missing="$missing $p" ;; esac
    done
elif ! command -v apt-get >/dev/null; then
    echo "Safehouse is built on Debian 12. Elsewhere, install what these packages of Debian have, and"
    echo "say DEPS=no to make:$missing$packages"
    exit 1
fi
[ -n "$missing" ] || exit 0

install="apt-get install -y --no-install-recommends$missing"
if [ "$(id -u)" != 0 ]; then
    echo "Packages are missing. As root, or with sudo in front:"
    echo "    apt-get update && $install"
    exit 1
fi
echo "Installing what is missing:$missing"

# Debian starts servers as it installs them. Safehouse runs its own nginx, and its tests their own of the
# rest, so these are kept from starting now and at the next boot; those that were there before are left.
servers=
for s in nginx redis-server memcached nats-server mosquitto etcd-server clickhouse-server postgresql-15 \
    mariadb-server zookeeper rabbitmq-server influxdb prometheus jupyter-server; do
    case " $missing " in *" $s "*) servers="$servers $s" ;; esac
done
policy=/usr/sbin/policy-rc.d
if [ -n "$servers" ] && [ ! -e $policy ]; then
    trap 'rm -f $policy' EXIT
    trap 'exit 1' HUP INT TERM
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod 755 $policy
fi
log=$(mktemp)
quiet() { "$@" >"$log" 2>&1 || { tail -n 20 "$log"; rm -f "$log"; return 1; }; }
export DEBIAN_FRONTEND=noninteractive
quiet apt-get -o DPkg::Lock::Timeout=300 update
quiet apt-get -o DPkg::Lock::Timeout=300 ${install#apt-get }
rm -f "$log"
for s in $servers; do
    for name in ${s%-15} ${s%-server} prometheus-node-exporter; do
        update-rc.d "$name" disable >/dev/null 2>&1 || true
    done
done
