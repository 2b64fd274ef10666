#include "projections/replay/verify.hpp"

#include "projections/replay/copy_check.hpp"
#include "projections/replay/partition_check.hpp"
#include "projections/replay/row_source.hpp"

#include <algorithm>

namespace runledger::replay {

namespace {

constexpr std::size_t page_size = row_source::page_size;
constexpr int tries_while_it_grows = 5;

/// False: the partition cannot be read.
bool scan(row_source& from, std::int64_t end, partition_check& check, const verify_options& options,
          verify_report& report) {
  while (check.position() < end) {
    auto taken = from.page(check.position(), end, [&](const record& r) { check.take(r); });
    if (!taken) {
      check.stop(taken.error());
      return false;
    }
    if (*taken == 0)
      return true; // What is left up to `end` was never accepted.
    if (options.progress)
      options.progress(report.events, report.events
                                          + static_cast<std::uint64_t>(
                                              std::max<std::int64_t>(0, end - check.position())));
  }
  return true;
}

/// Where a head that was kept elsewhere belongs; a foreign one is told of once.
std::uint32_t partition_of(const event_log& log, const signed_tree_head& head) {
  for (std::uint32_t p = 1; p < log.partition_count(); ++p)
    if (head.partition == partition_stream(log.partition_name(p)).value)
      return p;
  return 0;
}

result<std::vector<unfinished_stream>, read_error> whole_index(const event_log& log,
                                                               std::uint32_t partition) {
  std::vector<unfinished_stream> out;
  for (;;) {
    auto some = log.unfinished(partition, out.empty() ? stream_id{} : out.back().stream, page_size);
    if (!some)
      return some.error();
    out.insert(out.end(), some->begin(), some->end());
    if (some->size() < page_size)
      return out;
  }
}

/// The index moves with the ledger: it is compared once both stand still for a moment, or not at
/// all.
void compare_index(const event_log& log, std::uint32_t partition, row_source& from,
                   partition_check& check, const verify_options& options, verify_report& report) {
  for (int i = 0; i < tries_while_it_grows; ++i) {
    auto end = log.end_offset(partition);
    if (!scan(from, end, check, options, report))
      return;
    auto index = whole_index(log, partition);
    if (!index)
      return check.stop(index.error());
    if (log.end_offset(partition) == end)
      return check.compare(*index);
  }
}

void verify_partition(const event_log& log, std::uint32_t partition, const verify_options& options,
                      copy_check& copied, verify_report& report) {
  partition_check check{partition, log, options, copied, report};
  auto end = log.end_offset(partition);
  for (const auto& k : options.kept)
    if (!copied.is_of_source(k.head) && partition_of(log, k.head) == partition)
      check.expect(k);
  row_source rows{log, partition};
  if (scan(rows, end, check, options, report) && options.check_unfinished)
    compare_index(log, partition, rows, check, options, report);
  check.finish();
}

} // namespace

std::string_view to_string(finding_kind kind) {
  switch (kind) {
    case finding_kind::unreadable:
      return "unreadable";
    case finding_kind::damaged:
      return "damaged";
    case finding_kind::refused:
      return "refused";
    case finding_kind::missing:
      return "missing";
    case finding_kind::unfounded:
      return "unfounded";
    case finding_kind::time_went_back:
      return "time_went_back";
    case finding_kind::head_unreadable:
      return "head_unreadable";
    case finding_kind::head_signature:
      return "head_signature";
    case finding_kind::other_events:
      return "other_events";
    case finding_kind::fewer_events:
      return "fewer_events";
    case finding_kind::other_partition:
      return "other_partition";
    case finding_kind::foreign_head:
      return "foreign_head";
    case finding_kind::origin:
      return "origin";
    case finding_kind::unfinished_index:
      return "unfinished_index";
    case finding_kind::blob:
      return "blob";
    case finding_kind::bundle:
      return "bundle";
    case finding_kind::bundle_digest:
      return "bundle_digest";
    case finding_kind::unsigned_events:
      return "unsigned_events";
  }
  return "unknown";
}

verify_report verify(const event_log& log, const verify_options& options) {
  verify_report report;
  copy_check copied{log, options, report};
  for (std::uint32_t p = 0; p < log.partition_count(); ++p)
    verify_partition(log, p, options, copied, report);
  copied.finish();
  return report;
}

} // namespace runledger::replay
