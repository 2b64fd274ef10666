#pragma once

#include "events/json.hpp"
#include "events/time.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

/// What people see. Texts from the server pass through printable(), so that none can steer a
/// terminal.
namespace runledger::cli {

/// Rows of one list of a report: people read no longer one, and --json has all.
inline constexpr std::size_t shown_max = 100;

/// Control characters become visible escapes; new lines too, unless they are kept.
std::string printable(std::string_view text, bool keep_lines = false);

/// A member as one cell: a text unquoted, anything else as written, `-` where it is null or absent.
std::string cell(const json::value& object, std::string_view member);

/// `3 s ago`, `5 min ago`, `in 2 h`; the text itself where it is no time.
std::string relative_time(std::string_view rfc3339, timestamp now);
/// As relative_time() for a member.
std::string relative_cell(const json::value& object, std::string_view member, timestamp now);
/// `1.2 s`, `3 min 4 s` between two members; `-` where one is missing.
std::string duration_cell(const json::value& object, std::string_view from, std::string_view to);

/// A value over several lines, indented by two; short lists and objects inside it on one.
std::string pretty(const json::value& value);

/// Whether stdout is a terminal that wants colours (NO_COLOR is honoured).
bool wants_colour();
/// The text in the colour of the status or level that it names; unchanged without `colour`.
std::string painted(std::string_view text, std::string_view status, bool colour);

/// Columns as wide as their widest cell. The column named STATUS is coloured.
class table {
public:
  explicit table(std::vector<std::string> headers) { rows_.push_back(std::move(headers)); }
  /// As many cells as headers.
  void row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  bool empty() const { return rows_.size() == 1; }
  std::string text(bool colour) const;

private:
  std::vector<std::vector<std::string>> rows_;
};

} // namespace runledger::cli
