#!/usr/bin/env bash
# mutants.sh: builds the tests with known bugs to switch in, and shows that each one is found.
#
#   scripts/mutants.sh [OPTION OF tests/mutants/run.py...]
#
# Takes about an hour on two cores; --no-sim leaves out the longest part.
set -euo pipefail
cd "$(dirname "$0")/.."
cmake --preset mutants >/dev/null
cmake --build --preset mutants -j "$(nproc)"
exec tests/mutants/run.py build/mutants "$@"
