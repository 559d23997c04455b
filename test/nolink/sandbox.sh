#!/bin/sh
# The sealer's sandbox, with the sealer's own list: see sandbox.c.
set -u
cd "$(dirname "$0")/../.."
B=${B:-build}
make -s DEPS=no "B=$B" "$B/nolink/bin/sandbox" || exit 1
exec "$B/nolink/bin/sandbox"
