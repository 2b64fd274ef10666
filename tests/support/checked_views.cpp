#include "tests/support/checked_views.hpp"

#include "events/log/sqlite_log.hpp"
#include "projections/compare.hpp"

#include <filesystem>

namespace runledger::test {

std::string views_difference(const std::string& data) {
  const auto path = data + "/views.db";
  if (!std::filesystem::exists(data + "/ledger.db") || !std::filesystem::exists(path))
    return {};
  sqlite_log_options options;
  options.file = data + "/ledger.db";
  options.read_only = true;
  const auto log = sqlite_log::open(std::move(options));
  if (!log)
    return "the ledger cannot be read: " + log.error();
  const auto report = views::check(path, **log, {{}, data + ".check", {}});
  if (!report)
    return report.error();
  return report->found.first ? views::to_text(*report->found.first) : std::string{};
}

} // namespace runledger::test
