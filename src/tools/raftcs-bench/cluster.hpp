// cluster.hpp: raftcs-server processes on loopback for the time of a run.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "raftcs-bench/process.hpp"

namespace tools {

struct ClusterOptions {
  uint32_t nodes = 3;
  std::string directory;
  std::string server;   // path of raftcs-server
  std::string plugins;  // directory with kv.so
  std::vector<std::string> settings;
};

class Cluster {
 public:
  // Starts the nodes in fresh directories under options.directory and waits until all are ready.
  explicit Cluster(const ClusterOptions& options);
  const std::vector<std::string>& endpoints() const { return endpoints_; }
  std::vector<pid_t> pids() const;

 private:
  void wait_ready(Child& node);
  std::vector<std::string> endpoints_;
  std::vector<std::unique_ptr<Child>> nodes_;
};

}  // namespace tools
