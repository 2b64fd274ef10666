#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

/// Random numbers that a seed decides, and loops over seeds. TEST_SEED=n runs the one seed n,
/// TEST_SEEDS=n changes how many are run.
namespace runledger::test {

/// xoshiro256** (Blackman, Vigna) behind splitmix64: the same numbers everywhere, which the
/// standard library's distributions do not promise.
class dice {
public:
  explicit dice(std::uint64_t seed) {
    for (auto& word : state_) {
      seed += 0x9e3779b97f4a7c15;
      auto z = seed;
      z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
      z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
      word = z ^ (z >> 31);
    }
  }

  std::uint64_t next() {
    auto out = rotate(state_[1] * 5, 7) * 9;
    auto t = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = rotate(state_[3], 45);
    return out;
  }

  /// From 0 to n - 1; 0 for n = 0.
  std::size_t below(std::size_t n) { return n == 0 ? 0 : static_cast<std::size_t>(next() % n); }
  /// From `least` to `most`, both possible.
  std::int64_t between(std::int64_t least, std::int64_t most) {
    return least + static_cast<std::int64_t>(next() % static_cast<std::uint64_t>(most - least + 1));
  }
  bool percent(std::int64_t p) { return between(1, 100) <= p; }
  bool coin() { return (next() & 1) != 0; }
  template <class T>
  const T& pick(const std::vector<T>& from) {
    return from[below(from.size())];
  }
  template <class T>
  T& pick(std::vector<T>& from) {
    return from[below(from.size())];
  }

private:
  static std::uint64_t rotate(std::uint64_t x, int by) { return (x << by) | (x >> (64 - by)); }
  std::uint64_t state_[4];
};

/// One number out of two, such as a seed of its own for each attempt of a run.
inline std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  return dice{a * 0x9e3779b97f4a7c15 + b}.next();
}

/// A number from the environment.
inline std::uint64_t number_from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr || *text == '\0' ? otherwise : std::strtoull(text, nullptr, 10);
}

/// Calls `f(seed)` for `count` seeds from `first` on, until one fails; says which.
template <class F>
void for_each_seed(std::uint64_t first, std::uint64_t count, F f) {
  if (auto only = number_from_environment("TEST_SEED", 0)) {
    SCOPED_TRACE("TEST_SEED=" + std::to_string(only));
    f(only);
    return;
  }
  for (auto seed = first; seed < first + count; ++seed) {
    SCOPED_TRACE("TEST_SEED=" + std::to_string(seed));
    f(seed);
    if (::testing::Test::HasFailure())
      return;
  }
}

} // namespace runledger::test
