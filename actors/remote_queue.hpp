#pragma once

#include "actors/services.hpp"

#include <set>
#include <unordered_map>

namespace caf {
class actor_system;
}

namespace runledger {

/// Starts what is to the runs of this process a queue that another process holds, in this
/// partition: it speaks for them over a line, which it opens again, to whoever holds the queue by
/// then, as long as a run needs it. A line that is over is to it as if the other server had been
/// started anew: what waits is queued again, what has begun asks for its lease, and what was said
/// meanwhile is said again. Once the queue is held here it hands everything over to it.
remote_queue_actor spawn_remote_queue(caf::actor_system& sys, services_ptr s, stream_id queue,
                                      std::uint32_t partition);

/// The end of a line that another process has opened to a queue that is held here. To the queue it
/// stands for all runs of that process; when it is over the queue forgets what waits through it.
line_listener take_line(caf::actor_system& sys, const services_ptr& s, const stream_id& queue,
                        std::shared_ptr<queue_line> to);

/// The directory's part in this: which actors there are for queues of other processes, and for
/// lines from them. Its thread, its life.
class queues_elsewhere {
public:
  explicit queues_elsewhere(services_ptr s) : services_(std::move(s)) {}

  /// Mail of a run of this process for a queue that another one holds. True: taken.
  bool takes(caf::actor_system& sys, const stream_id& queue, std::optional<std::uint32_t> home,
             queue_message& mail);
  void note(const line_end_here& e);
  void stop_all();

private:
  void stamp(queue_message& mail) const;

  services_ptr services_;
  std::unordered_map<std::string, remote_queue_actor> queues_;
  std::set<line_end_actor> ends_;
};

} // namespace runledger
