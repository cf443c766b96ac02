// plugin_reference.cpp: three runs of one log, and the sentences when they or a replica differ.
#include "sim/plugin_reference.hpp"

#include <algorithm>
#include <cstring>

#include "rsm/ops.hpp"

namespace raftcs::sim {
namespace {

constexpr uint64_t kRestoreEvery = 25;       // entries
constexpr size_t kBytesPerEntry = 16 << 10;  // of snapshots hashed, on average

constexpr const char* kNotDeterministic =
    " The state machine is not deterministic: apply, timers and session hooks may depend on the "
    "state and their arguments only; no clock, random number, address, hash order, file, thread "
    "or static variable.";
constexpr const char* kNotInSnapshot =
    " Something that matters is not in the snapshot: snapshot_write must put out, and restore take "
    "in, everything that later calls depend on.";

std::string shown(int32_t app_code, const Bytes& data) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string s = "code " + std::to_string(app_code) + ", " + std::to_string(data.size()) +
                  " bytes";
  if (!data.empty()) s += " ";
  for (size_t i = 0; i < std::min<size_t>(data.size(), 24); ++i)
    s += std::string{kHex[data.data()[i] >> 4], kHex[data.data()[i] & 15]};
  return data.size() > 24 ? s + "..." : s;
}

bool same(const Bytes& a, const Bytes& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size()) == 0);
}

// How what came of the same entries differs; `at` goes on in b, as it may hold later ones too.
struct Place {
  size_t reply = 0, push = 0;
};
std::string difference(const rsm::ApplyOutput& a, const rsm::ApplyOutput& b, Place* at) {
  for (const rsm::Reply& r : a.replies) {
    if (at->reply == b.replies.size()) return "a reply is missing";
    const rsm::Reply& o = b.replies[at->reply++];
    if (o.app_code != r.app_code || !same(o.data, r.data))
      return "request " + to_string(r.id) + " of session " + to_string(r.session) +
             " is answered with " + shown(r.app_code, r.data) + ", and with " +
             shown(o.app_code, o.data);
  }
  for (const rsm::Push& p : a.pushes) {
    if (at->push == b.pushes.size())
      return "a push to session " + to_string(p.session) + " is missing";
    const rsm::Push& o = b.pushes[at->push++];
    if (o.session != p.session || !same(o.payload, p.payload))
      return "push " + to_string(p.id) + " of session " + to_string(p.session) + " is " +
             shown(0, p.payload) + ", and push " + to_string(o.id) + " of session " +
             to_string(o.session) + " is " + shown(0, o.payload);
  }
  return {};
}

}  // namespace

PluginReference::PluginReference(PluginUnderTest& plugin)
    : plugin_(plugin),
      first_(std::make_unique<Run>(plugin)),
      twin_(std::make_unique<Run>(plugin)),
      at_(1) {}

std::string PluginReference::run(Run& run, const raft::Entry& entry) {
  run.out.clear();
  const Status status = run.machine.apply(entry, &run.out);
  if (!status.is_ok())
    return "a state machine cannot go on: " + status.text() +
           ". A refusal is a reply with an app_code, not a status.";
  return {};
}

std::string PluginReference::apply(const raft::Entry& entry) {
  for (Run* r : {first_.get(), twin_.get(), third_.get()})
    if (r != nullptr)
      if (std::string broken = run(*r, entry); !broken.empty()) return broken;
  const std::string where = " at index " + to_string(entry.index) + ": ";
  At at;
  at.output = first_->out;
  if (ProbedInstance* i = first_->types.instance(); i != nullptr) {
    at.has_bytes = entry.index.value % stride_ == 0;
    at.has_state = state_of(*i, at.has_bytes, &at.state);
    if (at.has_bytes) stride_ = std::max<size_t>(stride_, 1 + at.state.bytes / kBytesPerEntry);
  }
  Place two, three;
  std::string how = difference(first_->out, twin_->out, &two);
  if (how.empty()) how = differing_states(*twin_, at);
  if (!how.empty())
    return "two fresh instances that were given the same log differ" + where + how + "." +
           kNotDeterministic;
  if (third_ != nullptr) {
    how = difference(first_->out, third_->out, &three);
    if (how.empty()) how = differing_states(*third_, at);
    if (!how.empty())
      return "an instance that was restored from the snapshot at index " +
             to_string(third_from_) + " differs from the one that wrote it" + where + how + "." +
             kNotInSnapshot;
  }
  at_.push_back(std::move(at));
  count(entry);
  if (entry.index.value % kRestoreEvery == 0) return restore_third();
  return plugin_.finding;
}

