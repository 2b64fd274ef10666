#include "cli/sse_reader.hpp"

#include <utility>

namespace runledger::cli {

std::vector<sse_event> sse_reader::feed(std::string_view piece) {
  std::vector<sse_event> complete;
  rest_ += piece;
  std::size_t begin = 0;
  for (;;) {
    const auto end = rest_.find('\n', begin);
    if (end == std::string::npos)
      break;
    std::string_view line{rest_.data() + begin, end - begin};
    if (line.ends_with('\r'))
      line.remove_suffix(1);
    take_line(line, complete);
    begin = end + 1;
  }
  rest_.erase(0, begin);
  return complete;
}

void sse_reader::take_line(std::string_view line, std::vector<sse_event>& complete) {
  if (line.empty()) {
    if (has_data_)
      complete.push_back(std::move(open_));
    open_ = {};
    has_data_ = false;
    return;
  }
  const auto colon = line.find(':');
  const auto name = line.substr(0, colon);
  auto value = colon == std::string_view::npos ? std::string_view{} : line.substr(colon + 1);
  if (value.starts_with(' '))
    value.remove_prefix(1);
  if (name == "id") {
    open_.id = value;
  } else if (name == "event") {
    open_.event = value;
  } else if (name == "data") {
    if (has_data_)
      open_.data += '\n';
    open_.data += value;
    has_data_ = true;
  }
}

} // namespace runledger::cli
