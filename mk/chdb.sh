#!/bin/sh
# chdb.sh PACKAGE INTEGRITY FOLDER: libchdb from npm, checked against INTEGRITY ("sha512-<base64>"),
# into FOLDER. The folder appears whole or not at all.
set -eu
package=$1 integrity=$2 folder=$3
mkdir -p "$(dirname "$folder")"
temp=$(mktemp -d "$folder.XXXXXX")
trap 'rm -rf "$temp"' EXIT
trap 'exit 1' HUP INT TERM
echo "Getting $package (170 MiB)"
npm pack --silent --prefer-offline --pack-destination "$temp" "$package" >/dev/null
want=$(printf %s "${integrity#sha512-}" | base64 -d | od -An -vtx1 | tr -d ' \n')
got=$(sha512sum "$temp"/*.tgz | cut -d ' ' -f 1)
if [ "$want" != "$got" ]; then
    echo "$package is not the file that was pinned: its SHA-512 is $got" >&2
    exit 1
fi
mkdir "$temp/new"
tar -xzf "$temp"/*.tgz -C "$temp/new" --strip-components=1 --no-same-owner \
    package/libchdb.so package/package.json
touch "$temp/new/libchdb.so" # the archive's times are years ago
rm -rf "$folder"
mv "$temp/new" "$folder"
