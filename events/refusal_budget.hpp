#pragma once

#include "events/audit.hpp"

#include <cstdint>
#include <optional>

namespace runledger::audit {

/// How many refused calls may be recorded one by one.
struct rate {
  std::int64_t burst = 0;      ///< At once, after a quiet time.
  std::int64_t per_minute = 0; ///< In the long run.
  friend bool operator==(const rate&, const rate&) = default;
};

/// A token bucket over the time that is passed in, and the account of what it did not let through.
/// A clock that goes back gives nothing and takes nothing.
class refusal_budget {
public:
  explicit refusal_budget(rate allowed);

  /// One refused call. False: it is suppressed, and counted.
  bool take(timestamp now);
  /// What is to be recorded of the suppressed ones, at most once a minute.
  std::optional<calls_suppressed> report(timestamp now);
  /// The same at once, for the end of a server.
  std::optional<calls_suppressed> report_now(timestamp now);
  bool owes_report() const { return left_out_.count > 0; }

private:
  void refill(timestamp now);

  rate allowed_;
  std::int64_t level_; // One token is 60,000: so much comes in a minute's milliseconds.
  std::optional<timestamp> filled_at_, reported_at_;
  calls_suppressed left_out_;
};

} // namespace runledger::audit
