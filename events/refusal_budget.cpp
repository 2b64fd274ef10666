#include "events/refusal_budget.hpp"

#include <algorithm>
#include <utility>

namespace runledger::audit {

namespace {

constexpr std::int64_t token = 60'000;
constexpr std::chrono::milliseconds between_reports{60'000};

} // namespace

refusal_budget::refusal_budget(rate allowed) : allowed_(allowed), level_(allowed.burst * token) {}

void refusal_budget::refill(timestamp now) {
  if (!filled_at_ || now < *filled_at_) {
    filled_at_ = now;
    return;
  }
  const auto full = allowed_.burst * token;
  // More than what fills it from empty counts no further, so nothing overflows.
  const auto enough = allowed_.per_minute > 0 ? full / allowed_.per_minute + 1 : 0;
  const auto passed = std::min<std::int64_t>((now - *filled_at_).count(), enough);
  level_ = std::min(full, level_ + passed * allowed_.per_minute);
  filled_at_ = now;
}

bool refusal_budget::take(timestamp now) {
  refill(now);
  if (level_ >= token) {
    level_ -= token;
    return true;
  }
  if (left_out_.count++ == 0) {
    left_out_.since = now;
    if (!reported_at_)
      reported_at_ = now; // The first report comes a minute after its first call.
  }
  return false;
}

std::optional<calls_suppressed> refusal_budget::report(timestamp now) {
  if (reported_at_ && now >= *reported_at_ && now - *reported_at_ < between_reports)
    return std::nullopt;
  return report_now(now);
}

std::optional<calls_suppressed> refusal_budget::report_now(timestamp now) {
  if (left_out_.count == 0)
    return std::nullopt;
  reported_at_ = now;
  return std::exchange(left_out_, {});
}

} // namespace runledger::audit
