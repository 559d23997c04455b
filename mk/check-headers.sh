#!/bin/sh
# check-headers.sh "MODULE...:KNOWN..." ...: the sources of these modules (folders or files under src/)
# include only headers that lie in KNOWN. A module that is not there yet breaks no rule.
# SRC=FOLDER looks at another tree.
src=${SRC:-src}
bad=0
for rule; do
    files=
    for m in ${rule%%:*}; do
        [ -e "$src/$m" ] && files="$files $(find "$src/$m" -name '*.[ch]')"
    done
    [ -n "$files" ] || continue
    known=
    for m in ${rule#*:}; do
        case $m in
        *.h) known="$known|$m" ;;
        *.[cS]) known="$known|${m%/*}/[^\"]*" ;;
        *) known="$known|$m/[^\"]*" ;;
        esac
    done
    wrong=$(grep -nE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' /dev/null $files |
        grep -vE "\"(${known#|})\"")
    if [ -n "$wrong" ]; then
        printf '%s\n' "$wrong" | sed 's/$/  (must not be known here)/'
        bad=1
    fi
done
[ $bad = 0 ] && echo "no module includes a header that it must not know"
exit $bad
