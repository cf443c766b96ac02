#!/usr/bin/env bash
# fuzz.sh: builds the fuzz targets with clang and runs them one after the other, for a bounded time.
#
#   fuzz.sh [--seconds 60] [--keep] [TARGET...]     all targets when none is named
#
# Each begins with its seeds and its corpus (tests/fuzz/corpus/TARGET), and keeps what it learns in
# build/fuzz/found/TARGET for the next time. An input that breaks something stays in
# build/fuzz/crashes; the exit code is then 1. --keep makes the corpus in the repository anew, of
# what is small and reaches something of its own; files that have a name stay.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=60
keep=0
targets=()
while [ $# -gt 0 ]; do
  case "$1" in
    --seconds) seconds=${2:?--seconds needs a number}; shift ;;
    --keep) keep=1 ;;
    -*) echo "usage: fuzz.sh [--seconds 60] [--keep] [TARGET...]" >&2; exit 2 ;;
    *) targets+=("$1") ;;
  esac
  shift
done
if [ ${#targets[@]} -eq 0 ]; then
  mapfile -t targets < <(sed -n 's/^ *rcs_fuzz(\([a-z_]*\) .*/\1/p' tests/fuzz/CMakeLists.txt)
fi

mkdir -p build/fuzz
cmake --preset fuzz >build/fuzz/configure.log 2>&1 ||
  { cat build/fuzz/configure.log >&2; exit 1; }
cmake --build build/fuzz -j "$(nproc)" --target "${targets[@]/#/fuzz_}"

# Memory that a target may ask for at once, in MiB: lengths in the input must not be believed.
malloc_limit_mb() {
  case "$1" in
    segment | snapshot_file | session_table | config_entry | token | ops) echo 8 ;;
    *) echo 256 ;;
  esac
}

export ASAN_OPTIONS=detect_leaks=1:${ASAN_OPTIONS:-}
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1:${UBSAN_OPTIONS:-}
kept_bytes_max=400  # of one file of the corpus
kept_files_max=40
crashes=build/fuzz/crashes
mkdir -p "$crashes"
failed=0
for target in "${targets[@]}"; do
  program=build/fuzz/tests/fuzz/fuzz_$target
  found=build/fuzz/found/$target
  corpus=tests/fuzz/corpus/$target
  log=build/fuzz/$target.log
  mkdir -p "$found" "$corpus"
  dictionary=()
  [ ! -f "tests/fuzz/$target.dict" ] || dictionary=("-dict=tests/fuzz/$target.dict")
  "$program" --seeds "$found" >/dev/null
  status=0
  "$program" "$found" "$corpus" -max_total_time="$seconds" -timeout=25 -rss_limit_mb=2048 \
    -malloc_limit_mb="$(malloc_limit_mb "$target")" -print_final_stats=1 \
    -artifact_prefix="$crashes/$target-" "${dictionary[@]}" >"$log" 2>&1 || status=$?
  line=$(grep -E '^#[0-9]+.*cov: ' "$log" | tail -1 || true)
  count=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  coverage=$(sed -n 's/.*cov: \([0-9]*\) ft: \([0-9]*\).*/\1 edges, \2 features/p' <<<"$line")
  if [ "$status" -ne 0 ]; then
    failed=1
    echo "$target: FAILED, see $log"
    grep -E 'fuzz target:|ERROR:|runtime error|SUMMARY|Test unit written' "$log" | head -5 || true
  elif [ "${count:-0}" -lt 100 ]; then
    failed=1
    echo "$target: FAILED: ${count:-0} executions in $seconds s are too few"
  else
    echo "$target: $count executions, $coverage"
  fi
  if [ $keep -eq 1 ] && [ "$status" -eq 0 ]; then
    merged=$(mktemp -d)
    "$program" -merge=1 "$merged" "$corpus" "$found" >/dev/null 2>&1 || true
    find "$corpus" -regextype posix-extended -regex '.*/[0-9a-f]{40}' -delete
    find "$merged" -type f -size -"$kept_bytes_max"c -printf '%s %p\n' | sort -n |
      awk '{print $2}' | shuf --random-source=<(yes) | head -"$kept_files_max" |
      xargs -r cp -t "$corpus"
    rm -rf "$merged"
  fi
done
exit $failed
