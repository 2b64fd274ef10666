#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace runledger::cli {

struct sse_event {
  std::string id, event, data;
};

/// Cuts a stream of server-sent events into events, whatever the pieces in which it arrives.
/// Comments are dropped; an event that has not ended when the stream does is dropped too, as the
/// format wants it.
class sse_reader {
public:
  /// The events that this piece completes.
  std::vector<sse_event> feed(std::string_view piece);

private:
  void take_line(std::string_view line, std::vector<sse_event>& complete);

  std::string rest_; // A line that has not ended.
  sse_event open_;
  bool has_data_ = false;
};

} // namespace runledger::cli
