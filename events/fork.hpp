#pragma once

#include "events/run.hpp"
#include "events/session.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace runledger::run {

/// What a fork of a run takes over: the steps whose outcome stands before the first execution of
/// the step `at`. Pure, so it comes out the same whenever it is computed from the parent's stream.
///
/// A step that the parent had inherited itself comes with its own source: a fork of a fork does not
/// need the run between. `at` may be one of those; then the steps that were inherited before it are
/// taken over.
class inheritance {
public:
  inheritance(run_id parent, std::string at) : parent_(std::move(parent)), at_(std::move(at)) {}

  /// The parent's events, in their order from seq 1. False: the fork's place is found, and no later
  /// event counts.
  bool add(std::uint64_t seq, const event& fact);

  /// Empty until the place is found.
  const std::optional<session::fork_point>& point() const { return point_; }
  /// In the order of their outcomes.
  const std::vector<inherited_step>& steps() const { return steps_; }

private:
  run_id parent_;
  std::string at_;
  std::optional<session::fork_point> point_;
  std::vector<inherited_step> steps_;
};

} // namespace runledger::run
