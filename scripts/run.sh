#!/usr/bin/env bash
# run.sh: builds raftcs and shows it at work on this machine. Exits 0 only if every step held.
#
#   run.sh [--keep]       --keep: leaves the three-node cluster running at the end
#
# What it shows: a cluster of one from an empty directory; a cluster of three real server
# processes that takes at least 20,000 keys (names, versions and identifiers found on this
# machine) through one client session while its leader is killed with SIGKILL; every value
# read back through another node; a watch that goes on across the change of leader; and the killed
# node, restarted, in the same state as the others. Touches only its own processes and its own
# temporary directory. RAFTCS_BUILD names another build directory (default build/release).
set -uo pipefail
cd "$(dirname "$0")/.."

keep=0
case "${1:-}" in
  '') ;;
  --keep) keep=1 ;;
  *) echo "usage: run.sh [--keep]" >&2; exit 2 ;;
esac
build=${RAFTCS_BUILD:-build/release}
keys_min=20000
work=""
declare -A pid_of=()  # name of a process -> pid
step_number=0
steps=9

say() { printf '%s\n' "$*"; }
step() {
  step_number=$((step_number + 1))
  printf '\n[%d/%d] %s\n' $step_number $steps "$*"
}
fail() {
  printf '\nrun.sh: step %d failed: %s\n' $step_number "$*" >&2
  if [ -n "$work" ]; then
    for log in "$work"/*.log; do
      [ -s "$log" ] && { echo "--- ${log##*/}, the last lines" >&2; tail -n 8 "$log" >&2; }
    done
  fi
  exit 1
}

# stop NAME SIGNAL: ends one of our processes and waits for it; gives its exit code.
stop() {
  local pid=${pid_of[$1]:-} i
  [ -n "$pid" ] || return 0
  unset "pid_of[$1]"
  kill -"$2" "$pid" 2>/dev/null
  for ((i = 0; i < 100; i++)); do
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
  done
  kill -0 "$pid" 2>/dev/null && kill -KILL "$pid" 2>/dev/null
  wait "$pid" 2>/dev/null
}

