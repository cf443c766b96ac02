// descriptors.hpp: file descriptors, and what a node does when there are none.
//
// What must hold: a step that follows another one, as the sync of a directory follows a rename,
// does not fail because the process has used its descriptors up. So a node keeps some open that it
// can give up for the files it has, and the directories that it syncs.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace raftcs::sys {

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor();
  int get() const { return fd_; }
  void reset(int fd);

 private:
  int fd_;
};

// What to do about EMFILE and ENFILE, in brackets; empty for other errors.
std::string open_files_hint(int error);

// open(2) that no signal interrupts.
int open_retry(const std::string& path, int flags);

// Threads: any.
class KeptDescriptors {
 public:
  ~KeptDescriptors() { drop(); }
  // Between the first begin() and the last end() descriptors are kept.
  void begin();
  void end();

  // Of a file that is there; a kept one is given up for it where there is no other.
  int open_existing(const std::string& path, int flags);
  // Of a directory, kept until another one has its name; empty, and errno is set, when there is
  // none.
  std::shared_ptr<Descriptor> directory(const std::string& path);
  void fill();  // keeps again what was given up, if there is something

 private:
  // Of sending four snapshots, restoring one, scrubbing and recycling; and one.
  static constexpr size_t kSparesMax = 8;
  static constexpr size_t kDirectoriesMax = 4;  // the data directory and what is below it
  struct Directory {
    std::string path;
    std::shared_ptr<Descriptor> descriptor;
  };

  bool give_up_one();
  void drop();

  std::mutex mutex_;
  size_t users_ = 0;
  std::array<int, kSparesMax> spares_{};
  size_t spare_count_ = 0;
  std::vector<Directory> directories_;
};

}  // namespace raftcs::sys
