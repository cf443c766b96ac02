#!/usr/bin/env bash
# test.sh: builds everything and runs every test. The last line is "N passed, N failed".
#
#   test.sh [--quick]     --quick: without the sanitizer stages
#
# Stages: packages; release build and all tests; address and undefined-behaviour sanitizers over
# what needs no processes of its own; thread sanitizer over the client runtime and the C API. A
# stage that cannot be built counts as one failure. Ends with 0 only if nothing failed.
set -uo pipefail
cd "$(dirname "$0")/.."

quick=0
for argument in "$@"; do
  case "$argument" in
    --quick) quick=1 ;;
    *) echo "usage: test.sh [--quick]" >&2; exit 2 ;;
  esac
done

jobs=$(nproc)
passed=0
failed=0
timings=()

# stage NAME COMMAND...: runs it with a heading and a time; gives its status.
stage() {
  local name=$1 begin=$SECONDS status=0
  shift
  echo "== $name"
  "$@" || status=$?
  timings+=("$(printf '%5d s  %s%s' $((SECONDS - begin)) "$name" \
    "$([ $status -eq 0 ] || echo '  FAILED')")")
  return $status
}

# count FILE: adds the numbers of a ctest JUnit report; a report that is missing or holds no test
# is a failure.
count() {
  local head tests fails
  head=$(grep -m1 -A12 '<testsuite' "$1" 2>/dev/null | tr '\n' ' ')
  tests=$(sed -n 's/.*[^a-z]tests="\([0-9]*\)".*/\1/p' <<<"$head")
  fails=$(sed -n 's/.*failures="\([0-9]*\)".*/\1/p' <<<"$head")
  if [ -z "$tests" ] || [ "$tests" -eq 0 ]; then
    echo "test.sh: no test ran ($1)" >&2
    failed=$((failed + 1))
    return
  fi
  failed=$((failed + ${fails:-0}))
  passed=$((passed + tests - ${fails:-0}))
}

build() {  # build PRESET [CMAKE OPTION...]
  local preset=$1
  shift
  cmake --preset "$preset" "$@" >"build/$preset.configure.log" 2>&1 ||
    { cat "build/$preset.configure.log"; return 1; }
  cmake --build --preset "$preset" -j "$jobs"
}

run_tests() {  # run_tests PRESET CTEST_ARGUMENT...
  local preset=$1 report=build/$1.tests.xml
  shift
  rm -f "$report"
  ctest --test-dir "build/$preset" --output-on-failure --no-tests=error --timeout 600 \
    --output-junit "$PWD/$report" "$@"
  local status=$?
  count "$report"
  return $status
}

mkdir -p build
stage "packages" scripts/deps.sh test || failed=$((failed + 1))

if stage "release: build" build release -DRAFTCS_TESTS=ON; then
  stage "release: all tests" run_tests release -j 2
else
  failed=$((failed + 1))
fi

if [ $quick -eq 0 ]; then
  export ASAN_OPTIONS=detect_leaks=1:abort_on_error=1:${ASAN_OPTIONS:-}
  export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1:${UBSAN_OPTIONS:-}
  export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1:${TSAN_OPTIONS:-}
  if stage "address sanitizer: build" build asan; then
    stage "address sanitizer: tests" run_tests asan -j 2 -LE 'process|tidy|install|slow'
  else
    failed=$((failed + 1))
  fi
  if stage "thread sanitizer: build" build tsan; then
    stage "thread sanitizer: tests" run_tests tsan -j 1 -L 'threads'
  else
    failed=$((failed + 1))
  fi
fi

echo "== times"
printf '%s\n' "${timings[@]}"
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
