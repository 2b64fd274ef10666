#pragma once

#include <string>
#include <utility>

namespace runledger::harness {

/// Why a start is refused; `reason` as in exit_info.
struct start_refusal {
  start_refusal() = default;
  start_refusal(std::string r, std::string m) : reason(std::move(r)), message(std::move(m)) {}
  std::string reason;
  std::string message;
};

} // namespace runledger::harness
