#!/usr/bin/env bash
# nemesis.sh: real servers and clients under faults; what clients were told is judged afterwards.
#
#   nemesis.sh [--minutes M] [--workload W,...] [--faults F,...] [--seed N] [--net ...] [--keep DIR]
#
# 5 minutes of all workloads and faults by default, over network namespaces where this process may
# make them and over relays on loopback elsewhere. It stops by itself; what fails is kept, and said
# where. --help tells the rest. RAFTCS_BUILD_DIR is build/release by default.
set -euo pipefail
cd "$(dirname "$0")/.."
export RAFTCS_BUILD_DIR=${RAFTCS_BUILD_DIR:-$PWD/build/release} PYTHONDONTWRITEBYTECODE=1
for needed in bin/raftcs-server tests/history/raftcs-check-history plugins-nemesis/bank.so; do
  [ -e "$RAFTCS_BUILD_DIR/$needed" ] ||
    { echo "nemesis.sh: $RAFTCS_BUILD_DIR/$needed is missing: build with -DRAFTCS_TESTS=ON" >&2
      exit 2; }
done
case " $* " in
  *" --minutes"* | *" --seconds"* | *" -h "* | *" --help "*) ;;
  *) set -- --minutes 5 "$@" ;;
esac
exec python3 tests/nemesis/nemesis.py "$@"
