// machine_support.hpp: replicated state machines for the targets ops and session_table.
#pragma once

#include <memory>
#include <string>

#include "rsm/machine.hpp"
#include "rsm/ops.hpp"
#include "sim/ledger_machine.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace raftcs::fuzz {

inline rsm::Limits small_limits() {
  rsm::Limits limits;
  limits.replies_max = 8;
  limits.reply_bytes_max = 256;
  limits.pushes_max = 4;
  limits.push_bytes_max = 100;
  limits.sessions_max = 4;
  return limits;
}

struct Replica {
  sim::LedgerTypes types;
  rsm::Machine machine{types, small_limits()};
};

inline std::string snapshot_of(rsm::Machine& machine) {
  std::string out;
  auto snapshot = machine.begin_snapshot();
  require(snapshot.is_ok(), "no snapshot", snapshot.status().text());
  const Status status = (*snapshot)->write([&](const void* data, size_t size) {
    out.append(static_cast<const char*>(data), size);
    return true;
  });
  require(status.is_ok(), "a snapshot cannot be written", status.text());
  return out;
}

inline Status restore(rsm::Machine& machine, const std::string& bytes, size_t piece = 4096) {
  size_t at = 0;
  return machine.restore([&](void* out, size_t size) -> Result<size_t> {
    const size_t n = std::min({size, bytes.size() - at, piece});
    if (n != 0) std::memcpy(out, bytes.data() + at, n);
    at += n;
    return n;
  });
}

inline Uuid uuid_of(uint64_t n) {
  Uuid u;
  std::memcpy(u.bytes.data(), &n, sizeof n);
  return u;
}

// An operation of few sessions and services, so that they meet.
inline rsm::Op op_of(Input& in) {
  const SessionNum session(in.below(6));
  switch (in.below(12)) {
    case 0: {
      rsm::CreateSession op{uuid_of(in.below(8)), uuid_of(100 + in.below(8)), in.number() * 10, {}};
      if (in.flag()) {
        std::string name = in.bytes(in.below(5));
        op.capabilities.emplace_back(std::move(name), in.bytes(in.below(5)));
      }
      return op;
    }
    case 1: return rsm::CloseSession{session};
    case 2: return rsm::Acknowledge{session, PushId(in.number())};
    case 3: return rsm::Touch{{session, SessionNum(in.below(6))}};
    case 4: return rsm::Expire{{session, SessionNum(in.number())}};
    case 5:
      return rsm::CreateService{in.flag() ? "a" : in.bytes(in.below(9)),
                                in.flag() ? sim::kLedgerType : in.bytes(in.below(9)),
                                static_cast<uint32_t>(1 + in.below(2))};
    case 6: return rsm::RaiseVersion{ServiceNum(in.below(4)), static_cast<uint32_t>(in.number())};
    case 7: return rsm::Tick{};
    case 8: return rsm::Presence{{session}, {SessionNum(in.below(6))}};
    case 9: {
      const uint64_t generation = in.number();
      return rsm::TakeOver{session, HolderId(generation << 32 | in.u8())};
    }
    default: break;
  }
  rsm::Command c;
  c.session = session;
  c.id = RequestId(in.number());
  c.lowest_pending = RequestId(in.flag() ? 1 : in.number());
  c.service = ServiceNum(in.below(4));
  sim::LedgerOp op{static_cast<uint32_t>(1 + in.below(3)), static_cast<uint32_t>(session.value),
                   in.u8()};
  c.payload = in.below(8) == 7 ? Bytes::copy(in.bytes(in.u8())) : Bytes::copy(&op, sizeof op);
  return c;
}

}  // namespace raftcs::fuzz
