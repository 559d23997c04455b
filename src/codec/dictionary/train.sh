#!/bin/sh
# Makes 1.zdict anew from corpus/*.txt: train.sh [OUT]. Only for a dictionary that was never shipped;
# what was shipped is never changed (a new one is 2.zdict, with a number of its own in codec.h).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/1.zdict}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
${CC:-cc} -std=gnu17 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -I"$here/../.." -o "$work/train" "$here/train.c" \
    "$here/../../base/bytes.c" -lzstd
node "$here/samples.mjs" "$work"
"$work/train" "$work" "$out"
