#pragma once

#include <cstdint>

/// Switches with which the simulation proves that it finds what it is there to find. They exist in
/// builds with RUNLEDGER_PLANT_BUGS only; elsewhere `planted` is a constant false and costs
/// nothing.
namespace runledger {

enum class bug : std::uint8_t {
  none,
  fold_accepts_gap,
  fold_accepts_old_epoch,
  fold_ignores_chain,
  effect_before_commit,
  answer_before_commit,
  timer_lost,
  cancel_loses_to_success,
  step_done_twice,
  retry_forgets_attempt,
  recovery_skips_session,
  frame_id_forgotten,
  view_skips_event,
  unknown_append_ignored,
  usage_counted_twice,
};

#ifdef RUNLEDGER_PLANT_BUGS
/// The one bug that is planted now; set by tests, one thread.
inline bug planted_bug = bug::none;
inline bool planted(bug b) {
  return planted_bug == b;
}
#else
constexpr bool planted(bug) {
  return false;
}
#endif

} // namespace runledger
