// sim_disk_fixture.hpp: a data directory on a simulated disk, with segments of 16 KiB.
#pragma once

#include <memory>

#include "storage_fixture.hpp"
#include "tests/support/sim_disk.hpp"

namespace raftcs::storage {

constexpr char kPath[] = "/node";

class OnSimDisk : public ::testing::Test {
 protected:
  void SetUp() override {
    options_.segment_bytes = 16 << 10;
    ASSERT_OK(DataDir::create(disk_, kPath, make_identity()));
    open();
  }
  // Again, when it was open: as a new process.
  void open() {
    dir_.reset();
    auto opened = DataDir::open(disk_, kPath, options_, &notes_);
    ASSERT_OK(opened);
    dir_ = std::move(*opened);
    image_ = dir_->take_boot_image();
  }

  sim::SimDisk disk_;
  Options options_;
  std::vector<std::string> notes_;
  std::unique_ptr<DataDir> dir_;
  raft::BootImage image_;
};

}  // namespace raftcs::storage
