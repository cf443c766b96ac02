// cluster.cpp: see cluster.hpp.
#include "raftcs-bench/cluster.hpp"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "common/api.hpp"

namespace tools {

namespace fs = std::filesystem;

namespace {
std::string read_file(const std::string& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}
}  // namespace

Cluster::Cluster(const ClusterOptions& options) {
  if (access(options.server.c_str(), X_OK) != 0) {
    throw Failure(kUsage,
                  "no raftcs-server at " + options.server + "; give its path with --server");
  }
  fs::create_directories(options.directory);
  std::vector<uint16_t> ports = free_ports(options.nodes * 2);
  auto address = [&](size_t i) { return "tcp://127.0.0.1:" + std::to_string(ports[i]); };
  std::string members;
  for (uint32_t i = 0; i < options.nodes; ++i) {
    if (i > 0) members += ",";
    members += std::to_string(i + 1) + "=" + address(2 * i + 1) + "/" + address(2 * i);
    endpoints_.push_back(address(2 * i));
  }
  for (uint32_t i = 0; i < options.nodes; ++i) {
    std::string data = options.directory + "/node-" + std::to_string(i + 1);
    if (fs::exists(data)) {
      throw Failure(kUsage, data + " exists; give --dir a directory without old nodes");
    }
    std::vector<std::string> arguments = {
        options.server,  "--id",          std::to_string(i + 1), "--data",    data,
        "--client-listen", address(2 * i), "--peer-listen",      address(2 * i + 1),
        "--cluster",     members};
    if (!options.plugins.empty()) {
      arguments.insert(arguments.end(), {"--plugins", options.plugins});
    }
    for (const std::string& pair : options.settings) {
      arguments.insert(arguments.end(), {"--set", pair});
    }
    nodes_.push_back(std::make_unique<Child>(arguments, data + ".log"));
  }
  for (auto& node : nodes_) wait_ready(*node);
}

void Cluster::wait_ready(Child& node) {
  for (int i = 0; i < 3'000; ++i) {
    std::string log = read_file(node.log());
    if (log.rfind("ready ", 0) == 0 || log.find("\nready ") != std::string::npos) return;
    if (!node.running()) throw Failure(kFailed, "a server did not start: " + log);
    usleep(10'000);
  }
  throw Failure(kFailed, "a server was not ready within 30 s; see " + node.log());
}

std::vector<pid_t> Cluster::pids() const {
  std::vector<pid_t> out;
  for (const auto& node : nodes_) out.push_back(node->pid());
  return out;
}

}  // namespace tools
