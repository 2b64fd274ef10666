#include "events/log/append_and_wait.hpp"

#include <future>

namespace runledger {

append_result append_and_wait(event_log& log, append_request request,
                              std::chrono::milliseconds patience) {
  auto answer = std::make_shared<std::promise<append_result>>();
  auto future = answer->get_future();
  std::vector<append_request> group;
  group.push_back(std::move(request));
  log.append(std::move(group), [answer](std::vector<append_result> results) {
    answer->set_value(std::move(results.front()));
  });
  if (future.wait_for(patience) != std::future_status::ready)
    return {append_outcome::unknown, verdict::accepted, "no answer in time"};
  return future.get();
}

} // namespace runledger