// Counts the commands that were the plugin's.
void PluginReference::count(const raft::Entry& entry) {
  if (entry.type != raft::EntryType::ops) return;
  rsm::OpsReader reader(entry.payload);
  rsm::Op op;
  size_t reply = 0;
  while (reader.next(&op)) {
    const auto* made = std::get_if<rsm::CreateService>(&op);
    if (made && std::find(services_.begin(), services_.end(), made->name) == services_.end())
      services_.push_back(made->name);
    const auto* command = std::get_if<rsm::Command>(&op);
    if (command == nullptr) continue;
    const rsm::Reply& r = first_->out.replies[reply++];
    const uint64_t num = command->service.value;
    if (r.kind != rsm::ReplyKind::applied || num == 0 || num > services_.size() ||
        services_[num - 1] != plugin_.service())
      continue;
    ++ran_;
    refused_ += r.app_code != 0 ? 1 : 0;
  }
}

std::string PluginReference::restore_third() {
  auto snapshot = first_->machine.begin_snapshot();
  if (!snapshot) return "no snapshot could be begun: " + snapshot.status().text();
  std::string bytes;
  Status status = (*snapshot)->write([&](const void* data, size_t size) {
    bytes.append(static_cast<const char*>(data), size);
    return true;
  });
  snapshot->reset();
  if (!status.is_ok()) return "a snapshot could not be written: " + status.text();
  third_ = std::make_unique<Run>(plugin_);
  size_t read = 0;
  status = third_->machine.restore([&](void* out, size_t size) -> Result<size_t> {
    size = std::min({size, bytes.size() - read, size_t{1000}});
    std::memcpy(out, bytes.data() + read, size);
    read += size;
    return size;
  });
  if (!plugin_.finding.empty()) return plugin_.finding;
  if (!status.is_ok()) return "a snapshot is not restored: " + status.text();
  third_from_ = first_->machine.applied();
  ++restored_;
  const std::string how = differing_states(*third_, at_.back());
  if (how.empty()) return {};
  return "an instance that was restored from the snapshot at index " + to_string(third_from_) +
         " has another state at once: " + how + "." + kNotInSnapshot;
}

std::string PluginReference::differing_states(Run& other, const At& at) const {
  ProbedInstance* i = other.types.instance();
  PluginState state;
  if (i == nullptr || !at.has_state || !state_of(*i, at.has_bytes, &state)) return {};
  if (state.digest != at.state.digest) return "the digests differ";
  if (at.has_bytes && (state.hash != at.state.hash || state.bytes != at.state.bytes))
    return "the bytes of snapshots of them differ (" + std::to_string(at.state.bytes) + " and " +
           std::to_string(state.bytes) + " bytes)";
  return {};
}

std::string PluginReference::compare(const rsm::ApplyOutput& output, Index from, Index to,
                                     ProbeTypes& types) {
  if (!plugin_.finding.empty()) return plugin_.finding;
  if (to.value >= at_.size()) return {};  // nobody committed that: said elsewhere
  Place place;
  std::string how;
  uint64_t index = from.value + 1;
  for (; index <= to.value && how.empty(); ++index)
    how = difference(at_[index].output, output, &place);
  ProbedInstance* i = types.instance();
  const At& at = at_[to.value];
  PluginState state;
  if (how.empty() && i != nullptr && at.has_state && state_of(*i, at.has_bytes, &state)) {
    ++compared_;
    index = to.value + 1;
    if (state.digest != at.state.digest)
      how = "the digests differ";
    else if (at.has_bytes && state.hash != at.state.hash)
      how = "the bytes of snapshots of them differ";
  }
  if (how.empty()) return plugin_.finding;
  const bool restored = i != nullptr && i->restored_at > 0;
  return "a replica" +
         (restored ? " that was restored from the snapshot at index " +
                         std::to_string(i->restored_at)
                   : std::string()) +
         " differs from a plain replay of the log at index " + std::to_string(index - 1) + ": " +
         how + "." + (restored ? kNotInSnapshot : kNotDeterministic);
}

bool PluginReference::answered(uint64_t index, int32_t app_code, const Bytes& data) const {
  if (index == 0 || index >= at_.size()) return false;
  const auto& replies = at_[index].output.replies;
  return std::any_of(replies.begin(), replies.end(), [&](const rsm::Reply& r) {
    return r.app_code == app_code && same(r.data, data);
  });
}

}  // namespace raftcs::sim
