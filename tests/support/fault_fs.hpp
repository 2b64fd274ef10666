#pragma once

#include "tests/support/fault_fs.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>

namespace runledger::test {

/// The test's side of a failing file system: a control file whose changes take effect at once in
/// every process that uses it (fault_fs.h). For a child: set the environment variables LD_PRELOAD
/// to `RUNLEDGER_FAULT_FS_LIBRARY` and RUNLEDGER_FAULT_FS to `path()`.
class fault_fs {
public:
  /// Faults for files below the absolute `folder`; the control file stands elsewhere.
  fault_fs(std::string control_file, const std::string& folder) : path_(std::move(control_file)) {
    int fd = ::open(path_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || ::ftruncate(fd, sizeof(fault_fs_control)) != 0)
      std::abort();
    auto* memory =
        ::mmap(nullptr, sizeof(fault_fs_control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ::close(fd);
    if (memory == MAP_FAILED || folder.size() >= sizeof(fault_fs_control::folder))
      std::abort();
    control_ = static_cast<fault_fs_control*>(memory);
    control_->room = -1;
    std::strcpy(control_->folder, folder.c_str());
  }
  ~fault_fs() { ::munmap(control_, sizeof(fault_fs_control)); }
  fault_fs(const fault_fs&) = delete;
  fault_fs& operator=(const fault_fs&) = delete;

  const std::string& path() const { return path_; }

  /// After `room` more bytes every write fails with ENOSPC.
  void disk_full(std::int64_t room = 0) { store(control_->room, room); }
  void disk_has_room() { store(control_->room, -1); }
  /// The next `count` syncs (negative: all) fail with EIO.
  void fail_syncs(std::int64_t count) { store(control_->fail_syncs, count); }
  /// The next `count` writes (negative: all) fail with EIO.
  void fail_writes(std::int64_t count) { store(control_->fail_writes, count); }
  /// From now on faults hit only files whose path ends with `suffix`.
  void only(const std::string& suffix) {
    if (suffix.size() < sizeof(fault_fs_control::only))
      std::strcpy(control_->only, suffix.c_str());
  }
  std::int64_t syncs() const { return __atomic_load_n(&control_->syncs, __ATOMIC_SEQ_CST); }
  std::int64_t writes() const { return __atomic_load_n(&control_->writes, __ATOMIC_SEQ_CST); }

private:
  static void store(std::int64_t& field, std::int64_t value) {
    __atomic_store_n(&field, value, __ATOMIC_SEQ_CST);
  }
  std::string path_;
  fault_fs_control* control_;
};

} // namespace runledger::test
