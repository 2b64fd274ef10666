#include "tests/support/checked_views.hpp"

#include "events/log/sqlite_log.hpp"
#include "projections/compare.hpp"

#include <filesystem>

namespace runledger::test {

std::string views_difference(const std::string& data, bool ready) {
  const auto path = data + "/views.db";
  for (const auto& file : {data + "/ledger.db", path})
    if (!std::filesystem::exists(file))
      return ready ? file + " is not there" : std::string{};
  sqlite_log_options options;
  options.file = data + "/ledger.db";
  options.read_only = true;
  const auto log = sqlite_log::open(std::move(options));
  if (!log)
    return "the ledger cannot be read: " + log.error();
  const auto report = views::check(path, **log, {{}, data + ".check", {}});
  if (!report)
    return report.error();
  if (ready && report->position == 0)
    return path + " holds nothing, though the server was ready";
  return report->found.first ? views::to_text(*report->found.first) : std::string{};
}

} // namespace runledger::test
