#!/bin/sh
# Three nodes on loopback, made as an operator makes them on three machines: each
# node its own keys and request, the operator's root apart, an admission for each.
# They run until Ctrl-C, and begin again where they were.
#
#   deploy/three-nodes.sh CHANCERY [DIR]
set -eu

chancery=${1:?give the chancery binary: target/debug/chancery}
chancery=$(command -v "$chancery") || { echo "no such binary: $1; \`make build\` makes it" >&2; exit 1; }
case $chancery in /*) ;; *) chancery=$PWD/$chancery ;; esac
directory=${2:-three-nodes}
mkdir -p "$directory"
cd "$directory"
export CHANCERY_PROFILE="$PWD/profile"

processes=
stop() {
    for process in $processes; do
        kill "$process" 2>/dev/null || true
    done
    wait
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say() {
    printf '$ chancery %s\n' "$*"
    "$chancery" "$@" >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
}
log=$PWD/last-command.log

# A node answers once its state is proved fresh.
until_serving() {
    for _ in $(seq 300); do
        "$chancery" node status --endpoint "127.0.0.1:$1" --output json 2>/dev/null |
            grep -q '"fresh": true' && return
        sleep 0.1
    done
    echo "node on port $1 does not serve: see $directory/node-*/log" >&2
    exit 1
}

for number in 1 2 3; do
    node=node-$number
    api=74${number}1
    fresh=
    if [ ! -e "$node/admission.json" ]; then
        fresh=yes
        say node request --dir "$node" --name "$node" --api "127.0.0.1:$api" \
            --peer "127.0.0.1:74${number}2" --admin-listen "127.0.0.1:74${number}3"
        if [ "$number" -eq 1 ]; then
            say init --request "$node/request.json" --san 127.0.0.1 --san localhost \
                --trust-domain example.org --issuer-url https://chancery.example.org \
                --operator alice --ca ca --profile profile --admission "$node.admission.json"
        else
            say node add --request "$node/request.json" --san 127.0.0.1 --san localhost --ca ca \
                --admission "$node.admission.json"
        fi
        say join --dir "$node" "$node.admission.json"
    fi
    printf '$ chancery serve --config %s/node.toml\n' "$node"
    "$chancery" serve --config "$node/node.toml" >>"$node/log" 2>&1 &
    processes="$processes $!"
    # The first starts alone; nodes that come back need each other to begin with.
    if [ -n "$fresh" ]; then
        until_serving "$api"
        [ "$number" -eq 1 ] || say node promote "$number"
    fi
done
for number in 1 2 3; do
    until_serving "74${number}1"
done
"$chancery" node status
cat <<END

Three nodes serve. In another terminal:
  export CHANCERY_PROFILE=$CHANCERY_PROFILE
  $chancery node list
Ctrl-C stops them; the same command goes on from $PWD.
END
wait
