#!/bin/sh
# check-links.sh BUILD "program:symbol symbol..." ...: no program may contain or need the symbols that
# mk/bins.mk forbids it. A symbol that ends in _ forbids every name that begins so.
build=$1
shift
bad=0
for rule; do
    program=${rule%%:*}
    names=$( (nm "$build/bin/$program"; nm -D "$build/bin/$program") | awk '{print $NF}' | sed 's/@.*//' | sort -u)
    for symbol in ${rule#*:}; do
        case $symbol in
        *_) found=$(printf '%s\n' "$names" | grep "^$symbol") ;;
        *) found=$(printf '%s\n' "$names" | grep -x "$symbol") ;;
        esac
        if [ -n "$found" ]; then
            echo "$program contains forbidden: $(echo $found)"
            bad=1
        fi
    done
done
[ $bad = 0 ] && echo "no program contains a symbol that it must not contain"
exit $bad
