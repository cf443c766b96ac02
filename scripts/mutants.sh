#!/usr/bin/env bash
# mutants.sh: builds the tests with known bugs to switch in, and shows that each one is found.
#
#   scripts/mutants.sh [OPTION OF tests/mutants/run.py...]
#
# Takes minutes once it is built, and ends with a count of what was exercised and found.
set -euo pipefail
cd "$(dirname "$0")/.."
cmake --preset mutants >/dev/null
cmake --build --preset mutants -j "$(nproc)"
exec tests/mutants/run.py build/mutants "$@"
