// snapshot.hpp: a state made into a snapshot, and back.
#pragma once

#include <memory>

#include "rsm/machine.hpp"
#include "rsm/state.hpp"

namespace raftcs::rsm {

// Copies the session table (payloads are shared, not copied: about a microsecond for a
// session with a handful of replies) and lets every service fix its state.
Result<std::unique_ptr<Snapshot>> take_snapshot(const State& state);

// A new state from a stream, its services opened and restored. Nothing else is touched.
Result<std::unique_ptr<State>> read_snapshot(TypeSource& types, const ReadFn& read);

// The sessions of a snapshot, without its services: no plugin is needed.
struct SnapshotSessions {
  SessionNum next_session;
  std::vector<SessionNum> sessions;
};
Result<SnapshotSessions> sessions_in_snapshot(const ReadFn& read);

}  // namespace raftcs::rsm
