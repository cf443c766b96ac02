// raftcs_plugin.hpp: a state machine as a C++ class. Header only; not part of the ABI.
//
// Derive from raftcs_sm::StateMachine, describe the type in a static kType, and name the
// class in RAFTCS_PLUGIN: the macro makes the C descriptor and the entry function. No
// exception leaves the plugin: each function catches what it throws, logs it and gives the
// host a status, upon which the node stops applying (docs/plugin-guide.md). So throw only
// for what must never happen; refusals are replies with an app_code.
//
//   class Sum : public raftcs_sm::StateMachine {
//    public:
//     static constexpr raftcs_sm::Type kType{.id = "org.example.sum"};
//     ...
//   };
//   RAFTCS_PLUGIN("sum", "1.0.0", "example.org", "MIT", Sum)
#ifndef RAFTCS_PLUGIN_HPP
#define RAFTCS_PLUGIN_HPP

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "raftcs_plugin.h"

namespace raftcs_sm {

// Ends the call with this status.
class Error : public std::runtime_error {
 public:
  Error(raftcs_status_t status, const std::string& text)
      : std::runtime_error(text), status_(status) {}
  raftcs_status_t status() const { return status_; }

 private:
  raftcs_status_t status_;
};

struct Type {
  const char* id = nullptr;
  uint32_t flags = 0;  // raftcs_sm_flags
  uint32_t snapshot_version_write = 1;
  uint32_t snapshot_version_read_min = 1;
  uint32_t apply_version_min = 1;
  uint32_t apply_version_max = 1;
  bool timers = false;              // next_timer_ns and timer are called
  bool presence = false;            // session_presence is called
  uint32_t host_minor_required = 0; // older hosts refuse the plugin with a clear sentence
};

struct Command {
  uint64_t index;
  uint64_t session;
  int64_t time_ns;  // cluster time, the only clock
  uint32_t apply_version;
  std::string_view data;
};

struct Query {
  uint64_t session;  // 0: asked outside a session
  int64_t time_ns;
  uint32_t apply_version;
  std::string_view data;
};

using Capabilities = std::vector<std::pair<std::string_view, std::string_view>>;

struct SessionEvent {
  uint64_t session;
  int64_t time_ns;
  int32_t end_reason;  // raftcs_session_end; 0 at the beginning
  Capabilities capabilities;
  std::vector<std::string_view> undelivered;  // dead letters of this service, oldest first
  bool connected = true;
  uint32_t apply_version = 0;  // 0: the host does not say (it is older than minor 1)
};

struct LiveSession {  // the views live as long as the call into the state machine
  uint64_t session;
  bool connected;
  Capabilities capabilities;
};

struct Timer {
  int64_t time_ns;
  uint32_t apply_version;
};

// Where one command's or query's answer goes. The bytes are copied.
class Answer {
 public:
  Answer(const raftcs_sink_t* sink, uint32_t entry) : sink_(sink), entry_(entry) {}

  void reply(int32_t app_code, std::string_view data = {}) {
    const raftcs_status_t s = sink_->reply(sink_, entry_, app_code, data.data(), data.size());
    if (s != RAFTCS_OK) throw Error(s, "the host did not take a reply");
  }
  // False: the session's window is full. (To a session that is gone: true, and dropped.)
  bool push(uint64_t session, std::string_view data) {
    const raftcs_status_t s = sink_->push(sink_, session, data.data(), data.size());
    if (s == RAFTCS_OK) return true;
    if (s == RAFTCS_ERR_BUSY || s == RAFTCS_ERR_TOO_LARGE) return false;
    throw Error(s, "the host did not take a push");
  }
  // The live sessions with a capability, by number; not in query. nullptr: of any name or value.
  std::vector<LiveSession> sessions(const char* name = nullptr, const char* value = nullptr) const;

