#!/bin/sh
# `make bench-gateway`: what a request and an event cost in Safehouse and in plain nginx, side by
# side in one run. Builds the two ends of the benchmark, then runs gateway.mjs (its head says what
# is measured and how to shorten it). B is the build directory, as in the Makefile.
set -eu
cd "$(dirname "$0")/.."
B=${B:-build}
CC=${CC:-cc}
mkdir -p "$B/bench"
for end in upstream load; do
    "$CC" -std=gnu17 -D_GNU_SOURCE -O2 -g -Wall -Wextra -Wshadow -Wconversion -Wformat=2 -Werror \
        -o "$B/bench/$end" "bench/$end.c" bench/http.c bench/net.c
done
B=$B exec node bench/gateway.mjs