cleanup() {
  local status=$? name
  trap - EXIT INT TERM
  if [ $keep -eq 1 ] && [ $status -eq 0 ]; then
    exit 0
  fi
  for name in "${!pid_of[@]}"; do
    kill -TERM "${pid_of[$name]}" 2>/dev/null
  done
  for name in "${!pid_of[@]}"; do
    stop "$name" TERM
  done
  [ -n "$work" ] && rm -rf "$work"
  exit $status
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# free_port: prints a port of 127.0.0.1 nobody listens on, below the range of outgoing ones.
next_port=$((20000 + RANDOM % 10000))
free_port() {
  while (exec 3<>"/dev/tcp/127.0.0.1/$next_port") 2>/dev/null; do
    next_port=$((next_port + 1))
  done
  port=$next_port
  next_port=$((next_port + 1))
}

# start NAME ARGUMENT...: starts raftcs-server and waits until it is ready.
start() {
  local name=$1 log="$work/$1.log" i
  shift
  : >"$log"  # of an earlier run with this name; the redirection below may come later than the grep
  "$bin/raftcs-server" "$@" --plugins "$plugins" >"$log" 2>&1 &
  pid_of[$name]=$!
  for ((i = 0; i < 300; i++)); do
    grep -qs '^ready ' "$log" && return 0
    kill -0 "${pid_of[$name]}" 2>/dev/null || fail "$name did not start"
    sleep 0.1
  done
  fail "$name was not ready within 30 seconds"
}
client_of() { sed -n 's/^ready .*client=\([^ ]*\).*/\1/p' "$work/$1.log" | tail -n 1; }

step "building (the first time takes minutes)"
scripts/deps.sh run || fail "packages are missing"
mkdir -p "$build"
if [ ! -f "$build/CMakeCache.txt" ]; then
  cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DRAFTCS_TESTS=OFF \
    >"$build/configure.log" 2>&1 || { cat "$build/configure.log" >&2; fail "configuring"; }
fi
if [ -t 1 ]; then  # ninja draws its own progress
  cmake --build "$build" --target raftcs-server raftcs-cli kv || fail "the build"
else
  cmake --build "$build" --target raftcs-server raftcs-cli kv >"$build/build.log" 2>&1 ||
    { tail -n 40 "$build/build.log" >&2; fail "the build"; }
fi
bin=$(cd "$build" && pwd)/bin
plugins=$(cd "$build" && pwd)/plugins-out
work=$(mktemp -d "${TMPDIR:-/tmp}/raftcs-run.XXXXXX")
say "binaries in $bin, data in $work"

step "a cluster of one, from an empty directory"
start one --id 1 --data "$work/one" --client-listen tcp://127.0.0.1:0 \
  --peer-listen tcp://127.0.0.1:0
one=$(client_of one)
"$bin/raftcs" -e "$one" kv put greeting "hello from $(uname -n)" || fail "kv put"
got=$("$bin/raftcs" -e "$one" kv get greeting) || fail "kv get"
[ "$got" = "hello from $(uname -n)" ] || fail "kv get gave \"$got\""
stop one TERM || fail "the server did not stop cleanly"
start one --id 1 --data "$work/one" --client-listen tcp://127.0.0.1:0 \
  --peer-listen tcp://127.0.0.1:0
got=$("$bin/raftcs" -e "$(client_of one)" kv get greeting) || fail "kv get after a restart"
[ "$got" = "hello from $(uname -n)" ] || fail "after a restart kv get gave \"$got\""
stop one TERM || fail "the server did not stop cleanly"
say "put, got, stopped, started again, got: \"$got\""

step "gathering at least $keys_min keys from this machine"
export LC_ALL=C
gather() {
  dpkg-query -W -f 'package/${Package}:${Architecture}\t${Version}\n' 2>/dev/null
  for list in /usr/share/dict/words; do
    [ -r "$list" ] && awk '{ print "word/" $1 "\tline " NR }' "$list" | head -n 100000
  done
  grep -roE --include='*.h*' '\b[A-Za-z_][A-Za-z0-9_]{5,60}\b' /usr/include 2>/dev/null |
    head -n 600000 | sed -n 's/^\([^:]*\):\(.*\)$/symbol\/\2\t\1/p'
  grep -roE '\b[A-Za-z_][A-Za-z0-9_]{5,60}\b' include src docs tests 2>/dev/null |
    sed -n 's/^\([^:]*\):\(.*\)$/own\/\2\t\1/p'
}
gather | awk -F '\t' 'NF == 2 && !seen[$1]++' | head -n $((keys_min + 5000)) >"$work/keys.tsv"
keys=$(wc -l <"$work/keys.tsv")
[ "$keys" -ge $keys_min ] || fail "only $keys keys found on this machine"
say "$keys keys, $(wc -c <"$work/keys.tsv") bytes: $(cut -d/ -f1 "$work/keys.tsv" | sort |
  uniq -c | awk '{ printf "%s%s %s", sep, $1, $2; sep = ", " }')"

step "a cluster of three processes on 127.0.0.1"
members=""
declare -a client_address peer_address
for id in 1 2 3; do
  free_port; client_address[id]=tcp://127.0.0.1:$port
  free_port; peer_address[id]=tcp://127.0.0.1:$port
  members+="${members:+,}$id=${peer_address[id]}/${client_address[id]}"
done
start_node() {
  start "node-$1" --id "$1" --data "$work/node-$1" --cluster "$members" \
    --client-listen "${client_address[$1]}" --peer-listen "${peer_address[$1]}"
}
for id in 1 2 3; do start_node $id; done
all=${client_address[1]},${client_address[2]},${client_address[3]}
raftcs() { "$bin/raftcs" -e "$all" --timeout 60000 "$@"; }
raftcs kv put started yes || fail "the cluster does not take a command"
raftcs status --timeout 5000 || fail "status"

