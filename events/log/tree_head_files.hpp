#pragma once

#include "events/log/event_log.hpp"
#include "events/tree_head.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace runledger {

/// The tree heads of one partition beside the ledger, for auditors to carry away:
/// `FOLDER/YYYY-MM-DD.jsonl` (UTC, by the head's time), a line each, appended and never changed.
///
/// A line follows its event, which is durable; the files are not flushed. What a crash took is
/// completed from the ledger, and half a line at the end is taken away. One thread.
class tree_head_files {
public:
  tree_head_files(std::string folder, std::string ledger, std::string partition)
      : folder_(std::move(folder)), ledger_(std::move(ledger)), partition_(std::move(partition)) {}

  /// Makes the folder, mends the newest file's end, and writes what the ledger has and the files
  /// lack. An error is one sentence; calling it again goes on where it was.
  result<void, std::string> complete(const event_log& log);
  /// Writes a head that has just become durable, unless it is there.
  result<void, std::string> append(const signed_tree_head& head);

private:
  result<void, std::string> prepare();
  void read_last();
  result<void, std::string> write_line(const std::string& path, const std::string& line);

  std::string folder_, ledger_, partition_;
  std::optional<std::uint64_t> last_; ///< The last written head's place in the partition's stream.
};

/// Names of the day files in a folder, the oldest first; none if there is no such folder.
std::vector<std::string> tree_head_file_names(const std::string& folder);

} // namespace runledger