 private:
  const raftcs_sink_t* sink_;
  uint32_t entry_;
};

inline Capabilities capabilities_of(uint32_t count, const char* const* names,
                                    const char* const* values) {
  Capabilities all;
  for (uint32_t i = 0; i < count; ++i) all.emplace_back(names[i], values[i]);
  return all;
}

inline std::vector<LiveSession> Answer::sessions(const char* name, const char* value) const {
  constexpr size_t kNeeded = offsetof(raftcs_sink_t, next_session) + sizeof sink_->next_session;
  if (sink_->struct_size < kNeeded)
    throw Error(RAFTCS_ERR_UNSUPPORTED, "the host is older than minor 1 of the plugin interface");
  std::vector<LiveSession> all;
  raftcs_live_session_t at{};
  at.struct_size = sizeof at;
  raftcs_status_t s = RAFTCS_OK;
  while ((s = sink_->next_session(sink_, at.session, name, value, &at)) == RAFTCS_OK)
    all.push_back({at.session, at.connected != 0,
                   capabilities_of(at.capability_count, at.capability_names,
                                   at.capability_values)});
  if (s != RAFTCS_ERR_NOT_FOUND) throw Error(s, "the host did not list the sessions");
  return all;
}

// Snapshot streams: little-endian, lengths before bytes. Failures throw Error.
class Writer {
 public:
  explicit Writer(const raftcs_writer_t* writer) : writer_(writer) {}
  void raw(const void* data, size_t size) {
    const raftcs_status_t s = writer_->write(writer_, data, size);
    if (s != RAFTCS_OK) throw Error(s, "the host stopped the snapshot");
  }
  void u64(uint64_t v) {
    uint8_t b[8];
    for (unsigned i = 0; i < 8; ++i) b[i] = static_cast<uint8_t>(v >> (8 * i));
    raw(b, sizeof b);
  }
  void bytes(std::string_view s) {
    u64(s.size());
    if (!s.empty()) raw(s.data(), s.size());
  }

 private:
  const raftcs_writer_t* writer_;
};

class Reader {
 public:
  explicit Reader(const raftcs_reader_t* reader) : reader_(reader) {}
  void raw(void* out, size_t size) {
    auto* p = static_cast<uint8_t*>(out);
    while (size > 0) {
      const size_t n = some(p, size);
      if (n == 0) throw Error(RAFTCS_ERR_CORRUPT, "the snapshot ends too early");
      p += n;
      size -= n;
    }
  }
  uint64_t u64() {
    uint8_t b[8];
    raw(b, sizeof b);
    uint64_t v = 0;
    for (unsigned i = 0; i < 8; ++i) v |= static_cast<uint64_t>(b[i]) << (8 * i);
    return v;
  }
  // Memory grows with the bytes that are really there.
  std::string bytes() {
    uint64_t left = u64();
    std::string out;
    while (left > 0) {
      const size_t at = out.size();
      const size_t n = left < kPiece ? static_cast<size_t>(left) : kPiece;
      out.resize(at + n);
      raw(&out[at], n);
      left -= n;
    }
    return out;
  }
  // To be called last: nothing may follow.
  void end() {
    uint8_t more;
    if (some(&more, 1) != 0) throw Error(RAFTCS_ERR_CORRUPT, "the snapshot goes on too long");
  }

 private:
  static constexpr size_t kPiece = 64 * 1024;
  size_t some(void* out, size_t size) {
    size_t n = 0;
    const raftcs_status_t s = reader_->read(reader_, out, size, &n);
    if (s != RAFTCS_OK) throw Error(s, "the host could not read the snapshot");
    return n;
  }
  const raftcs_reader_t* reader_;
};

// A point in time. With RAFTCS_SM_CONCURRENT_SNAPSHOT write() runs beside apply, so it must
// not look at the state machine.
class Snapshot {
 public:
  virtual ~Snapshot() = default;
  virtual void write(Writer& out) = 0;  // the bytes: a function of the state alone
};

class StateMachine {
 public:
  virtual ~StateMachine() = default;
  virtual void apply(const Command& command, Answer& answer) = 0;
  virtual void query(const Query& query, Answer& answer) = 0;
  virtual void session_started(const SessionEvent&, Answer& /*pushes only*/) {}
  virtual void session_ended(const SessionEvent&, Answer& /*pushes only*/) {}
  // With Type::timers: the cluster time from which on timer() is wanted; a function of the state.
  virtual int64_t next_timer_ns() { return INT64_MAX; }
  virtual void timer(const Timer&, Answer& /*pushes only*/) {}
  // With Type::presence: event.connected says whether the client is there.
  virtual void session_presence(const SessionEvent&, Answer& /*pushes only*/) {}
  virtual std::unique_ptr<Snapshot> snapshot() = 0;
  virtual void restore(uint32_t snapshot_version, Reader& in) = 0;
  virtual uint64_t digest() { return 0; }  // called with RAFTCS_SM_HAS_DIGEST only

  void log(int32_t level, std::string_view text) const {
    if (host_ != nullptr) host_->log(host_, level, text.data(), text.size());
  }
  void attach(const raftcs_host_t* host) { host_ = host; }
  raftcs_status_t* value_status() { return &value_status_; }

