// server.cpp: the rim of a node: four threads, the sockets and the disk.
//
//   rcs-core   polls the sockets, feeds the node, carries out its effects; never waits for
//              anything else
//   rcs-log    LogLane        rcs-apply   ApplyLane        rcs-snap   SnapshotLane
//
// A lane's results go into an outbox and wake the core. Shutdown: the node says `stopped`,
// the core flushes its frames and ends, then the lanes finish what they have and end.
#include "server/server.hpp"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "net/server_sockets.hpp"
#include "plugin/registry.hpp"
#include "server/bootstrap.hpp"
#include "server/join.hpp"
#include "server/lanes.hpp"
#include "server/node.hpp"
#include "server/worker.hpp"
#include "storage/identity_file.hpp"
#include "sys/clock.hpp"

namespace raftcs::server {
namespace {

constexpr DurationNs kJoinPatienceNs = 20 * kNsPerSecond;
constexpr int kWorkerRetryMs = 500;  // a full disk, a missing plugin
constexpr DurationNs kTellNs = 50 * kNsPerMs;  // results of the apply lane are told so often

// What other threads hand to the core loop.
struct Outbox {
  std::vector<LogDone> log;
  std::vector<ApplyDone> apply;
  uint64_t result_bytes = 0;  // of `apply`
  std::vector<SnapshotDone> snapshot;
  struct AdminCall {
    std::string verb, args;
    std::function<void(AdminResult)> done;
  };
  std::vector<AdminCall> admin;
  bool stop = false;
};

class RealServer final : public Server {
 public:
  RealServer(const Options& options, Observer* observer)
      : options_(options),
        observer_(observer),
        fs_(sys::posix_file_system()),
        registry_([this](int level, std::string_view line) { log(level, std::string(line)); }) {}

  ~RealServer() override {
    begin_stop();
    join();
  }

  Status start(const std::vector<const raftcs_sm_type_t*>& types);
  void begin_stop() override {
    post([](Outbox& o) { o.stop = true; });
  }
  void join() override {
    std::lock_guard lock(join_mutex_);
    if (core_.joinable()) core_.join();
  }
  Info info() const override {
    std::lock_guard lock(info_mutex_);
    return info_;
  }
  void admin(const std::string& verb, const std::string& args,
             std::function<void(AdminResult)> done) override {
    bool ended;
    {
      std::lock_guard lock(outbox_mutex_);
      ended = ended_;
      if (!ended) outbox_.admin.push_back({verb, args, done});
    }
    if (ended)
      done({{RAFTCS_ERR_CLOSED, "the server is stopped"}, {}});
    else
      sockets_->wake();
  }

 private:
  template <class F>
  void post(F&& fill) {
    {
      std::lock_guard lock(outbox_mutex_);
      fill(outbox_);
    }
    if (sockets_) sockets_->wake();
  }
  void log(int level, const std::string& line) {
    if (observer_ != nullptr) observer_->log(level, line);
  }
  Status load_plugins(const std::vector<const raftcs_sm_type_t*>& types);
  Status bind_sockets();
  Status find_cluster();
  void start_lanes();
  void run_core();
  void tell_peer_trouble();
  void take_outbox(Mono now);
  void carry_out(NodeEffects&& effects);
  void end_core();
  void run_apply(std::vector<ApplyJob>* jobs);
  bool find_new_plugins();
  bool wait_for_room();
  void refresh_plugin_list();
  std::vector<PluginFile> list_plugins();

  Options options_;
  Observer* observer_;
  std::unique_ptr<sys::FileSystem> fs_;
  plugin::Registry registry_;
  std::unique_ptr<net::ServerSockets> sockets_;
  std::unique_ptr<storage::DataDir> dir_;
  std::unique_ptr<Node> node_;
  std::unique_ptr<LogLane> log_lane_;
  std::unique_ptr<ApplyLane> apply_lane_;
  std::unique_ptr<SnapshotLane> snapshot_lane_;
  std::unique_ptr<Worker<LogJob>> log_worker_;
  std::unique_ptr<Worker<ApplyJob>> apply_worker_;
  std::unique_ptr<Worker<SnapshotJob>> snapshot_worker_;
  std::atomic<bool> end_lanes_{false};
  Mono tell_at_;               // apply lane
  std::string rescan_failed_;  // likewise: said once

