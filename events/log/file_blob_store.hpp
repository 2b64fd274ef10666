#pragma once

#include "events/log/blob_store.hpp"

#include <atomic>
#include <memory>
#include <string>

namespace runledger {

/// Blobs as files, `FOLDER/ab/cdef...` by the hex digits of their SHA-256. A blob is written to a
/// file of its own in `FOLDER/tmp`, synced, renamed into place, and its folder synced; so a name
/// never stands for part of a blob. Nodes may share the folder. Any thread.
class file_blob_store final : public blob_store {
public:
  enum class access : std::uint8_t { read_only, read_write };
  /// Creates the folders (0700) if they are not there and removes what a crash left in `tmp` more
  /// than a day ago; with `read_only` does neither, and puts are `unavailable`. An error is one
  /// sentence for the operator.
  static result<std::unique_ptr<file_blob_store>, std::string>
  open(std::string folder, access wanted = access::read_write);

  result<blob_ref, blob_errc> put(std::string_view content) override;
  result<blob_ref, blob_errc> put_file(int fd, std::uint64_t max_size) override;
  result<std::string, blob_errc> get(const digest& id) const override;
  std::optional<std::string> path_of(const digest& id) const override;

private:
  file_blob_store(std::string folder, access wanted)
      : folder_(std::move(folder)), access_(wanted) {}
  std::string folder_of(const digest& id) const;
  std::string name_of(const digest& id) const;
  std::string temporary_name();
  /// Puts the synced file `temporary` in its place for good.
  result<blob_ref, blob_errc> settle(const std::string& temporary, const blob_ref& blob);
  /// True if the blob is there, whole and synced.
  bool is_there(const blob_ref& blob) const;

  const std::string folder_;
  const access access_;
  std::atomic<std::uint64_t> counter_{0};
};

} // namespace runledger
