#pragma once

#include <chrono>
#include <thread>

namespace runledger::test {

/// Polls `condition` until it holds or the time is up; whether it held.
template <class Condition>
bool eventually(Condition&& condition,
                std::chrono::milliseconds at_most = std::chrono::seconds{30}) {
  const auto until = std::chrono::steady_clock::now() + at_most;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= until)
      return false;
    std::this_thread::sleep_for(std::chrono::milliseconds{2});
  }
  return true;
}

} // namespace runledger::test
