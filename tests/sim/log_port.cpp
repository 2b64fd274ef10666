#include "tests/sim/log_port.hpp"

namespace runledger::sim {

std::string_view to_string(append_end end) {
  constexpr std::string_view words[]{"accepted", "duplicated", "unavailable",
                                     "lost",     "landed",     "cut"};
  return words[static_cast<std::size_t>(end)];
}

void log_port::append(std::vector<append_request> group, completion done) {
  if (!connected_)
    return;
  if (holding_)
    held_.push_back({std::move(group), std::move(done)});
  else
    disk_.append(std::move(group), std::move(done));
}

void log_port::end_one(std::size_t place, append_end how, test::dice& dice) {
  auto at = held_.begin() + static_cast<std::ptrdiff_t>(place);
  auto group = std::move(*at);
  held_.erase(at);
  switch (how) {
    case append_end::accepted:
      break;
    case append_end::duplicated:
      disk_.duplicate_next(1);
      break;
    case append_end::unavailable:
      disk_.fail_next(1, append_fault::unavailable);
      break;
    case append_end::lost:
      disk_.fail_next(1, append_fault::unknown_not_written);
      break;
    case append_end::landed:
      disk_.fail_next(1, append_fault::unknown_but_written);
      break;
    case append_end::cut:
      for (auto& request : group.requests)
        request.events.resize(dice.below(request.events.size() + 1));
      disk_.fail_next(1, append_fault::unknown_but_written);
      break;
  }
  disk_.append(std::move(group.requests), std::move(group.done));
}

std::vector<std::vector<append_request>> log_port::cut_off() {
  connected_ = false;
  std::vector<std::vector<append_request>> out;
  for (auto& group : std::exchange(held_, {}))
    out.push_back(std::move(group.requests));
  return out;
}

} // namespace runledger::sim
