#!/bin/sh
# run.sh: what `make run` does after the build. Makes an installation where there is none, starts it in
# the foreground, and says how to reach it. From the environment, each may be empty:
#   DIR  its folder (./var)     LISTEN    the gateway's address (127.0.0.1:8080, or the next free port)
#   B    the build (./build)    UPSTREAM  the model server     CONFIG  a configuration file
set -eu
dir=${DIR:-var} bin=${B:-build}/bin
safehouse=$bin/safehouse

# ---- the passphrase: in memory until the next boot, for this user alone ----

# A folder of ours on a file system that is in memory. /dev/shm is everybody's, so what lies there under
# our name is used only if it is ours and closed to others.
memory_folder() {
    for parent in "${XDG_RUNTIME_DIR:-}" /run /dev/shm; do
        [ -n "$parent" ] && [ -w "$parent" ] && [ "$(stat -f -c %T "$parent")" = tmpfs ] || continue
        folder=$parent/safehouse-$(id -u)
        mkdir -m 700 "$folder" 2>/dev/null || true
        [ ! -L "$folder" ] && [ "$(stat -c %u:%a "$folder" 2>/dev/null)" = "$(id -u):700" ] || continue
        echo "$folder"
        return
    done
    echo "There is no memory file system to hold a passphrase; make the installation by hand:" >&2
    echo "    $safehouse init --dir $dir && $safehouse up --dir $dir" >&2
    return 1
}

# 25 letters and digits that are not mistaken for one another: 125 bits.
new_passphrase() {
    LC_ALL=C tr -dc 'a-km-np-z2-9' </dev/urandom | head -c 25 | fold -w 5 | paste -s -d - -
}

mkdir -p "$(dirname "$dir")"
dir=$(realpath -m "$dir")
folder=$(memory_folder)
file=$folder/$(printf %s "$dir" | sha256sum | cut -c 1-16)
in_dir=
[ "$dir" = "$PWD/var" ] || in_dir=" --dir $dir" # what commands need when a person types them

json() { sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p"; }

key=
if [ ! -e "$dir/control/control.db" ]; then
    (umask 077 && new_passphrase >"$file")
    "$safehouse" init --dir "$dir" --passphrase-file "$file" >/dev/null || { rm -f "$file"; exit 1; }
    key=$("$safehouse" key create --dir "$dir" --json | json secret)
    cat <<END

    Passphrase   $(cat "$file")
    API key      $key

Both are shown this once; keep them. The passphrase alone opens what is logged. It stays in this
machine's memory until the next boot; after that the vault starts locked, and
    $safehouse unlock$in_dir
asks for it.

END
fi

# ---- the address ----

listens() {
    awk -v port=":$(printf %04X "$1")" '$4 == "0A" && substr($2, length($2) - 4) == port { n++ }
        END { exit !n }' /proc/net/tcp /proc/net/tcp6 2>/dev/null
}

if "$safehouse" status --dir "$dir" >/dev/null 2>&1; then
    echo "It runs already: $safehouse status$in_dir"
    exit 2
fi
if [ -z "${LISTEN:-}${CONFIG:-}" ]; then
    port=8080
    while [ $port -lt 8100 ] && listens $port; do port=$((port + 1)); done
    [ $port = 8080 ] || echo "Port 8080 is taken; taking $port. LISTEN=ADDRESS:PORT chooses another."
    LISTEN=127.0.0.1:$port
fi

# ---- the first steps, once everything listens ----

# A model that the upstream has. One on this machine is asked itself, so that the log begins with what
# a person asked; one elsewhere through the gateway, which has the credential.
model() {
    "$safehouse" status --dir "$dir" --json | KEY=$key node -e '
        const { url } = JSON.parse(require("fs").readFileSync(0, "utf8")).upstream;
        const near = /^http:..(127[.]|localhost|.::1)/.test(url);
        fetch((near ? url : process.argv[1]) + "/v1/models",
              { headers: near ? {} : { authorization: "Bearer " + process.env.KEY } })
            .then((r) => r.json()).then((m) => console.log(m.data[0].id))
            .catch(() => console.log("MODEL"))' "$1"
}

say_hello() {
    until [ "$dir/run/ready" -nt "$started" ]; do
        kill -0 $$ 2>/dev/null || return 0
        sleep 0.1
    done
    gateway=$(json gateway <"$dir/run/ready")
    echo
    if [ -z "$key" ]; then
        echo "API keys are there already; another one: $safehouse key create$in_dir"
    else
        cat <<END
Ask something:
    curl $gateway/v1/chat/completions -H 'Authorization: Bearer $key' \\
        -H 'Content-Type: application/json' \\
        -d '{"model": "$(model "$gateway")", "messages": [{"role": "user", "content": "Good morning!"}]}'
END
    fi
    cat <<END
What is logged:
    $safehouse tail$in_dir
Ctrl-C stops it.
END
}

started=$folder/started.$$
: >"$started"
{ say_hello || true; rm -f "$started"; } &

set -- up --dir "$dir"
[ -z "${LISTEN:-}" ] || set -- "$@" --listen "$LISTEN"
[ -z "${CONFIG:-}" ] || set -- "$@" --config "$CONFIG"
[ -z "${UPSTREAM:-}" ] || set -- "$@" --upstream "$UPSTREAM"
[ ! -e "$file" ] || set -- "$@" --passphrase-file "$file"
exec "$safehouse" "$@"
