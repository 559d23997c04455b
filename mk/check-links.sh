#!/bin/sh
# check-links.sh BUILD "PROGRAM:SYMBOL SYMBOL..." ...: no program or module in BUILD/bin may contain or
# need the symbols that mk/bins.mk forbids it. A symbol that ends in _ forbids every name that begins so.
build=$1
shift
bad=0
for rule; do
    program=${rule%%:*}
    file=$build/bin/$program
    # A list that is empty is a file that could not be read, not one without symbols.
    names=$({ nm "$file" 2>/dev/null; nm -D "$file"; } | awk '{print $NF}' | sed 's/@.*//' | sort -u)
    if [ -z "$names" ]; then
        echo "$program has no symbols to look at"
        bad=1
    fi
    for symbol in ${rule#*:}; do
        case $symbol in
        *_) found=$(printf '%s\n' "$names" | grep "^$symbol") ;;
        *) found=$(printf '%s\n' "$names" | grep -Fx "$symbol") ;;
        esac
        if [ -n "$found" ]; then
            echo "$program contains forbidden: $(echo $found)"
            bad=1
        fi
    done
done
[ $bad = 0 ] && echo "no program contains a symbol that it must not contain"
exit $bad
