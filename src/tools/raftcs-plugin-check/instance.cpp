// instance.cpp: the host's side of each call.
#include "instance.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>

namespace plugin_check {
namespace {

constexpr uint64_t kWindow = 1000;  // pushes of a session; nobody acknowledges here
constexpr size_t kAnswerBytesMax = 16 << 20;  // of a reply and a push, as raftcs_plugin.h says
constexpr int kTimersMax = 100'000;

struct Stream {
  const std::string* in = nullptr;
  std::string* out = nullptr;
  size_t at = 0;
  size_t piece = 0;
  uint64_t calls = 0;
  uint64_t calls_max = UINT64_MAX;
  uint64_t fail_at = UINT64_MAX;
};

raftcs_status_t stream_write(const raftcs_writer_t* writer, const void* data, size_t len) {
  auto* s = static_cast<Stream*>(writer->ctx);
  if (s->calls++ >= s->calls_max) return RAFTCS_ERR_CANCELLED;
  s->out->append(static_cast<const char*>(data), len);
  return RAFTCS_OK;
}

raftcs_status_t stream_read(const raftcs_reader_t* reader, void* buf, size_t cap, size_t* out_n) {
  auto* s = static_cast<Stream*>(reader->ctx);
  *out_n = 0;
  if (s->at >= s->fail_at) return RAFTCS_ERR_IO;
  const size_t n = std::min<uint64_t>({cap, s->piece, s->in->size() - s->at, s->fail_at - s->at});
  std::memcpy(buf, s->in->data() + s->at, n);
  s->at += n;
  *out_n = n;
  return RAFTCS_OK;
}

}  // namespace

struct Instance::Call {
  Call(Instance* owner, uint32_t count, bool query = false)
      : self(owner), replied(count, false), replies(count) {
    sink.struct_size = sizeof sink;
    sink.ctx = this;
    sink.reply = &sink_reply;
    sink.push = &sink_push;
    sink.next_session = &sink_next_session;
    is_query = query;
  }
  Instance* self;
  std::vector<bool> replied;
  std::vector<std::string> replies;  // by command: the order of replying does not matter
  raftcs_sink_t sink{};
  bool is_query = false;  // which may not push, and whose result may be larger than a reply

