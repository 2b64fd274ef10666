#pragma once

#include "events/log/sqlite_log.hpp"

#include <vector>

namespace runledger::replay {

/// Gives the rows of a partition page by page. Those of a file come in records that are used again:
/// making new ones would cost as much as hashing them.
class row_source {
public:
  static constexpr std::size_t page_size = 1024;

  row_source(const event_log& log, std::uint32_t partition)
      : log_(log), file_(dynamic_cast<const sqlite_log*>(&log)), partition_(partition) {}

  /// Hands over the rows from `from` to before `end`, each until the next is handed over. How many;
  /// 0: there are no more.
  template <class Take>
  result<std::size_t, read_error> page(std::int64_t from, std::int64_t end, Take&& take) {
    std::size_t taken = 0;
    auto hand_over = [&](const record& r) {
      bool wanted = r.offset < end;
      if (wanted)
        take(r), ++taken;
      return wanted;
    };
    if (file_ != nullptr) {
      rows_.resize(page_size);
      auto count = file_->read_rows(from, rows_);
      if (!count)
        return count.error();
      for (std::size_t i = 0; i < *count && hand_over(rows_[i]); ++i) {
      }
      return taken;
    }
    auto records = log_.read_partition(partition_, from, page_size);
    if (!records)
      return records.error();
    for (std::size_t i = 0; i < records->size() && hand_over(*(*records)[i]); ++i) {
    }
    return taken;
  }

private:
  const event_log& log_;
  const sqlite_log* file_;
  std::uint32_t partition_;
  std::vector<record> rows_;
};

} // namespace runledger::replay
