#pragma once

#include <chrono>
#include <thread>

namespace runledger::test {

/// Lets time pass: the rate of a load, or the moment of a fault. Never a wait for something to
/// happen; that is eventually() (eventually.hpp), with a condition and a deadline.
inline void let_pass(std::chrono::microseconds time) {
  std::this_thread::sleep_for(time);
}

} // namespace runledger::test
