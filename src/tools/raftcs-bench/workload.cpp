// workload.cpp: see workload.hpp.
#include "raftcs-bench/workload.hpp"

#include <cstdio>
#include <cstdlib>

#include "common/api.hpp"

namespace tools {

namespace {

uint32_t number_in(const std::string& text, const std::string& whole) {
  char* end = nullptr;
  unsigned long value = std::strtoul(text.c_str(), &end, 10);
  if (text.empty() || *end != '\0' || value < 1 || value > 100'000) {
    throw Failure(kUsage, "\"" + whole + "\": sessions and operations in flight are 1..100000");
  }
  return static_cast<uint32_t>(value);
}

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts(1);
  for (char c : text) {
    if (c == separator) {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

}  // namespace

std::string Workload::name() const {
  std::string text = kind + ":" + std::to_string(sessions) + ":" + std::to_string(window);
  if (processes > 1) text += ":procs=" + std::to_string(processes);
  return text;
}

Workload parse_workload(const std::string& text) {
  std::vector<std::string> parts = split(text, ':');
  if (parts.size() < 3 || parts.size() > 4 ||
      (parts[0] != "put" && parts[0] != "get" && parts[0] != "overload")) {
    throw Failure(kUsage, "\"" + text +
                              "\" is no workload; wanted is put:SESSIONS:IN_FLIGHT, "
                              "get:SESSIONS:IN_FLIGHT, overload:SESSIONS:IN_FLIGHT or standard");
  }
  Workload workload;
  workload.kind = parts[0];
  workload.sessions = number_in(parts[1], text);
  workload.window = number_in(parts[2], text);
  if (parts.size() == 4) {
    if (parts[3].rfind("procs=", 0) != 0) throw Failure(kUsage, "\"" + text + "\": procs=P?");
    workload.processes = number_in(parts[3].substr(6), text);
  }
  if (workload.processes > workload.sessions) workload.processes = workload.sessions;
  return workload;
}

std::vector<Workload> parse_workloads(const std::vector<std::string>& texts, uint32_t processes) {
  static const char* const kStandard[] = {"put:1:1", "put:64:1", "put:64:1:procs=8", "put:16:64",
                                          "get:1:1", "get:64:1", "get:16:64"};
  std::vector<Workload> out;
  for (std::string text : texts) {
    if (text == "overload") text = "overload:64:16";
    if (text == "standard") {
      for (const char* one : kStandard) out.push_back(parse_workload(one));
      continue;
    }
    Workload workload = parse_workload(text);
    if (text.find("procs=") == std::string::npos) {
      workload.processes = processes < workload.sessions ? processes : workload.sessions;
    }
    out.push_back(workload);
  }
  return out;
}

std::string key_of(uint32_t number) {
  char text[16];
  std::snprintf(text, sizeof text, "key-%08u", number % kKeys);
  return text;
}

std::string value_of(uint32_t number) {
  std::string value(kValueBytes, ' ');
  uint64_t word = number * 0x9E3779B97F4A7C15ull + 1;
  for (char& c : value) {
    word ^= word << 13, word ^= word >> 7, word ^= word << 17;  // xorshift64
    c = static_cast<char>('a' + word % 26);
  }
  return value;
}

}  // namespace tools