  std::mutex outbox_mutex_;
  Outbox outbox_;
  std::condition_variable results_taken_;
  bool lanes_end_ = false;  // nobody takes results any more
  bool ended_ = false;      // the core loop takes no more calls
  std::map<uint64_t, std::function<void(AdminResult)>> admin_calls_;
  uint64_t admin_token_ = 0;
  bool finished_ = false;

  std::mutex plugin_list_mutex_;
  std::vector<PluginFile> plugin_list_;
  uint64_t foreign_frames_ = 0;  // told of in the log
  std::string peer_trouble_;     // likewise

  mutable std::mutex info_mutex_;
  Info info_;
  std::mutex join_mutex_;
  std::thread core_;
};

Status RealServer::load_plugins(const std::vector<const raftcs_sm_type_t*>& types) {
  for (const raftcs_sm_type_t* type : types) RCS_TRY(registry_.register_type(type));
  if (!options_.plugins_dir.empty()) RCS_TRY(registry_.set_directory(options_.plugins_dir));
  refresh_plugin_list();
  return Status::ok();
}

// The core loop reads a copy: the registry's lock is held while files are being loaded.
void RealServer::refresh_plugin_list() {
  std::vector<PluginFile> files;
  for (const plugin::PluginInfo& info : registry_.list())
    files.push_back({info.file, info.name, info.version, info.types, info.error});
  std::lock_guard lock(plugin_list_mutex_);
  plugin_list_ = std::move(files);
}

std::vector<PluginFile> RealServer::list_plugins() {
  std::lock_guard lock(plugin_list_mutex_);
  return plugin_list_;
}

Status RealServer::bind_sockets() {
  net::ServerSockets::Options o;
  o.client_listen = options_.client_listen;
  o.peer_listen = options_.peer_listen;
  o.frame_bytes_max = options_.frame_bytes_max;
  RCS_ASSIGN(sockets, net::ServerSockets::bind(o));
  sockets_ = std::move(sockets);
  for (const ClusterMember& m : options_.cluster) {  // what the others tell about this one
    if (m.id != options_.id) continue;
    if (options_.client_advertise.empty()) options_.client_advertise = m.client_address;
    if (options_.peer_advertise.empty()) options_.peer_advertise = m.peer_address;
  }
  if (options_.client_advertise.empty()) options_.client_advertise = sockets_->client_address();
  if (options_.peer_advertise.empty()) options_.peer_advertise = sockets_->peer_address();
  return Status::ok();
}

// Only a new directory has to ask, and one whose identity is damaged.
Status RealServer::find_cluster() {
  if (options_.join.empty()) return Status::ok();
  auto identity = storage::read_identity(*fs_, options_.data_dir);
  if (identity || identity.status().code() == RAFTCS_ERR_VERSION_MISMATCH) return Status::ok();
  log(RAFTCS_LOG_INFO, "asking for the cluster to join");
  RCS_ASSIGN(cluster, ask_cluster_id(options_.join, kJoinPatienceNs));
  options_.join_cluster = cluster;
  return Status::ok();
}

// What one message to a peer may hold must fit into a frame.
Status check_sizes(const Options& o) {
  uint64_t needed = o.append_bytes_max + o.batch_bytes_max + o.payload_bytes_max + (2u << 20);
  if (needed <= o.frame_bytes_max) return Status::ok();
  return {RAFTCS_ERR_INVALID_ARGUMENT,
          "limits.frame_bytes must be at least raft.append_bytes + batch.bytes + "
          "limits.payload_bytes + 2 MiB = " +
              std::to_string(needed)};
}

Status RealServer::start(const std::vector<const raftcs_sm_type_t*>& types) {
  RCS_TRY(check_sizes(options_));
  RCS_TRY(load_plugins(types));
  RCS_TRY(bind_sockets());
  RCS_TRY(find_cluster());
  std::vector<std::string> notes;
  RCS_ASSIGN(dir, open_data_dir(*fs_, options_, sys::os_random(), &notes));
  dir_ = std::move(dir);
  for (const std::string& note : notes) log(RAFTCS_LOG_WARNING, note);
  RCS_ASSIGN(image, boot_image(*dir_, options_));
  NodeEnvironment environment;
  environment.random = &sys::os_random();
  environment.list_plugins = [this] { return list_plugins(); };
  if (dir_->healing() != nullptr) environment.healing = *dir_->healing();
  node_ = std::make_unique<Node>(options_, dir_->identity(), std::move(image), environment,
                                 sys::mono_now());
  info_ = node_->info();
  info_.client_address = sockets_->client_address();
  info_.peer_address = sockets_->peer_address();
  start_lanes();
  core_ = std::thread([this] {
    prepare_thread("rcs-core");
    run_core();
  });
  return Status::ok();
}

void RealServer::start_lanes() {
  const rsm::Limits
      limits;  // replicated: never of one node's settings (limits.sessions is admission)
  log_lane_ = std::make_unique<LogLane>(*dir_);
  apply_lane_ = std::make_unique<ApplyLane>(*dir_, registry_, limits);
  apply_lane_->set_pace([this] { return end_lanes_ || sys::mono_now() >= tell_at_; },
                        [this] { return end_lanes_.load(); });
  snapshot_lane_ = std::make_unique<SnapshotLane>(*dir_);
  auto run_log = [this](std::vector<LogJob>* jobs) {
    std::vector<LogDone> done = log_lane_->run(jobs);
    bool final = !done.empty() && !done.back().status.is_ok() &&
                 done.back().status.code() != RAFTCS_ERR_NO_SPACE;
    if (final) jobs->clear();  // nothing more reaches the disk (PS-02)
    post([&](Outbox& o) { std::move(done.begin(), done.end(), std::back_inserter(o.log)); });
  };
  // With the disk full a vote behind the refused entries does not wait for the next try.
  log_worker_ = std::make_unique<Worker<LogJob>>("rcs-log", kWorkerRetryMs, true, run_log,
                                                 [this] { return dir_->prepare_ahead(); });
  apply_worker_ = std::make_unique<Worker<ApplyJob>>(
      "rcs-apply", kWorkerRetryMs, false, [this](std::vector<ApplyJob>* jobs) { run_apply(jobs); });
  snapshot_worker_ = std::make_unique<Worker<SnapshotJob>>(
      "rcs-snap", kWorkerRetryMs, false, [this](std::vector<SnapshotJob>* jobs) {
        for (SnapshotJob& job : *jobs) {
          SnapshotDone done = snapshot_lane_->run(job, [this] { return end_lanes_.load(); });
          post([&](Outbox& o) { o.snapshot.push_back(std::move(done)); });
        }
        jobs->clear();
      });
}

// Perhaps a file has been dropped in. Not on the core: dlopen takes its time.
bool RealServer::find_new_plugins() {
  const auto found = registry_.rescan();
  if (!found && found.status().text() != rescan_failed_)
    log(RAFTCS_LOG_WARNING, found.status().text());
  rescan_failed_ = found ? std::string() : found.status().text();
  refresh_plugin_list();
  return found && *found > 0;
}

// Many results leave in parts, and none is made before the core has taken those before it.
void RealServer::run_apply(std::vector<ApplyJob>* jobs) {
  const bool from_files = !options_.plugins_dir.empty();
  if (from_files && ApplyLane::wants_plugins(*jobs)) find_new_plugins();
  bool halted = false;
  while (!jobs->empty() && !halted && wait_for_room()) {
    ApplyDone done;
    tell_at_ = sys::mono_now() + kTellNs;
    apply_lane_->run(jobs, &done);
    if (from_files && !done.halted.is_ok() && find_new_plugins()) apply_lane_->run(jobs, &done);
    halted = !done.halted.is_ok();
    post([&](Outbox& o) {
      o.result_bytes += done.result_bytes;
      o.apply.push_back(std::move(done));
    });
  }
}

// False: the server ends.
bool RealServer::wait_for_room() {
  std::unique_lock lock(outbox_mutex_);
  results_taken_.wait(lock, [&] { return outbox_.result_bytes < kResultBytesMax || lanes_end_; });
  return !lanes_end_;
}

void RealServer::run_core() {
  std::vector<net::ServerInput> inputs;
  while (!finished_) {
    inputs.clear();
    sockets_->poll(node_->next_deadline(), &inputs);
    Mono now = sys::mono_now();
    take_outbox(now);
    if (foreign_frames_ == 0 && sockets_->foreign_frames() != 0)
      log(RAFTCS_LOG_WARNING,
          "a connection with an identity of its own or with messages of several parts was ignored");
    foreign_frames_ = sockets_->foreign_frames();
    tell_peer_trouble();
    for (net::ServerInput& input : inputs) {
      if (input.from_peer)
        node_->peer_frame(input.frame, now);
      else
        node_->client_frame(input.conn, input.frame, now);
    }
    if (now >= node_->next_deadline()) node_->tick(now);
    carry_out(node_->take_effects(now));
  }
  end_core();
}

void RealServer::tell_peer_trouble() {
  if (sockets_->peer_trouble() == peer_trouble_) return;
  peer_trouble_ = sockets_->peer_trouble();
  if (!peer_trouble_.empty()) log(RAFTCS_LOG_WARNING, peer_trouble_ + "; it is tried again");
}

void RealServer::take_outbox(Mono now) {
  Outbox box;
  {
    std::lock_guard lock(outbox_mutex_);
    std::swap(box, outbox_);
  }
  if (box.result_bytes >= kResultBytesMax) results_taken_.notify_one();
  for (const LogDone& done : box.log) node_->log_done(done, now);
  for (ApplyDone& done : box.apply) node_->apply_done(std::move(done), now);
  for (SnapshotDone& done : box.snapshot) node_->snapshot_done(std::move(done), now);
  for (Outbox::AdminCall& call : box.admin) {
    admin_calls_[++admin_token_] = std::move(call.done);
    node_->admin(admin_token_, call.verb, call.args, now);
  }
  if (box.stop) node_->begin_stop(now);
}

// Peers first: their way is the longest, over two networks and a disk, and a majority needs one of
// them. What must not leave before a write is not among these frames (Outgoing::after_write).
void RealServer::carry_out(NodeEffects&& e) {
  for (const auto& p : e.peer_addresses) sockets_->set_peer(p.peer, p.address);
  for (const auto& f : e.peer_frames)
    sockets_->send_peer(f.peer, f.frame);  // lossy; raft sends again
  log_worker_->post(std::move(e.log));
  apply_worker_->post(std::move(e.apply));
  snapshot_worker_->post(std::move(e.snapshot));
  for (const auto& f : e.client_frames)
    if (!sockets_->send_client(f.conn, f.frame)) node_->client_gone(f.conn);
  for (auto& reply : e.local_replies) {
    auto it = admin_calls_.find(reply.token);
    if (it == admin_calls_.end()) continue;
    it->second(std::move(reply.result));
    admin_calls_.erase(it);
  }
  for (const auto& line : e.lines) log(line.level, line.text);
  if (observer_ != nullptr)
    for (const auto& state : e.states) observer_->state_changed(state);
  Info now_info = node_->info();
  {
    std::lock_guard lock(info_mutex_);
    now_info.client_address = std::move(info_.client_address);
    now_info.peer_address = std::move(info_.peer_address);
    info_ = std::move(now_info);
  }
  if (e.stopped) finished_ = true;
}

void RealServer::end_core() {
  sockets_->close();
  end_lanes_ = true;
  {
    std::lock_guard lock(outbox_mutex_);
    lanes_end_ = true;
  }
  results_taken_.notify_one();
  log_worker_->stop();
  apply_worker_->stop();
  snapshot_worker_->stop();
  std::vector<Outbox::AdminCall> late;
  {
    std::lock_guard lock(outbox_mutex_);
    ended_ = true;
    late = std::move(outbox_.admin);
  }
  for (auto& call : late) call.done({{RAFTCS_ERR_CLOSED, "the server is stopped"}, {}});
  for (auto& [token, done] : admin_calls_) done({{RAFTCS_ERR_CLOSED, "the server is stopped"}, {}});
  admin_calls_.clear();
  {
    std::lock_guard lock(info_mutex_);
    info_.running = false;
    info_.leads = false;
  }
  if (observer_ != nullptr) observer_->stopped();
}

}  // namespace

Result<std::unique_ptr<Server>> Server::start(const Options& options,
                                              const std::vector<const raftcs_sm_type_t*>& types,
                                              Observer* observer) {
  auto server = std::make_unique<RealServer>(options, observer);
  RCS_TRY(server->start(types));
  return std::unique_ptr<Server>(std::move(server));
}

}  // namespace raftcs::server
