#!/bin/sh
# Of the program that probes, one object calls connect, and none a call that sends to an address: so
# every connection goes through conn_open, which enforces the scope. The other programs of the audit
# connect to nothing.
set -u
cd "$(dirname "$0")/../.."
B=${B:-build}
bad=0
callers() { # callers SYMBOLS OBJECT...: objects that refer to one of them
    symbols=$1
    shift
    nm -A -u "$@" 2>/dev/null | grep -E " U ($symbols)(@|$)" | sed 's/:.*//' | sort -u
}
objects=
for module in $(make -s DEPS=no "B=$B" show-MODULES_safehouse-audit); do
    case $module in
    *.c) objects="$objects $B/obj/$module.o" ;;
    *.S) ;;
    *) for source in src/$module/*.c; do objects="$objects $B/obj/${source#src/}.o"; done ;;
    esac
done
for o in $objects; do [ -e "$o" ] || { echo "wrong: $o is not built"; exit 1; }; done
found=$(callers connect $objects)
[ "$found" = "$B/obj/audit/probe/conn.c.o" ] || { echo "wrong: these call connect: $found"; bad=1; }
found=$(callers 'sendto|sendmsg|sendmmsg|bind|getaddrinfo|gethostbyname|syscall' $objects)
for f in $found; do
    case $f in
    "$B/obj/ipc/sandbox.c.o") ;; # syscall(): Landlock and seccomp have no wrappers
    *) echo "wrong: $f calls what could send elsewhere" && bad=1 ;;
    esac
done
found=$(callers 'connect|sendto' $B/obj/audit/scope.c.o $B/obj/audit/report/*.o $B/obj/proc/cli/audit*.o)
[ -z "$found" ] || { echo "wrong: these connect, and are not the prober: $found"; bad=1; }
exit $bad
