#include "events/audit.hpp"

namespace runledger::audit {

result<outcome, rejection> decide(const state& now, const command& asked) {
  if (!fits(now, asked.report))
    return rejection::nothing_to_report;
  return outcome{{asked.report}};
}

state evolve(state before, const event&) {
  return before;
}

bool fits(const state&, const event& fact) {
  const auto* left_out = std::get_if<calls_suppressed>(&fact);
  return left_out == nullptr || left_out->count > 0;
}

} // namespace runledger::audit
