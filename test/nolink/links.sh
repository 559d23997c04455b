#!/bin/sh
# What the write path must not call does not link, or is found by check-links: programs linked as the
# sealer is (mk/check.mk), checked with the sealer's rule of mk/bins.mk.
set -u
cd "$(dirname "$0")/../.."
B=${B:-build}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
bad=0
wrong() { echo "wrong: $1"; bad=1; }
links() { make -s DEPS=no "B=$B" "$B/nolink/bin/$1" >"$log" 2>&1; }
checked() { sh mk/check-links.sh "$B/nolink" "$1:$forbidden" >"$log" 2>&1; }

forbidden=$(make -s DEPS=no "B=$B" show-FORBIDDEN_safehouse-sealer)
[ -n "$forbidden" ] || wrong "the sealer has no rule"

links nothing || { cat "$log"; wrong "the control does not link"; }
checked "nothing" || wrong "the control is refused: $(cat "$log")"

links calls_unseal && wrong "a program of the write path links unseal_new"
grep -q "undefined reference to .unseal_new" "$log" ||
    wrong "calls_unseal failed for another reason: $(cat "$log")"
make -s DEPS=no "B=$B" "$B/nolink/bin/reading/calls_unseal" >"$log" 2>&1 ||
    { cat "$log"; wrong "the same program does not link with the reading side either"; }

for program in calls_seal_open:crypto_box_seal_open hides_unseal:unseal_something; do
    file=${program%:*} symbol=${program#*:}
    links "$file" || { cat "$log"; wrong "$file does not link"; }
    checked "$file" && wrong "check-links lets $file pass"
    grep -q "$file contains forbidden: .*$symbol" "$log" || wrong "$symbol is not named"
done

# The same, stripped: what it needs from libraries is still seen.
strip -o "$B/nolink/bin/stripped" "$B/nolink/bin/calls_seal_open"
checked "stripped" && wrong "check-links does not see what a stripped object needs"

: >"$B/nolink/bin/empty"
checked "empty" && wrong "a file without symbols passes"
checked "missing" && wrong "a file that is not there passes"
exit $bad
