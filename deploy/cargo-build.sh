#!/bin/sh
# cargo, for commands that may compile RocksDB: says how long that takes, and
# shows that it moves. Cargo itself is silent while one build script runs.
set -eu

target=${CARGO_TARGET_DIR:-target}
# Seconds between two looks; short, for a look under way outlives this script.
LOOK_EVERY=2
SAY_EVERY=15

# Cargo writes `output` when a build script has ended.
for output in "$target"/debug/build/librocksdb-sys-*/output; do
    [ -e "$output" ] && exec cargo "$@"
done

cat <<END
The first build compiles RocksDB from its C++ source: about 25 minutes of one core,
15 to 25 minutes in all on two (${CARGO_BUILD_JOBS:-?} jobs here). It is done once.
END

compiled() {
    find "$target"/debug/build/librocksdb-sys-*/out -name '*.o' 2>/dev/null | wc -l
}

# The list of sources is in the crate, once cargo has downloaded it.
sources() {
    cat "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/librocksdb-sys-*/rocksdb_lib_sources.txt \
        2>/dev/null | grep -c '\.cc$' || true
}

began=$(date +%s)
watch_rocksdb() {
    looks=0
    while sleep "$LOOK_EVERY"; do
        looks=$((looks + 1))
        [ $((looks % SAY_EVERY)) -eq 0 ] || continue
        done_now=$(compiled)
        [ "$done_now" -gt 0 ] || continue
        printf '   RocksDB: %s of about %s files after %s min\n' \
            "$done_now" "$(sources)" "$((($(date +%s) - began) / 60))"
        for output in "$target"/debug/build/librocksdb-sys-*/output; do
            [ -e "$output" ] && return
        done
    done
}
watch_rocksdb &
watcher=$!
trap 'kill "$watcher" 2>/dev/null || true' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

cargo "$@"
