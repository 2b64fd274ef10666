#pragma once

#include "events/result.hpp"

#include <string>

namespace runledger {

/// The data folder belongs to one server: an exclusive lock on DATA/lock, held while this lives and
/// released by the kernel however the process ends. The file holds the owner's pid.
class data_folder_lock {
public:
  /// Creates the folder (0700) if it is not there. An error is one sentence for the operator; if
  /// another server holds the folder it names that server's pid, and `in_use` is set.
  static result<data_folder_lock, std::string> acquire(const std::string& folder,
                                                       bool* in_use = nullptr);

  data_folder_lock(data_folder_lock&& other) noexcept;
  data_folder_lock& operator=(data_folder_lock&& other) noexcept;
  data_folder_lock(const data_folder_lock&) = delete;
  data_folder_lock& operator=(const data_folder_lock&) = delete;
  ~data_folder_lock();

private:
  explicit data_folder_lock(int fd) : fd_(fd) {}
  int fd_ = -1;
};

} // namespace runledger