  void close() {
    for (const std::string& r : replies) self->replies_ += r + "\n";
  }
};

raftcs_status_t Instance::sink_reply(const raftcs_sink_t* sink, uint32_t entry, int32_t app_code,
                                     const void* data, size_t len) {
  auto* call = static_cast<Call*>(sink->ctx);
  if (entry >= call->replied.size() || app_code < 0 || (data == nullptr && len != 0))
    return RAFTCS_ERR_INVALID_ARGUMENT;
  if (call->replied[entry]) return RAFTCS_ERR_BAD_STATE;
  if (!call->is_query && len > kAnswerBytesMax) return RAFTCS_ERR_TOO_LARGE;
  call->replied[entry] = true;
  ++(app_code == 0 ? call->self->answered_ : call->self->refused_);
  call->replies[entry] = "reply " + std::to_string(app_code) + " ";
  call->replies[entry].append(static_cast<const char*>(data), len);
  return RAFTCS_OK;
}

raftcs_status_t Instance::sink_push(const raftcs_sink_t* sink, uint64_t session, const void* data,
                                    size_t len) {
  auto* call = static_cast<Call*>(sink->ctx);
  if (call->is_query) return RAFTCS_ERR_BAD_STATE;
  if (data == nullptr && len != 0) return RAFTCS_ERR_INVALID_ARGUMENT;
  Instance& self = *call->self;
  if (self.live_.count(session) != 0) {  // to others: dropped, which is no failure
    if (len > kAnswerBytesMax) return RAFTCS_ERR_TOO_LARGE;
    if (self.windows_[session] >= kWindow) return RAFTCS_ERR_BUSY;
    ++self.windows_[session];
  }
  self.pushes_ += "push " + std::to_string(session) + " ";
  self.pushes_.append(static_cast<const char*>(data), len);
  self.pushes_ += '\n';
  return RAFTCS_OK;
}

raftcs_status_t Instance::sink_next_session(const raftcs_sink_t* sink, uint64_t after,
                                            const char* name, const char* value,
                                            raftcs_live_session_t* out) {
  auto* call = static_cast<Call*>(sink->ctx);
  if (call->is_query) return RAFTCS_ERR_BAD_STATE;
  if (out == nullptr || out->struct_size < sizeof *out || (name == nullptr && value != nullptr))
    return RAFTCS_ERR_INVALID_ARGUMENT;
  const Instance& self = *call->self;
  bool has = name == nullptr;  // all have the same capabilities here
  for (size_t i = 0; i < self.names_.size(); ++i)
    has = has || (std::strcmp(self.names_[i], name) == 0 &&
                  (value == nullptr || std::strcmp(self.values_[i], value) == 0));
  const auto it = self.live_.upper_bound(after);
  if (!has || it == self.live_.end()) return RAFTCS_ERR_NOT_FOUND;
  out->session = it->first;
  out->connected = it->second ? 1 : 0;
  out->capability_count = static_cast<uint32_t>(self.names_.size());
  out->capability_names = self.names_.data();
  out->capability_values = self.values_.data();
  return RAFTCS_OK;
}

// A function that came after minor 0; null where the plugin's struct ends before it.
template <class F>
static F later(const raftcs_sm_type_t* type, F raftcs_sm_type_t::*member) {
  const auto* begin = reinterpret_cast<const uint8_t*>(type);
  const auto* end = reinterpret_cast<const uint8_t*>(&(type->*member) + 1);
  return static_cast<size_t>(end - begin) <= type->struct_size ? type->*member : nullptr;
}

template <class F>
raftcs_status_t Instance::guarded(F&& call) {
  try {
    return call();
  } catch (...) {  // against the rules: found, not suffered
    threw_ = true;
    return RAFTCS_ERR_PLUGIN_FAILED;
  }
}

Instance::Instance(const raftcs_sm_type_t* type, const Capabilities& capabilities)
    : type_(type) {
  for (const auto& [name, value] : capabilities) {
    names_.push_back(name.c_str());
    values_.push_back(value.c_str());
  }
  host_.struct_size = sizeof host_;
  host_.abi_minor = RAFTCS_PLUGIN_ABI_MINOR;
  host_.log = [](const raftcs_host_t*, int32_t, const char*, size_t) {};
  host_.extension = [](const raftcs_host_t*, const char*) -> const void* { return nullptr; };
}

Instance::~Instance() {
  if (sm_ == nullptr) return;
  guarded([&] {
    type_->destroy(sm_);
    return RAFTCS_OK;
  });
}

raftcs_status_t Instance::create() {
  const std::string name = "checked";
  raftcs_sm_args_t args{sizeof args, type_->apply_version_max, name.c_str()};
  const raftcs_status_t s = guarded([&] { return type_->create(&host_, &args, &sm_); });
  return s == RAFTCS_OK && sm_ == nullptr ? RAFTCS_ERR_PLUGIN_FAILED : s;
}

raftcs_status_t Instance::apply(uint64_t first_index, const Command* commands, uint32_t count) {
  // Copies that die after the call: a plugin that keeps pointers is caught by a sanitizer. The
  // stride is larger than the struct of this header, as a later host's may be.
  struct Wide {
    raftcs_command_t command;
    uint64_t later_field;
  };
  std::vector<std::string> payloads;
  payloads.reserve(count);
  std::vector<Wide> wide(count);
  for (uint32_t i = 0; i < count; ++i) {
    payloads.push_back(commands[i].data);
    wide[i].command = {first_index + i, commands[i].session, payloads[i].data(),
                       payloads[i].size()};
    wide[i].later_field = ~uint64_t{0};
  }
  raftcs_apply_batch_t batch{};
  batch.struct_size = sizeof batch;
  batch.entry_stride = sizeof(Wide);
  batch.count = count;
  batch.apply_version = type_->apply_version_max;
  batch.cluster_time_ns = time_ns_;
  batch.commands = &wide[0].command;
  Call call(this, count);
  const raftcs_status_t s = guarded([&] { return type_->apply(sm_, &batch, &call.sink); });
  call.close();
  return s;
}

raftcs_status_t Instance::query(const std::string& data, uint64_t session) {
  raftcs_query_t q{};
  q.struct_size = sizeof q;
  q.apply_version = type_->apply_version_max;
  q.session = session;
  q.cluster_time_ns = time_ns_;
  q.data = data.data();
  q.len = data.size();
  Call call(this, 1, true);
  return guarded([&] { return type_->query(sm_, &q, &call.sink); });
}

raftcs_session_event_t Instance::event_of(uint64_t session, int32_t end_reason) const {
  static const void* const kLetters[] = {"undelivered"};
  static const size_t kSizes[] = {11};
  raftcs_session_event_t e{};
  e.struct_size = sizeof e;
  e.end_reason = end_reason;
  e.session = session;
  e.cluster_time_ns = time_ns_;
  e.capability_count = static_cast<uint32_t>(names_.size());
  e.capability_names = names_.data();
  e.capability_values = values_.data();
  e.undelivered_count = end_reason == 0 ? 0 : 1;
  e.undelivered = kLetters;
  e.undelivered_len = kSizes;
  e.apply_version = type_->apply_version_max;
  const auto it = live_.find(session);
  e.connected = it != live_.end() && it->second ? 1 : 0;
  return e;
}

raftcs_status_t Instance::session_event(uint64_t session, int32_t end_reason) {
  if (end_reason == 0) live_[session] = true;
  else live_.erase(session);
  const auto hook = end_reason == 0 ? type_->session_started : type_->session_ended;
  if (hook == nullptr) return RAFTCS_OK;
  const raftcs_session_event_t e = event_of(session, end_reason);
  Call call(this, 0);
  return guarded([&] { return hook(sm_, &e, &call.sink); });
}

raftcs_status_t Instance::presence(uint64_t session, bool connected) {
  live_[session] = connected;
  const auto hook = later(type_, &raftcs_sm_type_t::session_presence);
  if (hook == nullptr) return RAFTCS_OK;
  const raftcs_session_event_t e = event_of(session, 0);
  Call call(this, 0);
  return guarded([&] { return hook(sm_, &e, &call.sink); });
}

// How the last call of next_timer_ns or digest ended, for which a value is no answer.
raftcs_status_t Instance::value_status() const {
  if (type_->extension == nullptr) return RAFTCS_OK;
  const void* status = type_->extension(sm_, RAFTCS_SM_STATUS_EXTENSION);
  return status == nullptr ? RAFTCS_OK : *static_cast<const raftcs_status_t*>(status);
}

raftcs_status_t Instance::next_timer(int64_t* at) {
  *at = INT64_MAX;
  const auto next = later(type_, &raftcs_sm_type_t::next_timer_ns);
  if (next == nullptr) return RAFTCS_OK;
  return guarded([&] {
    *at = next(sm_);
    return value_status();
  });
}

raftcs_status_t Instance::timers(const char** failed_in) {
  const auto run = later(type_, &raftcs_sm_type_t::timer);
  if (run == nullptr) return RAFTCS_OK;
  for (int i = 0; i < kTimersMax; ++i) {
    int64_t at = INT64_MAX;
    *failed_in = "next_timer_ns";
    if (const auto s = next_timer(&at); s != RAFTCS_OK || at > time_ns_) return s;
    *failed_in = "timer";
    raftcs_timer_t timer{sizeof timer, type_->apply_version_max, time_ns_};
    Call call(this, 0);
    const auto s = guarded([&] { return run(sm_, &timer, &call.sink); });
    if (s != RAFTCS_OK) return s;
  }
  *failed_in = "timer, again and again,";
  return RAFTCS_ERR_BAD_STATE;
}

raftcs_status_t Instance::snapshot(std::string* out, uint64_t writes_max,
                                   const std::function<void()>& meanwhile) {
  Stream stream;
  stream.out = out;
  stream.calls_max = writes_max;
  raftcs_writer_t writer{};
  writer.struct_size = sizeof writer;
  writer.ctx = &stream;
  writer.write = &stream_write;
  return guarded([&] {
    void* handle = nullptr;
    raftcs_status_t s = type_->snapshot_begin(sm_, &handle);
    if (s != RAFTCS_OK) return s;
    if (meanwhile) meanwhile();
    s = type_->snapshot_write(sm_, handle, &writer);
    type_->snapshot_end(sm_, handle);
    return s;
  });
}

raftcs_status_t Instance::restore(const std::string& bytes, size_t piece, uint64_t fail_at) {
  Stream stream;
  stream.in = &bytes;
  stream.piece = std::max<size_t>(1, piece);
  stream.fail_at = fail_at;
  raftcs_reader_t reader{};
  reader.struct_size = sizeof reader;
  reader.ctx = &stream;
  reader.read = &stream_read;
  raftcs_snapshot_info_t info{sizeof info, type_->snapshot_version_write, 1};
  const raftcs_status_t s = guarded([&] { return type_->restore(sm_, &info, &reader); });
  // The host refuses a stream that was not read to its end.
  return s == RAFTCS_OK && stream.at < bytes.size() ? RAFTCS_ERR_CORRUPT : s;
}

raftcs_status_t Instance::digest(uint64_t* value) {
  *value = 0;
  if ((type_->flags & RAFTCS_SM_HAS_DIGEST) == 0) return RAFTCS_OK;
  return guarded([&] {
    *value = type_->digest(sm_);
    return value_status();
  });
}

}  // namespace plugin_check
