#pragma once

#include "events/money.hpp"
#include "events/time.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace runledger::replay {

/// Appends lines of CSV (RFC 4180) to a string that the caller owns, for spreadsheets: a text that
/// one would take for a formula gets a `'` before it, which spreadsheets do not show; money is an
/// exact decimal in USD, times are RFC 3339 in UTC.
class csv_writer {
public:
  explicit csv_writer(std::string& out) : out_(out) {}

  csv_writer& text(std::string_view content);
  csv_writer& number(std::int64_t content) { return raw(std::to_string(content)); }
  csv_writer& money(micro_usd content) { return raw(to_usd(content)); }
  /// An empty cell for no time.
  csv_writer& time(const std::optional<timestamp>& content) {
    return raw(content ? to_rfc3339(*content) : std::string{});
  }
  void end_line();

private:
  csv_writer& raw(std::string_view content);
  void separate();

  std::string& out_;
  bool fresh_ = true; // Nothing stands in this line yet.
};

} // namespace runledger::replay
