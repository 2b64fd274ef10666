#include "cli/worker_lease.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace runledger::cli {

std::optional<std::string> worker_lease::take_frame(const harness::frame& f) {
  auto id = f.id.empty() ? fmt::format("w{}.{}", held_.epoch, frames_ + 1) : f.id;
  auto message = harness::worker_frame_message(held_, f, id);
  if (message.size() > harness::max_worker_message_bytes)
    return std::nullopt;
  frames_ += f.id.empty() ? 1 : 0;
  last_word_ =
      last_word_ || f.type == harness::frame_type::result || f.type == harness::frame_type::error;
  keep({std::move(id), f.key, f.type, !f.id.empty(), message});
  return message;
}

std::string worker_lease::take_end(const harness::worker_lease_ended& ended) {
  last_word_ = true;
  auto message = harness::worker_lease_ended_message(ended);
  keep({{}, {}, harness::frame_type::error, false, message});
  return message;
}

void worker_lease::keep(kept one) {
  kept_bytes_ += one.message.size();
  kept_.push_back(std::move(one));
}

const std::deque<std::string>& worker_lease::unanswered() {
  messages_.clear();
  for (const auto& one : kept_)
    messages_.push_back(one.message);
  return messages_;
}

std::optional<std::string> worker_lease::take_line(const harness::server_line& line,
                                                   std::string_view text) {
  auto passed = std::optional{std::string{text} + '\n'};
  if (line.type == "ack")
    return acknowledge(line.id) ? passed : std::nullopt;
  if (line.type == "step.cached" || line.type == "step.give_up")
    return answer_step(line.key) ? passed : std::nullopt;
  if (line.type == "step.go") {
    answer_step(line.key);
    auto& last = gone_[line.key];
    if (last >= line.attempt)
      return std::nullopt;
    last = line.attempt;
    return passed;
  }
  if (line.type == "cancel")
    return std::exchange(cancelled_, true) ? std::nullopt : passed;
  if (line.type == "run.start" || line.type == "history")
    begun_ = begun_ || !line.more;
  return passed;
}

/// Frames that ask for something are answered by that; the rest by `ack`. True: the harness waits
/// for it.
bool worker_lease::acknowledge(const std::string& id) {
  auto found = std::ranges::find(kept_, id, &kept::id);
  if (id.empty() || found == kept_.end())
    return false;
  const bool own = std::exchange(found->own_id, false); // It is told once.
  if (!asks(*found)) {
    kept_bytes_ -= found->message.size();
    kept_.erase(found);
  }
  return own;
}

bool worker_lease::answer_step(const std::string& key) {
  auto found =
      std::ranges::find_if(kept_, [&](const kept& one) { return asks(one) && one.key == key; });
  if (found == kept_.end())
    return false;
  kept_bytes_ -= found->message.size();
  kept_.erase(found);
  return true;
}

} // namespace runledger::cli
