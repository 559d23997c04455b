#!/bin/sh
# check-headers finds each include that crosses the directions or the layers.
set -u
cd "$(dirname "$0")/../.."
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
bad=0
check() { SRC=$copy/src make -s DEPS=no check-headers >"$copy/log" 2>&1; }

cp -r src "$copy/src"
check || { cat "$copy/log"; echo "wrong: the tree as it is does not pass"; exit 1; }

refused() { # refused FOLDER HEADER: a source there that includes it
    mkdir -p "$copy/src/$1"
    printf '#include <stdio.h>\n#  include "%s"\n' "$2" >"$copy/src/$1/planted.c"
    if check; then
        echo "wrong: src/$1 may include $2"
        bad=1
    elif ! grep -q "/$1/planted.c:2:" "$copy/log"; then
        echo "wrong: src/$1 with $2 was refused for another reason:"
        cat "$copy/log"
        bad=1
    fi
    rm "$copy/src/$1/planted.c"
}
refused write/seal read/unseal/unseal.h
refused write/gateway read/query/cells.h
refused read/unseal write/seal/seal.h
refused read/query write/turn/turn.h
refused read/query read/unseal/unseal.h
refused base record/envelope.h
refused ipc record/envelope.h
refused record llm/json.h
refused llm write/turn/turn.h
refused store read/query/cells.h
refused proc/sealer read/unseal/unseal.h
refused proc/store write/spool/spool.h
refused proc/vault write/seal/seal.h
refused proc/cli write/turn/turn.h
exit $bad
