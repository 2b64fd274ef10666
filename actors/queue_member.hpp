#pragma once

#include "actors/interfaces.hpp"

#include <caf/send.hpp>

#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

/// What a queue keeps of its workers and of the leases that they have, and how it speaks to both
/// ends. The ledger knows nothing of this.
namespace runledger {

/// A worker as this process knows it.
struct queue_member {
  std::shared_ptr<worker_link> link; ///< Null: away.
  std::int64_t slots = 0;            ///< That it offers now.
  std::int64_t silent_ticks = 0;
  std::set<std::string> taken; ///< Runs that it has, or is about to get.
  std::set<std::string> holds; ///< Runs of which it has got the beginning.
  bool ending = false;         ///< Its end is being written.
};

/// A lease as this process knows it.
struct lease_here {
  run_actor by;                ///< Null: the run has not come back yet after a restart.
  bool begun = false;          ///< The run's attempt began under it.
  run_actor told;              ///< The line by which the run hears of it, until it has begun.
  std::uint64_t epoch = 0;     ///< Of the claim under which the run's process last spoke.
  std::vector<run_mail> early; ///< What the worker said before the run came back.
};

inline failure lease_is_lost() {
  return {"lease_lost", "The worker does not have the run any more."};
}

/// `by` is the run, or the end of the line to the process that has it.
inline void tell(const run_id& run, const run_actor& by, run_mail mail) {
  mail.run = run;
  caf::anon_send(by, std::move(mail));
}
inline void tell_gone(const run_id& run, const run_actor& by, std::int64_t attempt, failure why) {
  run_mail mail;
  mail.body = attempt_gone{attempt, std::move(why), false, false, false};
  tell(run, by, std::move(mail));
}

inline void deliver(queue_member& to, std::string lines) {
  if (to.link && !lines.empty())
    to.link->deliver(std::move(lines));
}
inline void drop_link(queue_member& of, std::string why) {
  if (auto link = std::exchange(of.link, nullptr))
    link->close(std::move(why));
}

} // namespace runledger
