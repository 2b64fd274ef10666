#include "cli/output.hpp"

#include "events/json_writer.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fmt/format.h>
#include <unistd.h>

namespace runledger::cli {

namespace {

/// Characters, not bytes: the texts are UTF-8.
std::size_t width(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

std::string amount_of_time(std::int64_t ms) {
  const auto seconds = ms / 1000;
  if (seconds < 60)
    return fmt::format("{} s", seconds);
  if (seconds < 3600)
    return fmt::format("{} min", seconds / 60);
  if (seconds < 48 * 3600)
    return fmt::format("{} h", seconds / 3600);
  return fmt::format("{} d", seconds / 86'400);
}

constexpr std::size_t widest_on_one_line = 72;

/// Whether a value reads well on one line: short, and nothing in it holds anything itself.
bool fits_on_one_line(const json::value& value) {
  if (value.raw().size() > widest_on_one_line)
    return false;
  for (const auto child : value.children())
    if (child.size() > 0)
      return false;
  return true;
}

void pretty_into(std::string& out, const json::value& value, std::size_t depth) {
  if (value.size() == 0 || !(value.is_object() || value.is_array())) {
    out += value.raw();
    return;
  }
  const bool spread = depth == 0 || !fits_on_one_line(value);
  const auto next_line = [&](std::size_t level) {
    if (spread)
      out += '\n' + std::string(2 * level, ' ');
  };
  out += value.is_object() ? '{' : '[';
  bool first = true;
  for (const auto child : value.children()) {
    if (!first)
      out += spread ? "," : ", ";
    first = false;
    next_line(depth + 1);
    if (value.is_object()) {
      json_writer::append_quoted(out, child.name());
      out += ": ";
    }
    pretty_into(out, child, depth + 1);
  }
  next_line(depth);
  out += value.is_object() ? '}' : ']';
}

} // namespace

std::string printable(std::string_view text, bool keep_lines) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    // U+0080 to U+009F are controls as well: C2 80 to C2 9F.
    const bool is_c1 =
        byte == 0xC2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xA0;
    if (byte == '\n' && !keep_lines)
      out += "\\n";
    else if (byte == '\t' && !keep_lines)
      out += "\\t";
    else if ((byte < 0x20 && byte != '\n' && byte != '\t') || byte == 0x7F)
      out += fmt::format("\\x{:02x}", byte);
    else if (is_c1)
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(text[++i]));
    else
      out += text[i];
  }
  return out;
}

std::string cell(const json::value& object, std::string_view member) {
  const auto found = object.find(member);
  if (!found || found->is_null())
    return "-";
  return printable(found->is_string() ? found->string() : found->raw());
}

std::string relative_time(std::string_view rfc3339, timestamp now) {
  const auto time = parse_rfc3339(rfc3339);
  if (!time)
    return printable(rfc3339);
  const auto ms = to_ms(now) - to_ms(*time);
  return ms >= 0 ? amount_of_time(ms) + " ago" : "in " + amount_of_time(-ms);
}

std::string relative_cell(const json::value& object, std::string_view member, timestamp now) {
  const auto found = object.find(member);
  return found && found->is_string() ? relative_time(found->string(), now) : "-";
}

std::string duration_cell(const json::value& object, std::string_view from, std::string_view to) {
  const auto time_of = [&](std::string_view member) -> std::optional<timestamp> {
    const auto found = object.find(member);
    return found && found->is_string() ? parse_rfc3339(found->string()) : std::nullopt;
  };
  const auto begin = time_of(from), end = time_of(to);
  if (!begin || !end)
    return "-";
  const auto ms = std::max<std::int64_t>(0, to_ms(*end) - to_ms(*begin));
  if (ms < 60'000)
    return fmt::format("{}.{} s", ms / 1000, ms % 1000 / 100);
  return fmt::format("{} min {} s", ms / 60'000, ms / 1000 % 60);
}

std::string pretty(const json::value& value) {
  std::string out;
  pretty_into(out, value, 0);
  return printable(out, true);
}

bool wants_colour() {
  const char* terminal = std::getenv("TERM");
  return ::isatty(STDOUT_FILENO) == 1 && !std::getenv("NO_COLOR") && terminal
         && std::string_view{terminal} != "dumb";
}

std::string painted(std::string_view text, std::string_view status, bool colour) {
  struct shade {
    std::string_view status, code;
  };
  constexpr std::array shades{
      shade{"succeeded", "32"}, shade{"ok", "32"},        shade{"active", "32"},
      shade{"failed", "31"},    shade{"fail", "31"},      shade{"running", "36"},
      shade{"pending", "33"},   shade{"warn", "33"},      shade{"cancelling", "33"},
      shade{"cancelled", "35"}, shade{"terminated", "2"}, shade{"archived", "2"},
  };
  const auto* found = std::find_if(shades.begin(), shades.end(),
                                   [&](const shade& s) { return s.status == status; });
  if (!colour || found == shades.end())
    return std::string{text};
  return fmt::format("\x1b[{}m{}\x1b[0m", found->code, text);
}

std::string table::text(bool colour) const {
  const auto columns = rows_.front().size();
  std::vector<std::size_t> widths(columns);
  for (const auto& row : rows_)
    for (std::size_t i = 0; i < columns; ++i)
      widths[i] = std::max(widths[i], width(row[i]));
  std::string out;
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < columns; ++i) {
      auto padded = row[i];
      if (i + 1 < columns)
        padded.append(widths[i] - width(row[i]) + 2, ' ');
      const bool is_status = rows_.front()[i] == "STATUS" && &row != &rows_.front();
      out += is_status ? painted(padded, row[i], colour) : padded;
    }
    out += '\n';
  }
  return out;
}

} // namespace runledger::cli
