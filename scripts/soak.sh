#!/usr/bin/env bash
# soak.sh: runs the simulator over fresh seeds, and goes on where it stopped last time.
#
#   scripts/soak.sh SIMULATOR STATE_DIR [--minutes N] [--processes 1|2]
#
# STATE_DIR keeps the next seed (next) and a line per finished range (done). A failure leaves its
# output in STATE_DIR/failed-SEED and ends the soak with exit code 1.
set -euo pipefail

simulator=${1:?usage: soak.sh SIMULATOR STATE_DIR [--minutes N] [--processes 1|2]}
state=${2:?usage: soak.sh SIMULATOR STATE_DIR [--minutes N] [--processes 1|2]}
shift 2
minutes=10
processes=1
while [ $# -gt 0 ]; do
  case $1 in
    --minutes) minutes=$2 ;;
    --processes) processes=$2 ;;
    *) echo "soak.sh: unknown option $1" >&2; exit 2 ;;
  esac
  shift 2
done
[ "$processes" -le 2 ] || { echo "soak.sh: two processes at most" >&2; exit 2; }

range=200
mkdir -p "$state"
[ -f "$state/next" ] || echo 100000 > "$state/next"
commit=$(git -C "$(dirname "$0")" rev-parse --short HEAD 2>/dev/null || echo unknown)
end=$((SECONDS + minutes * 60))

run_range() {
  local from=$1 out="$state/running-$1"
  if "$simulator" --from "$from" --seeds "$range" > "$out" 2>&1; then
    echo "$commit $from..$((from + range - 1)) clean" | tee -a "$state/done"
    rm -f "$out"
  else
    mv "$out" "$state/failed-$from"
    echo "$commit $from..$((from + range - 1)) FAILED, see $state/failed-$from"
    return 1
  fi
}

while [ $SECONDS -lt $end ]; do
  from=$(cat "$state/next")
  echo $((from + range * processes)) > "$state/next"
  pids=()
  for ((i = 0; i < processes; ++i)); do
    run_range $((from + range * i)) &
    pids+=($!)
  done
  failed=0
  for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
  [ "$failed" -eq 0 ] || exit 1
done
