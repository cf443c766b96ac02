// strong_id.hpp: integers that cannot be mistaken for one another.
//
// A term is no index and a session number is no request id. Each gets a type of its
// own that compares, prints and hashes, and that does arithmetic only where a
// difference makes sense (index + 1). Construction is explicit; `value` is public
// for codecs and for printing.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <string>

namespace raftcs {

template <class Tag>
struct StrongId {
  uint64_t value = 0;

  constexpr StrongId() = default;
  constexpr explicit StrongId(uint64_t v) : value(v) {}

  constexpr auto operator<=>(const StrongId&) const = default;
  constexpr explicit operator bool() const { return value != 0; }

  constexpr StrongId next() const { return StrongId(value + 1); }
  constexpr StrongId prev() const { return StrongId(value - 1); }  // Requires: value > 0
  constexpr StrongId operator+(uint64_t n) const { return StrongId(value + n); }
  constexpr StrongId operator-(uint64_t n) const { return StrongId(value - n); }
  constexpr uint64_t operator-(StrongId o) const { return value - o.value; }
  constexpr StrongId& operator++() {
    ++value;
    return *this;
  }
};

template <class Tag>
std::string to_string(StrongId<Tag> id) {
  return std::to_string(id.value);
}

using Term = StrongId<struct TermTag>;            // Raft term; 0 before the first election
using Index = StrongId<struct IndexTag>;          // log index; the first entry is 1
using NodeId = StrongId<struct NodeIdTag>;        // member of a cluster; 0 is nobody
using SessionNum = StrongId<struct SessionTag>;   // short name of a session inside the log
using RequestId = StrongId<struct RequestTag>;    // per session, first is 1
using ServiceNum = StrongId<struct ServiceTag>;   // short name of a service inside the log
using PushId = StrongId<struct PushTag>;          // server-started request, per session, first is 1

}  // namespace raftcs

template <class Tag>
struct std::hash<raftcs::StrongId<Tag>> {
  size_t operator()(raftcs::StrongId<Tag> id) const noexcept {
    // Fibonacci hashing: ids are dense, tables are powers of two.
    return static_cast<size_t>(id.value * 0x9E3779B97F4A7C15ull);
  }
};
