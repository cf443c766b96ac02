#!/usr/bin/env bash
# exactly_once.sh: sixteen sessions count while leaders are killed, paused and cut off and replies
# are lost; the long form of the test process_exactly_once.
#
#   exactly_once.sh [SECONDS] [BUILD]      60 and build/release by default
set -euo pipefail
cd "$(dirname "$0")/.."
export RAFTCS_BUILD_DIR=$PWD/${2:-build/release} PYTHONDONTWRITEBYTECODE=1
exec python3 tests/process/exactly_once_60s.py "${1:-60}"
