#include "tests/support/checked_views.hpp"

#include "events/log/replica_log.hpp"
#include "events/log/sqlite_log.hpp"
#include "projections/compare.hpp"
#include "tests/support/event_schemas.hpp"

#include <filesystem>

namespace runledger::test {

namespace {

using opened_log = result<std::unique_ptr<event_log>, std::string>;

/// The first sound event that does not fit its schema; empty: none.
std::string events_mismatch(const event_log& log) {
  for (std::uint32_t p = 0; p < log.partition_count(); ++p)
    for (std::int64_t at = 0;;) {
      const auto some = log.read_partition(p, at, 1000);
      if (!some || some->empty())
        break;
      for (const auto& r : *some)
        if (r->damage.empty())
          if (auto mismatch = schema_mismatch(r->event); !mismatch.empty())
            return mismatch;
      at = some->back()->offset + 1;
    }
  return {};
}

opened_log open_ledger(const std::string& data) {
  sqlite_log_options options;
  options.file = data + "/ledger.db";
  options.read_only = true;
  auto log = sqlite_log::open(std::move(options));
  if (!log)
    return log.error();
  return opened_log{*std::move(log)};
}

/// What a node has read of its ledger in Kafka.
opened_log open_replica(const std::string& data) {
  auto log = replica_log::open(data + "/replica.db");
  if (!log)
    return log.error();
  return opened_log{*std::move(log)};
}

} // namespace

std::string views_difference(const std::string& data, bool ready) {
  const auto path = data + "/views.db";
  const bool in_kafka = !std::filesystem::exists(data + "/ledger.db")
                        && std::filesystem::exists(data + "/replica.db");
  for (const auto& file : {data + (in_kafka ? "/replica.db" : "/ledger.db"), path})
    if (!std::filesystem::exists(file))
      return ready ? file + " is not there" : std::string{};
  const auto log = in_kafka ? open_replica(data) : open_ledger(data);
  if (!log)
    return "the ledger cannot be read: " + log.error();
  if (auto mismatch = events_mismatch(**log); !mismatch.empty())
    return mismatch;
  const auto report = views::check(path, **log, {{}, data + ".check", {}});
  if (!report)
    return report.error();
  if (ready && report->position == 0)
    return path + " holds nothing, though the server was ready";
  return report->found.first ? views::to_text(*report->found.first) : std::string{};
}

} // namespace runledger::test
