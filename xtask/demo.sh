#!/usr/bin/env bash
# Shows btdt at work on a real directory: the sources of this project's own dependencies, which
# cargo has unpacked on every machine that built it. Checks every result and stops at the first
# wrong one. `cargo xtask demo` builds btdt and runs this.
#
# usage: demo.sh PROGRAM DIRECTORY
set -euo pipefail
export LC_ALL=C # for the decimal point of $EPOCHREALTIME, and the order of sort
program=$1
directory=$2
cache=$directory/cache first=$directory/dependencies second=$directory/dependencies-changed
restored=$directory/restored
rows=() before=0

fail() {
    echo "demo: $*" >&2
    exit 1
}

bytes() { find "$@" -type f -printf '%s\n' | awk '{ sum += $1 } END { print sum + 0 }'; }
files() { find "$@" -type f | wc -l; }
size() { numfmt --to=si --suffix=B --format=%.1f "$1"; }

# Runs btdt, shows the command and output, and checks its exit code and standard output. Sets
# $seconds.
btdt() {
    local expected_code=$1 expected_output=$2 code=0 output begin=$EPOCHREALTIME
    shift 2
    echo "\$ $program $*"
    output=$("$program" "$@") || code=$?
    seconds=$(awk "BEGIN { printf \"%.3f\", $EPOCHREALTIME - $begin }")
    echo "$output"
    [ "$code" = "$expected_code" ] || fail "exit code $code instead of $expected_code"
    [ "$output" = "$expected_output" ] || fail "printed \"$output\" instead of \"$expected_output\""
}

# Adds a row to the table: the step, and what it shows.
row() {
    local now
    now=$(bytes "$cache")
    rows+=("$(printf '%s|%s s|%s|+%s' "$1" "$seconds" "$(size "$now")" "$(size $((now - before)))")" "    $2")
    before=$now
}

# Checks that two trees are the same: names, kinds, contents, modes, times and link targets.
same() {
    diff -r --no-dereference "$1" "$2" > /dev/null || fail "$1 and $2 have different contents"
    diff <(cd "$1" && find . -printf '%P %y %m %T@ %l\n' | sort) \
        <(cd "$2" && find . -printf '%P %y %m %T@ %l\n' | sort) > /dev/null ||
        fail "$1 and $2 have different modes or times"
}

echo "Gathering the sources of this project's dependencies ..."
rm -rf "$directory"
mkdir -p "$cache" "$first"
sources=("${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/)
cargo tree --workspace --locked --prefix none --format '{p}' |
    awk '$2 ~ /^v/ && !/\(\// { print $1 "-" substr($2, 2) }' | sort -u |
    while read -r name; do
        for source in "${sources[@]}"; do
            if [ -d "$source$name" ]; then cp -a "$source$name" "$first/$name"; fi
        done
    done
total=$(files "$first")
[ "$total" -gt 1000 ] || fail "found only $total files of dependencies in ${sources[*]}"
cp -a "$first" "$second"

# Like an update of a few dependencies: five files edited, one added, one deleted.
mapfile -t chosen < <(find "$second" -name lib.rs | sort | awk 'NR % 20 == 1' | head -6)
for file in "${chosen[@]:1}"; do
    echo "// Edited by the demo." >> "$file"
done
echo "//! New." > "$(dirname "${chosen[1]}")/added_by_the_demo.rs"
rm "${chosen[0]}"

echo
echo "The directory to cache: $(find "$first" -mindepth 1 -maxdepth 1 | wc -l) crates, $total files, $(size "$(bytes "$first")"), in $first"
echo
btdt 0 "" store --cache "$cache" --keys dependencies-v1 "$first"
once=$(bytes "$cache")
row "store dependencies-v1" "$total files went into $(files "$cache") files of the cache, compressed to $((100 * once / $(bytes "$first"))) %."
btdt 0 "" store --cache "$cache" --keys dependencies-v2 "$second"
row "store dependencies-v2" "5 files edited, 1 added, 1 deleted: only what changed is new."

btdt 0 "Restored key dependencies-v1" restore --cache "$cache" --keys dependencies-v1 --exact "$restored"
same "$first" "$restored"
row "restore dependencies-v1, new directory" "$total files written and verified."

touch "$directory/before"
btdt 0 "Restored key dependencies-v2" restore --cache "$cache" --keys dependencies-v2 --exact "$restored"
same "$second" "$restored"
written=$(find "$restored" -type f -newercm "$directory/before" | wc -l)
# Archives have times in whole seconds, which do not identify versions: files of several chunks with
# such times are written again.
large=$(find "$second" -type f -size +1023k | wc -l)
{ [ "$written" -ge 6 ] && [ "$written" -le $((6 + large)) ]; } || fail "wrote $written files where 6 differ"
row "restore dependencies-v2, over the other" "$written files differed and were written; the others were left alone."

btdt 3 "Restored key dependencies-v1" restore --cache "$cache" --keys dependencies-v3,dependencies-v1 --exact "$restored"
same "$first" "$restored"
row "restore dependencies-v3 or dependencies-v1" "The first key is unknown, so the second is used: exit code 3."
btdt 4 "" restore --cache "$cache" --keys dependencies-v3 "$restored"
row "restore dependencies-v3" "A miss is no error, and has an exit code of its own: 4."

echo
printf '%s\n' "step|time|cache size|growth" "${rows[@]}" |
    awk -F'|' 'NF == 1 { print; next } { printf "%-44s %9s %11s %10s\n", $1, $2, $3, $4 }'
echo
echo "Two trees of $(size $(($(bytes "$first") + $(bytes "$second")))) together are in a cache of $(size "$before"); an archive of each would"
echo "take about $(size $((2 * once))). All restored trees were compared byte for byte, with modes and times: identical."
echo "btdt was built as for tests. Look around in $directory, and try: $program --help"
