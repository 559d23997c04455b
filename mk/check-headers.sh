#!/bin/sh
# check-headers.sh "MODULE...:KNOWN..." ...: the sources of these modules (folders or files under src/)
# include only headers that lie in KNOWN. A module that is not there yet breaks no rule.
# SRC=FOLDER looks at another tree.
src=${SRC:-src}
wrong=$(cd "$src" && find . -name '*.[ch]' -printf '%P\n' |
    xargs grep -HnE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' |
    awk -v src="$src" '
        # Whether a path is one of these words: a file, or a folder above it. A source among KNOWN stands for its folder.
        function lies(path, words, sources_stand_for_folders,   n, i, w, part) {
            n = split(words, part, " ")
            for (i = 1; i <= n; i++) {
                w = part[i]
                if (sources_stand_for_folders && w ~ /\.[cS]$/)
                    sub(/\/[^\/]*$/, "", w)
                if (path == w || index(path, w "/") == 1)
                    return 1
            }
            return 0
        }
        BEGIN {
            for (rules = 0; rules + 1 < ARGC; rules++) {
                split(ARGV[rules + 1], half, ":")
                modules[rules] = half[1]
                known[rules] = half[2]
            }
            ARGC = 1
        }
        {
            path = header = $0
            sub(/:.*/, "", path)
            sub(/^[^"]*"/, "", header)
            sub(/".*/, "", header)
            for (i = 0; i < rules; i++)
                if (lies(path, modules[i], 0) && !lies(header, known[i], 1)) {
                    print src "/" $0 "  (must not be known here)"
                    break
                }
        }' "$@")
[ -z "$wrong" ] && echo "no module includes a header that it must not know" && exit
printf '%s\n' "$wrong"
exit 1
