#pragma once

#include <cstdint>

/// Switches with which the simulation proves that it finds what it is there to find. They exist in
/// builds with RUNLEDGER_PLANT_BUGS only; elsewhere `planted` is a constant false and costs
/// nothing.
namespace runledger {

/// Each is one mistake that somebody could make, at the place where it would be made.
enum class bug : std::uint8_t {
  none,
  fold_accepts_gap,        ///< An event beyond the next seq is accepted.
  fold_accepts_old_epoch,  ///< So is what a server writes that has lost the partition.
  fold_ignores_chain,      ///< So is an event that follows another history.
  effect_before_commit,    ///< Effects and answers do not wait for the append.
  answer_before_commit,    ///< The gateway confirms an append before it is made.
  unknown_append_ignored,  ///< An append of unknown outcome is taken as made.
  timer_lost,              ///< The timers of steps are not armed.
  cancel_loses_to_success, ///< A run that is being cancelled may still succeed.
  step_done_twice,         ///< A second `step.done` of one key counts.
  retry_forgets_attempt,   ///< The next attempt has the number of the last one.
  recovery_skips_session,  ///< What a session still has to do is not done after a start.
  frame_id_forgotten,      ///< A frame takes effect again in the next attempt.
  usage_counted_twice,     ///< The fold adds a cost twice.
  view_skips_event,        ///< The views lose the first event of a batch.
  end_of_list,             ///< Not a bug.
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
