#include "events/log/append_and_wait.hpp"

#include <future>

namespace runledger {

append_result append_and_wait(event_log& log, append_request request,
                              std::chrono::milliseconds patience) {
  std::vector<append_request> group;
  group.push_back(std::move(request));
  return std::move(append_group_and_wait(log, std::move(group), patience).front());
}

std::vector<append_result> append_group_and_wait(event_log& log, std::vector<append_request> group,
                                                 std::chrono::milliseconds patience) {
  const auto count = group.size();
  auto answer = std::make_shared<std::promise<std::vector<append_result>>>();
  auto future = answer->get_future();
  log.append(std::move(group), [answer](std::vector<append_result> results) {
    answer->set_value(std::move(results));
  });
  if (future.wait_for(patience) != std::future_status::ready)
    return std::vector<append_result>(
        count, {append_outcome::unknown, verdict::accepted, "no answer in time"});
  return future.get();
}

} // namespace runledger
