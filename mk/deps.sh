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

# Debian starts a web server on port 80 when it installs nginx. Safehouse runs its own, so that one is
# kept from starting now and at the next boot; an nginx that was there before is left as it is.
policy=/usr/sbin/policy-rc.d
case " $missing " in
*" nginx "*)
    if [ ! -e $policy ]; then
        trap 'rm -f $policy' EXIT
        trap 'exit 1' HUP INT TERM
        printf '#!/bin/sh\nexit 101\n' >$policy
        chmod 755 $policy
    fi
    ;;
esac
log=$(mktemp)
quiet() { "$@" >"$log" 2>&1 || { tail -n 20 "$log"; rm -f "$log"; return 1; }; }
export DEBIAN_FRONTEND=noninteractive
quiet apt-get -o DPkg::Lock::Timeout=300 update
quiet apt-get -o DPkg::Lock::Timeout=300 ${install#apt-get }
rm -f "$log"
case " $missing " in
*" nginx "*) update-rc.d nginx disable >/dev/null 2>&1 || true ;;
esac
