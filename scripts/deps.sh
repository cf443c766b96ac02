#!/usr/bin/env bash
# deps.sh: installs what building, running or testing needs, from Debian 12's own packages.
#
#   deps.sh [run|test]    run: build and use; test (the default): also the tests' packages
#
# Quick when all is there: it asks the package database only. Needs root or sudo otherwise.
set -euo pipefail

run_packages=(
  g++ cmake ninja-build pkg-config make
  libzmq3-dev libmsgpack-cxx-dev libboost-dev
  libspdlog-dev libfmt-dev libcli11-dev libtomlplusplus-dev nlohmann-json3-dev
)
test_packages=(
  ccache clang libgtest-dev libcmocka-dev librapidcheck-dev
  libclang-rt-14-dev python3 binutils iproute2 iptables
)

case "${1:-test}" in
  run) wanted=("${run_packages[@]}") ;;
  test) wanted=("${run_packages[@]}" "${test_packages[@]}") ;;
  *) echo "usage: deps.sh [run|test]" >&2; exit 2 ;;
esac

missing=()
for package in "${wanted[@]}"; do
  state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$state" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
  echo "deps: all ${#wanted[@]} packages are installed"
  exit 0
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "deps: missing: ${missing[*]}" >&2
    echo "deps: run this as root, or install them with apt-get" >&2
    exit 1
  fi
  as_root=(sudo)
fi
echo "deps: installing ${missing[*]}"
install=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive
         apt-get install -y -q --no-install-recommends "${missing[@]}")
if ! "${install[@]}" >/dev/null 2>&1; then  # the package lists may be absent or old
  "${as_root[@]}" apt-get update -q
  "${install[@]}"
fi
echo "deps: done"
