#include "projections/replay/csv.hpp"

namespace runledger::replay {

void csv_writer::separate() {
  if (!fresh_)
    out_ += ',';
  fresh_ = false;
}

csv_writer& csv_writer::raw(std::string_view content) {
  separate();
  out_ += content;
  return *this;
}

csv_writer& csv_writer::text(std::string_view content) {
  constexpr std::string_view begin_formulas = "=+-@\t\r\n", need_quotes = ",\"\r\n";
  separate();
  const bool quoted = content.find_first_of(need_quotes) != std::string_view::npos;
  if (quoted)
    out_ += '"';
  if (!content.empty() && begin_formulas.find(content.front()) != std::string_view::npos)
    out_ += '\'';
  for (const char c : content) {
    if (c == '"')
      out_ += '"';
    out_ += c;
  }
  if (quoted)
    out_ += '"';
  return *this;
}

void csv_writer::end_line() {
  out_ += "\r\n";
  fresh_ = true;
}

} // namespace runledger::replay
