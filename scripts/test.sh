#!/usr/bin/env bash
# test.sh: builds everything and runs every test. The last line is "N passed, N failed".
#
#   test.sh [--quick]     --quick: without the sanitizer stages
#
# Stages: packages; release build and all tests; address and undefined-behaviour sanitizers over
# what needs no processes of its own, and three known bugs that must be found there; thread
# sanitizer over the client runtime and the C API. A stage that cannot be built counts as one
# failure. Ends with 0 only if nothing failed.
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

# count FILE STATUS: adds the numbers of a ctest JUnit report. A report that is missing or holds no
# test is a failure, and so is a run that failed without naming a test. Tests that did not run are
# not counted as passed.
count() {
  local head tests fails idle
  head=$(grep -m1 -A12 '<testsuite' "$1" 2>/dev/null | tr '\n\t' '  ')
  field() { sed -n "s/.* $1=\"\([0-9]*\)\".*/\1/p" <<<"$head"; }
  tests=$(field tests)
  fails=$(field failures)
  idle=$(field skipped)
  idle=$((${idle:-0}))
  if [ -z "$tests" ] || [ "$tests" -eq 0 ]; then
    echo "test.sh: no test ran ($1)" >&2
    failed=$((failed + 1))
    return
  fi
  [ "$idle" -eq 0 ] || echo "test.sh: $idle tests did not run ($1)" >&2
  [ "$2" -eq 0 ] || [ "${fails:-0}" -gt 0 ] || fails=1 tests=$((tests + 1))
  failed=$((failed + ${fails:-0}))
  passed=$((passed + tests - ${fails:-0} - idle))
}

configure() {  # configure PRESET CMAKE_OPTION...
  local preset=$1
  shift
  cmake --preset "$preset" "$@" >"build/$preset.configure.log" 2>&1 ||
    { cat "build/$preset.configure.log"; return 1; }
}

# build PRESET [PATTERN]: everything, or the targets whose name matches.
build() {
  local targets=(all)
  if [ $# -gt 1 ]; then
    mapfile -t targets < <(ninja -C "build/$1" -t targets all | sed -n 's/^\([^/:]*\): phony$/\1/p' |
      grep -E "$2" | sort -u)
  fi
  cmake --build --preset "$1" -j "$jobs" --target "${targets[@]}"
}

# run_tests REPORT PRESET CTEST_ARGUMENT...
run_tests() {
  local report=$PWD/build/$1.tests.xml preset=$2 status=0
  shift 2
  rm -f "$report"
  ctest --test-dir "build/$preset" --output-on-failure --no-tests=error --timeout 600 \
    --output-junit "$report" "$@" || status=$?
  count "$report" $status
  return $status
}

mkdir -p build
stage "packages" scripts/deps.sh test || failed=$((failed + 1))

if stage "release: build" eval 'configure release -DRAFTCS_TESTS=ON && build release'; then
  # One more than there are cores: tests of processes mostly wait.
  stage "release: all tests" run_tests release release -j $((jobs + 1))
else
  failed=$((failed + 1))
fi

if [ $quick -eq 0 ]; then
  export ASAN_OPTIONS=detect_leaks=1:abort_on_error=1:${ASAN_OPTIONS:-}
  export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1:${UBSAN_OPTIONS:-}
  export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1:suppressions=$PWD/tests/support/tsan.supp:ignore_noninstrumented_modules=1:${TSAN_OPTIONS:-}
  # No processes of their own, and quick enough to build twice. What else there is can be run by
  # hand: cmake --build --preset asan && ctest --test-dir build/asan. This tree has the known bugs of
  # tests/mutants in it, switched off but where three of them must be found.
  checked='unit_(base|raft|rsm|storage|sys)|paper|scenario|mutants_smoke'
  checked+='|replay_((client|server|peer)_frame|config_entry|core_step|ops|segment|session_table'
  checked+='|snapshot_file)'
  if stage "address sanitizer: build" eval \
    'configure asan -DRAFTCS_TOOLS=OFF -DRAFTCS_MUTANTS=ON && build asan "^($checked)$"'
  then
    stage "address sanitizer: tests" run_tests asan asan -j "$jobs" -L "^($checked)$"
  else
    failed=$((failed + 1))
  fi
  if stage "thread sanitizer: build" eval \
    'configure tsan -DRAFTCS_TOOLS=OFF && build tsan "^(unit_net|capi_(client|server)_test|kv)$"'
  then
    stage "thread sanitizer: tests" run_tests tsan tsan -L '^unit_net$'
    stage "thread sanitizer: C API" run_tests tsan-capi tsan -R '^capi_(client|server)_test$'
  else
    failed=$((failed + 1))
  fi
fi

echo "== times"
printf '%s\n' "${timings[@]}"
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