 private:
  const raftcs_host_t* host_ = nullptr;
  raftcs_status_t value_status_ = RAFTCS_OK;  // of the last next_timer_ns or digest
};

namespace detail {

template <class F>
raftcs_status_t guard(const StateMachine* sm, const char* where, F&& call) noexcept {
  const char* what = "something that is no exception";
  raftcs_status_t status = RAFTCS_ERR_PLUGIN_FAILED;
  try {
    try {
      call();
      return RAFTCS_OK;
    } catch (const Error& e) {
      status = e.status() == RAFTCS_OK ? RAFTCS_ERR_PLUGIN_FAILED : e.status();
      if (sm && status != RAFTCS_ERR_CANCELLED)
        sm->log(RAFTCS_LOG_ERROR, std::string(where) + ": " + e.what());
    } catch (const std::bad_alloc&) {
      status = RAFTCS_ERR_NO_MEMORY;
    } catch (const std::exception& e) {
      if (sm) sm->log(RAFTCS_LOG_ERROR, std::string(where) + ": " + e.what());
    } catch (...) {
      if (sm) sm->log(RAFTCS_LOG_ERROR, std::string(where) + ": " + what);
    }
  } catch (...) {  // the logging itself had no memory
  }
  return status;
}

inline std::string_view view(const void* data, size_t size) {
  return {static_cast<const char*>(data), size};
}

inline SessionEvent event_of(const raftcs_session_event_t& e) {
  SessionEvent event{e.session, e.cluster_time_ns, e.end_reason, {}, {}};
  event.capabilities =
      capabilities_of(e.capability_count, e.capability_names, e.capability_values);
  for (uint32_t i = 0; i < e.undelivered_count; ++i)
    event.undelivered.push_back(view(e.undelivered[i], e.undelivered_len[i]));
  if (e.struct_size >= offsetof(raftcs_session_event_t, connected) + sizeof e.connected) {
    event.connected = e.connected != 0;
    event.apply_version = e.apply_version;
  }
  return event;
}

inline StateMachine* of(void* sm) { return static_cast<StateMachine*>(sm); }

template <class T>
raftcs_status_t create(const raftcs_host_t* host, const raftcs_sm_args_t*, void** out) {
  return guard(nullptr, "create", [&] {
    auto sm = std::make_unique<T>();
    sm->attach(host);
    *out = static_cast<StateMachine*>(sm.release());
  });
}
inline void destroy(void* sm) { delete of(sm); }

inline raftcs_status_t apply(void* sm, const raftcs_apply_batch_t* b, const raftcs_sink_t* sink) {
  return guard(of(sm), "apply", [&] {
    const auto* at = reinterpret_cast<const uint8_t*>(b->commands);
    for (uint32_t i = 0; i < b->count; ++i, at += b->entry_stride) {
      const auto* c = reinterpret_cast<const raftcs_command_t*>(at);
      const Command command{c->index, c->session, b->cluster_time_ns, b->apply_version,
                            view(c->data, c->len)};
      Answer answer(sink, i);
      of(sm)->apply(command, answer);
    }
  });
}
inline raftcs_status_t query(void* sm, const raftcs_query_t* q, const raftcs_sink_t* sink) {
  return guard(of(sm), "query", [&] {
    const Query query{q->session, q->cluster_time_ns, q->apply_version, view(q->data, q->len)};
    Answer answer(sink, 0);
    of(sm)->query(query, answer);
  });
}
inline raftcs_status_t session_started(void* sm, const raftcs_session_event_t* e,
                                       const raftcs_sink_t* sink) {
  return guard(of(sm), "session_started", [&] {
    Answer answer(sink, 0);
    of(sm)->session_started(event_of(*e), answer);
  });
}
inline raftcs_status_t session_ended(void* sm, const raftcs_session_event_t* e,
                                     const raftcs_sink_t* sink) {
  return guard(of(sm), "session_ended", [&] {
    Answer answer(sink, 0);
    of(sm)->session_ended(event_of(*e), answer);
  });
}
inline raftcs_status_t session_presence(void* sm, const raftcs_session_event_t* e,
                                        const raftcs_sink_t* sink) {
  return guard(of(sm), "session_presence", [&] {
    Answer answer(sink, 0);
    of(sm)->session_presence(event_of(*e), answer);
  });
}
inline int64_t next_timer_ns(void* sm) {
  int64_t at = INT64_MAX;
  *of(sm)->value_status() = guard(of(sm), "next_timer_ns", [&] { at = of(sm)->next_timer_ns(); });
  return at;
}
inline raftcs_status_t timer(void* sm, const raftcs_timer_t* t, const raftcs_sink_t* sink) {
  return guard(of(sm), "timer", [&] {
    Answer answer(sink, 0);
    of(sm)->timer({t->cluster_time_ns, t->apply_version}, answer);
  });
}
inline raftcs_status_t snapshot_begin(void* sm, void** out) {
  return guard(of(sm), "snapshot_begin", [&] { *out = of(sm)->snapshot().release(); });
}
inline raftcs_status_t snapshot_write(void* sm, void* snapshot, const raftcs_writer_t* writer) {
  return guard(of(sm), "snapshot_write", [&] {
    Writer out(writer);
    static_cast<Snapshot*>(snapshot)->write(out);
  });
}
inline void snapshot_end(void*, void* snapshot) { delete static_cast<Snapshot*>(snapshot); }
inline raftcs_status_t restore(void* sm, const raftcs_snapshot_info_t* info,
                               const raftcs_reader_t* reader) {
  return guard(of(sm), "restore", [&] {
    Reader in(reader);
    of(sm)->restore(info->snapshot_version, in);
  });
}
inline uint64_t digest(void* sm) {
  uint64_t value = 0;
  *of(sm)->value_status() = guard(of(sm), "digest", [&] { value = of(sm)->digest(); });
  return value;
}
inline const void* extension(void* sm, const char* id) {
  return std::strcmp(id, RAFTCS_SM_STATUS_EXTENSION) == 0 ? of(sm)->value_status() : nullptr;
}

}  // namespace detail

// The C descriptor of a class; also for raftcs_server_register_sm. Hidden, however the plugin is
// built: else the static in it is a unique symbol, one for all plugins of a process that have a
// class of this name.
template <class T>
__attribute__((visibility("hidden"))) const raftcs_sm_type_t* type_of() {
  constexpr Type d = T::kType;
  static const raftcs_sm_type_t type = {
      sizeof(raftcs_sm_type_t),
      d.flags,
      d.id,
      d.snapshot_version_write,
      d.snapshot_version_read_min,
      d.apply_version_min,
      d.apply_version_max,
      &detail::create<T>,
      &detail::destroy,
      &detail::apply,
      &detail::query,
      &detail::session_started,
      &detail::session_ended,
      &detail::snapshot_begin,
      &detail::snapshot_write,
      &detail::snapshot_end,
      &detail::restore,
      (d.flags & RAFTCS_SM_HAS_DIGEST) != 0 ? &detail::digest : nullptr,
      &detail::extension,
      d.timers ? &detail::next_timer_ns : nullptr,
      d.timers ? &detail::timer : nullptr,
      d.presence ? &detail::session_presence : nullptr,
  };
  return &type;
}

template <class... Ts>
const raftcs_sm_type_t* type_at(uint32_t i) {
  const raftcs_sm_type_t* types[] = {type_of<Ts>()...};
  return i < sizeof...(Ts) ? types[i] : nullptr;
}
template <class... Ts>
constexpr uint32_t count_of() {
  return static_cast<uint32_t>(sizeof...(Ts));
}
template <class... Ts>
constexpr uint32_t host_minor_required() {
  uint32_t most = 0;
  for (uint32_t minor : {Ts::kType.host_minor_required...}) most = minor > most ? minor : most;
  return most;
}

}  // namespace raftcs_sm

// Defines the entry function of a plugin that offers these classes (one at least).
#define RAFTCS_PLUGIN(name_, version_, vendor_, license_, ...)                                  \
  extern "C" RAFTCS_PLUGIN_EXPORT const raftcs_plugin_entry_t* raftcs_plugin_entry_v1(void) {   \
    static const raftcs_plugin_entry_t entry = {sizeof(raftcs_plugin_entry_t),                  \
                                                RAFTCS_PLUGIN_MAGIC,                            \
                                                RAFTCS_PLUGIN_ABI_MINOR,                        \
                                                raftcs_sm::host_minor_required<__VA_ARGS__>(),  \
                                                RAFTCS_PLUGIN_TARGET_64LE,                      \
                                                raftcs_sm::count_of<__VA_ARGS__>(),             \
                                                name_,                                          \
                                                version_,                                       \
                                                vendor_,                                        \
                                                license_,                                       \
                                                &raftcs_sm::type_at<__VA_ARGS__>,               \
                                                nullptr,                                        \
                                                nullptr,                                        \
                                                nullptr};                                       \
    return &entry;                                                                              \
  }

#endif
