#!/usr/bin/env bash
# soak.sh: runs the simulator over fresh seeds, and goes on where it stopped last time.
#
#   scripts/soak.sh SIMULATOR STATE_DIR [--minutes N] [--processes 1|2] [--from SEED] [--seeds N]
#   scripts/soak.sh --report STATE_DIR
#
# One STATE_DIR is of one commit: it keeps a copy of the simulator that began it, and refuses to go
# on with another, so that no sum mixes two. Seeds go in ranges of 1000, each with all that a
# campaign asks for; a range that was interrupted is run again from its beginning. --from says
# where a new STATE_DIR begins (100000), --seeds after how many seeds the soak is complete (40000).
# A failure leaves its output in STATE_DIR/failed-SEED and ends the soak with exit code 1; the next
# call refuses to go on until that file is gone. Exit code 0: no failure so far. The report ends
# with "complete", or with what is missing.
set -euo pipefail

usage() {
  sed -n '4,5s/^# *//p' "$0" >&2
  exit 2
}

# How many seeds are clean, and which; gaps are ranges that are still to be run.
report() {
  local state=$1 ranges seeds wanted
  ranges=$(sort -un "$state/clean" 2>/dev/null | wc -l)
  seeds=$((ranges * range))
  echo "commit $(cat "$state/commit"): $seeds seeds clean" \
    "$([ "$ranges" -eq 0 ] || sort -un "$state/clean" | awk -v n="$range" '
        $1 != end { if (NR > 1) printf "%d, ", end - 1; printf "%d to ", $1 }
        { end = $1 + n } END { printf "%d", end - 1 }')"
  wanted=$(cat "$state/seeds" 2>/dev/null || echo 40000)
  if ls "$state"/failed-* > /dev/null 2>&1; then
    ls "$state"/failed-* | sed 's/^/FAILED, see /'
  elif [ "$seeds" -ge "$wanted" ]; then
    echo "complete"
  else
    echo "not complete: $((wanted - seeds)) of $wanted seeds are still to be run"
  fi
}

range=1000
if [ "${1:-}" = --report ]; then
  [ $# -eq 2 ] && [ -f "$2/commit" ] || usage
  report "$2"
  exit 0
fi
[ $# -ge 2 ] || usage
simulator=$1
state=$2
shift 2
minutes=10
processes=1
from=100000
seeds=40000
while [ $# -gt 1 ]; do
  case $1 in
    --minutes) minutes=$2 ;;
    --processes) processes=$2 ;;
    --from) from=$2 ;;
    --seeds) seeds=$2 ;;
    *) usage ;;
  esac
  shift 2
done
[ $# -eq 0 ] || usage
[ "$processes" = 1 ] || [ "$processes" = 2 ] || {
  echo "soak.sh: one process or two" >&2
  exit 2
}

mkdir -p "$state"
exec 9> "$state/lock"
flock -n 9 || {
  echo "soak.sh: another soak runs in $state" >&2
  exit 2
}
root=$(cd "$(dirname "$0")/.." && pwd)
commit=$(git -C "$root" rev-parse --short HEAD 2>/dev/null || echo unknown)
[ -z "$(git -C "$root" status --porcelain --untracked-files=no 2>/dev/null)" ] ||
  commit="$commit with changes"
if [ ! -f "$state/commit" ]; then
  # A simulator that is older than the sources is not of this commit.
  newest=$(cd "$root" && find src include tests/sim tests/support -type f -newer "$simulator" |
    head -1)
  [ -z "$newest" ] || {
    echo "soak.sh: $newest is newer than the simulator; build raftcs-sim first" >&2
    exit 2
  }
  cp "$simulator" "$state/raftcs-sim"
  echo "$from" > "$state/first"
  echo "$from" > "$state/next"
  : > "$state/clean"
  echo "$commit" > "$state/commit"
fi
[ "$(cat "$state/commit")" = "$commit" ] || {
  echo "soak.sh: $state is of commit $(cat "$state/commit"), and this is $commit:" \
    "begin another directory" >&2
  exit 2
}
if ls "$state"/failed-* > /dev/null 2>&1; then
  report "$state"
  echo "soak.sh: remove the failure's file to go on, or begin another directory" >&2
  exit 1
fi
echo "$seeds" > "$state/seeds"
end=$(($(cat "$state/first") + seeds))

run_range() {
  local out="$state/running-$1"
  if "$state/raftcs-sim" --from "$1" --seeds "$range" > "$out" 2>&1 9>&-; then
    echo "$1" >> "$state/clean"
    rm -f "$out"
    echo "$(cat "$state/commit"): $1 to $(($1 + range - 1)) clean"
  else
    mv "$out" "$state/failed-$1"
    tail -4 "$state/failed-$1"
    return 1
  fi
}

# One range after another; those that were interrupted come first.
worker() {
  while [ $SECONDS -lt $((minutes * 60)) ]; do
    local seed=
    {
      flock 8
      if [ -s "$state/again" ]; then
        seed=$(head -1 "$state/again")
        sed -i 1d "$state/again"
      else
        seed=$(cat "$state/next")
        [ "$seed" -lt "$end" ] || return 0
        echo $((seed + range)) > "$state/next"
      fi
      : > "$state/running-$seed"
    } 8> "$state/take"
    run_range "$seed" || return 1
    ! ls "$state"/failed-* > /dev/null 2>&1 || return 0  # the other process has found something
  done
}

: > "$state/again"
for file in "$state"/running-*; do
  [ ! -e "$file" ] || echo "${file##*-}" >> "$state/again"
done
pids=()
for ((i = 0; i < processes; ++i)); do
  worker &
  pids+=($!)
done
failed=0
for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
report "$state"
exit "$failed"