step "a watch on a prefix"
"$bin/raftcs" -e "$all" --timeout 60000 kv watch watched/ --prefix --count 3 --for 180 \
  >"$work/watch.out" 2>"$work/watch.log" &
pid_of[watch]=$!
for ((i = 0; i < 300; i++)); do
  grep -qs '^watching' "$work/watch.log" && break
  sleep 0.1
done
grep -qs '^watching' "$work/watch.log" || fail "the watch was not set"
raftcs kv put watched/before "before the leader died" || fail "kv put"
say "set"

step "loading $keys keys through one session; the leader is killed half-way"
leader=$(raftcs leader show | cut -f1)
case "$leader" in 1|2|3) ;; *) fail "no leader (\"$leader\")" ;; esac
kill_leader() {
  while [ ! -e "$work/half" ]; do
    [ -e "$work/loaded" ] && return
    sleep 0.02
  done
  kill -KILL "${pid_of[node-$leader]}" && : >"$work/killed"
}
disown "${pid_of[node-$leader]}"  # or the shell reports its death in the middle of the output
kill_leader &
killer=$!
raftcs kv load --rate 8000 --mark "$work/half" --verify-none <"$work/keys.tsv" \
  >"$work/load.out" || { : >"$work/loaded"; cat "$work/load.out"; fail "kv load"; }
: >"$work/loaded"
wait $killer
[ -e "$work/killed" ] || fail "the load was over before the leader could be killed"
unset "pid_of[node-$leader]"
cat "$work/load.out"
stall=$(sed -n 's/.*longest stall \([0-9]*\) ms.*/\1/p' "$work/load.out")
say "node $leader was killed with SIGKILL; no answer came for $stall ms, then the same session went on"

step "reading every value back through another node"
other=$((leader % 3 + 1))
"$bin/raftcs" -e "${client_address[other]}" --timeout 60000 kv verify <"$work/keys.tsv" ||
  fail "not every value is there"
new_leader=$("$bin/raftcs" -e "${client_address[other]}" leader show | cut -f1)
[ "$new_leader" != "$leader" ] || fail "the dead node is said to lead"
say "asked at node $other; node $new_leader leads now"

step "the watch, across the change of leader"
raftcs kv put watched/after "after the leader died" || fail "kv put"
raftcs kv incr watched/counter >/dev/null || fail "kv incr"
wait "${pid_of[watch]}" || fail "the watch did not deliver three changes"
unset "pid_of[watch]"
cat "$work/watch.out"
[ "$(wc -l <"$work/watch.out")" -eq 3 ] || fail "three changes were expected"
[ "$(cut -f2 "$work/watch.out" | tr '\n' ' ')" = "watched/before watched/after watched/counter " ] ||
  fail "the changes are not the expected ones, in order"

step "node $leader again; all three must reach one state"
start_node "$leader"
raftcs status --converged || fail "the nodes did not reach one state"
say "equal state hash at equal index on all three"

say ""
say "Every step held: $keys keys through one session, unavailable for $stall ms at most."
say ""
if [ $keep -eq 1 ]; then
  say "The cluster stays. Its data and logs are in $work; to use it:"
  say "  export RAFTCS_ENDPOINTS=$all"
  say "  $bin/raftcs status"
  say "  $bin/raftcs kv get started"
  say "To end it: kill ${pid_of[node-1]} ${pid_of[node-2]} ${pid_of[node-3]}; then remove $work"
else
  say "To start one that stays: scripts/run.sh --keep, or a cluster of one:"
  say "  $bin/raftcs-server --id 1 --data ./data --plugins $plugins &"
  say "  export RAFTCS_ENDPOINTS=tcp://127.0.0.1:7001"
  say "  $bin/raftcs kv put colour blue; $bin/raftcs kv get colour; $bin/raftcs status"
fi
say "All commands: $bin/raftcs --help; what they mean: docs/operations.md"
exit 0
