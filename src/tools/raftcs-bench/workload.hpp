// workload.hpp: what is measured: `put:S:W` or `get:S:W`, S sessions with W operations each in
// flight, spread over P generator processes. `overload:S:W`: the same as put, and then ten times
// as many commands a second as it got done (overload.cpp).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace tools {

constexpr uint32_t kKeys = 10'000;
constexpr uint32_t kValueBytes = 256;

struct Workload {
  std::string kind;  // "put", "get" or "overload"
  uint32_t sessions = 1;
  uint32_t window = 1;
  uint32_t processes = 1;
  std::string name() const;
};

// "put:64:1", "put:64:1:procs=8"; Failure(kUsage) for anything else.
Workload parse_workload(const std::string& text);
// "standard" becomes its list; `processes` is used where the text names none.
std::vector<Workload> parse_workloads(const std::vector<std::string>& texts, uint32_t processes);

std::string key_of(uint32_t number);    // 12 bytes
std::string value_of(uint32_t number);  // 256 bytes

}  // namespace tools
