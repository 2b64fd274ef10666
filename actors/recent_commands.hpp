#pragma once

#include "events/log/event_log.hpp"

#include <algorithm>
#include <deque>
#include <set>
#include <string>

namespace runledger {

/// The commands of a stream's last events. A command that comes from another process may come
/// twice; that it is known must not be forgotten with an actor.
class recent_commands {
public:
  /// Whether the command was written, or is about to be in this round of decisions; otherwise it
  /// is from here on. `head`: behind which the next event of the round goes.
  bool known(const event_log& log, const stream_id& stream, std::uint64_t head,
             const std::string& command) {
    read_on(log, stream);
    if (head <= read_)
      deciding_.clear(); // What was decided before is written, or was refused.
    return std::ranges::find(written_, command) != written_.end()
           || !deciding_.insert(command).second;
  }

private:
  static constexpr std::size_t kept_max = 64;

  void read_on(const event_log& log, const stream_id& stream) {
    if (auto head = log.head(stream); head && *head && (*head)->seq > read_ + kept_max)
      read_ = (*head)->seq - kept_max;
    for (;;) {
      auto records = log.read_stream(stream, read_ + 1, kept_max);
      if (!records || records->empty())
        return;
      for (const auto& r : *records)
        written_.push_back(r->event.causation_id);
      read_ = records->back()->event.seq;
      while (written_.size() > kept_max)
        written_.pop_front();
    }
  }

  std::deque<std::string> written_;
  std::set<std::string> deciding_;
  std::uint64_t read_ = 0; // The last seq that was looked at.
};

} // namespace runledger
