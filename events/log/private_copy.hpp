#pragma once

#include "events/result.hpp"

#include <memory>
#include <string>

namespace runledger {

/// A copy of a SQLite file and its write-ahead log, as of one moment, in a folder of its own (0700,
/// below TMPDIR or /tmp) that is removed at the end. The original's folder is not written to and no
/// lock is taken: where another process moves the write-ahead log on meanwhile, the copy is made
/// again. One thread.
class private_copy {
public:
  /// An error is one sentence for the operator: no room, or a file that changes too fast.
  static result<std::unique_ptr<private_copy>, std::string> of(const std::string& path);
  /// A folder for a file that is still to be made at path().
  static result<std::unique_ptr<private_copy>, std::string> of_nothing();
  ~private_copy();
  private_copy(const private_copy&) = delete;
  private_copy& operator=(const private_copy&) = delete;

  /// Of the copied file. Whoever opens it may write beside it.
  const std::string& path() const { return path_; }

  /// Removes the copy that this process has, for a signal handler that is about to end it.
  static void remove_now() noexcept;

private:
  private_copy() = default;
  result<void, std::string> make_folder();
  void remove() const noexcept;

  std::string folder_, path_;
  std::string side_files_[3]; ///< What SQLite puts beside it.
};

} // namespace runledger
