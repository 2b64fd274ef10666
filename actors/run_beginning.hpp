#pragma once

#include "actors/interfaces.hpp"
#include "events/run.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace runledger {

/// A larger beginning is not sent to a remote worker.
inline constexpr std::size_t remote_beginning_max = std::size_t{32} << 20;

/// What an attempt costs that ends for this reason.
enum class attempt_cost : std::uint8_t {
  none,    ///< It does not count: the next one may have better luck.
  counted, ///< Against `max_attempts`.
  final    ///< No other attempt would go better: the run fails.
};
attempt_cost cost_of(const failure& why);

/// What an attempt begins with. References outlive the call.
struct run_beginning {
  const run::state& state;
  const run_granted& granted;
  record_ptr first; ///< The run's first event, if it is at hand.
  run_id run;
  session_id session;
  std::string work_dir;
  std::optional<harness::held_lease> remote; ///< Its files travel in lines too.
};

/// `run.start` and what belongs to it, whole lines; or why there is none.
struct begun_text {
  std::string lines;
  failure problem; ///< Empty: none.
  attempt_cost cost = attempt_cost::counted;
};
begun_text write_beginning(const event_log& log, const blob_store& blobs,
                           const run_beginning& what);

} // namespace runledger
