// recover.cpp: `raftcs force-new-cluster`: a new cluster from the last survivor of an old one.
#include <cstdio>

#include "common/text.hpp"
#include "raftcs/context.hpp"

namespace tools {

namespace {

void keep_line(uint64_t out, const char* line, size_t size) {
  reinterpret_cast<std::string*>(out)->assign(line, size);
}

void explain(const Json& r, After after) {
  std::string others;
  for (const Json& member : r["members"])
    if (member["id"] != r["node"])
      others += (others.empty() ? "" : ", ") + cell_of(member["id"]) + " (" +
                cell_of(member["peer_address"]) + ")";
  write_out(
      "node " + cell_of(r["node"]) + " of cluster " + cell_of(r["cluster"]) + "\n" +
          "kept:    everything up to index " + cell_of(r["last_index"]) + ", term " +
          cell_of(r["last_term"]) + "\n" +
          "lost:    whatever only the other members hold, also what was acknowledged to "
          "clients\n" +
          "         the other members: " + others +
          "; they can only come back with empty "
          "directories\n" +
          "         up to " + cell_of(r["sessions_ended"]) +
          " sessions: they end, and their "
          "clients are refused; what they had not heard an answer to stays unknown\n" +
          (r.value("reseed", false)
               ? "marked:  it was to begin anew without its data (member reseed): that may be "
                 "wrong. Take another survivor if there is one; --yes takes the mark away\n"
               : ""),
      after);
}

int run(const Context& context, const std::string& data_dir, bool yes) {
  std::string line;
  raftcs_error_t* error = nullptr;
  raftcs_status_t status = raftcs_force_new_cluster(data_dir.c_str(), yes ? 1 : 0, keep_line,
                                                    reinterpret_cast<uint64_t>(&line), &error);
  if (status != RAFTCS_OK)
    throw Failure(status == RAFTCS_ERR_INVALID_ARGUMENT ? kUsage : kFailed,
                  "force-new-cluster " + data_dir + ": " + take_error(error, status));
  const Json r = Json::parse(line);
  const After after = yes ? After::kDoing : After::kAsking;
  if (context.json()) {
    print_json(r, after);
  } else {
    explain(r, after);
  }
  if (!yes) {
    std::fprintf(stderr,
                 "raftcs: nothing was changed. Be sure that no majority of the old cluster can "
                 "come back, compare the last index of all survivors and take the highest; then "
                 "repeat with --yes\n");
    return kFailed;
  }
  std::fprintf(stderr,
               "raftcs: the directory is a cluster of one now, cluster %s; start its server "
               "without --cluster, then let new nodes join\n",
               cell_of(r["new_cluster"]).c_str());
  return kDone;
}

}  // namespace

void add_recover_command(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand(
      "force-new-cluster", "a new cluster from one survivor, when the majority is lost for good");
  auto data_dir = std::make_shared<std::string>();
  auto yes = std::make_shared<bool>(false);
  command->add_option("--data", *data_dir, "data directory of the stopped survivor")
      ->required()
      ->type_name("DIR");
  command->add_flag("--yes", *yes, "do it; without it only tell what would be");
  command->callback([&context, data_dir, yes] {
    context.action = [&context, data_dir, yes] { return run(context, *data_dir, *yes); };
  });
}

}  // namespace tools
