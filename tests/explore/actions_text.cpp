// actions_text.cpp: actions as lines of text, both ways. A trace is a list of such lines.
//
//   expire N | heartbeat N | quiet N | persist N | crash N keep K | propose N V | snapshot N
//   change N I | read N | vote-first N | transfer N to M | elect N by A,B | settle A,B
//   deliver MESSAGE     as describe() prints it
#include <algorithm>
#include <array>
#include <cstdio>

#include "tests/explore/model.hpp"

namespace raftcs::explore {
namespace {

constexpr std::array<const char*, kKinds> kNames = {
    "deliver", "expire",   "heartbeat", "quiet", "persist",  "crash",
    "propose", "snapshot", "change",    "read",  "transfer", "vote-first",
};

std::vector<std::string> words_of(const std::string& line) {
  std::vector<std::string> words;
  size_t at = 0;
  while (at < line.size()) {
    const size_t end = std::min(line.find_first_of(" ,", at), line.size());
    if (end > at) words.push_back(line.substr(at, end - at));
    at = end + 1;
  }
  return words;
}

uint32_t number(const std::vector<std::string>& words, size_t at) {
  uint32_t n = 0;
  if (at < words.size()) std::sscanf(words[at].c_str(), "%u", &n);  // NOLINT: 0 if it is none
  return n;
}

}  // namespace

std::string Model::describe_action(const State& from, const Action& action) const {
  const std::string who = std::to_string(action.node + 1);
  if (action.elect) {
    std::string by;
    for (unsigned i = 0; i < plan_.nodes; ++i) {
      if (action.arg >> i & 1) by += (by.empty() ? "" : ",") + std::to_string(i + 1);
    }
    return "elect " + who + (by.empty() ? "" : " by " + by);
  }
  if (action.kind == Kind::deliver) return "deliver " + describe(messages_[action.arg - 1]);
  std::string out = std::string(kNames[static_cast<size_t>(action.kind)]) + " " + who;
  if (action.kind == Kind::crash) out += " keep " + std::to_string(action.arg);
  if (action.kind == Kind::transfer) out += " to " + std::to_string(action.arg);
  if (action.kind == Kind::change) out += " " + std::to_string(action.arg);
  if (action.kind == Kind::propose)
    out += std::string(" ") + static_cast<char>('a' + from.used[static_cast<size_t>(action.kind)]);
  return out;
}

std::string Model::describe_state(const State& s) const {
  std::string out;
  static const char* const roles[] = {"follower", "pre-candidate", "candidate", "leader"};
  for (unsigned i = 0; i < plan_.nodes; ++i) {
    const NodeStatus n = process(s, i).node.status();
    out += "  " + std::to_string(i + 1) + " " + roles[static_cast<size_t>(n.role)] + " term " +
           to_string(n.term) + " vote " + to_string(n.vote) + " log " + to_string(n.first) + ".." +
           to_string(n.last) + " durable " + to_string(n.durable) + " commit " +
           to_string(n.commit) + "\n";
  }
  for (uint32_t id : nets_[s.net]) out += "  sent: " + describe(messages_[id - 1]) + "\n";
  return out;
}

bool Model::act(const std::string& line, State* state) {
  const std::vector<std::string> words = words_of(line);
  if (words.empty() || words[0][0] == '#') return true;
  if (words[0] == "settle") {
    uint32_t among = 0;
    for (size_t i = 1; i < words.size(); ++i) among |= 1u << (number(words, i) - 1);
    settle(state, among != 0 ? among : (1u << plan_.nodes) - 1);
    return error_.empty();
  }
  State s = *state;
  std::vector<uint32_t> sent;
  bool moved = false;
  const std::string rest = line.substr(std::min(line.size(), line.find(' ') + 1));
  if (words[0] == "deliver") {
    const std::vector<uint32_t> net = nets_[s.net];
    for (uint32_t id : net) {
      if (moved || describe(messages_[id - 1]) != rest) continue;
      const auto to = static_cast<unsigned>(messages_[id - 1].to.value - 1);
      moved = move(&s, to, Kind::deliver, id, &sent);
    }
  } else {
    const unsigned node = number(words, 1) - 1;
    if (node >= plan_.nodes) return false;
    if (words[0] == "elect") {
      uint32_t voters = 0;
      for (size_t i = 3; i < words.size(); ++i) voters |= 1u << (number(words, i) - 1);
      moved = elect(&s, node, voters, &sent);
    }
    for (size_t k = 0; k < kKinds && !moved; ++k) {
      if (words[0] != kNames[k]) continue;
      const auto kind = static_cast<Kind>(k);
      uint32_t arg = 0;
      if (kind == Kind::crash || kind == Kind::transfer) arg = number(words, 3);
      if (kind == Kind::change) arg = number(words, 2);
      if (kind == Kind::propose) arg = s.used[k];
      if (kind == Kind::read) arg = (s.used[k] + 1u) << 16 | ledger_[s.ledger].length;
      ++s.used[k];
      moved = move(&s, node, kind, arg, &sent);
    }
  }
  send(&s, sent);
  *state = s;
  return moved;
}

}  // namespace raftcs::explore
