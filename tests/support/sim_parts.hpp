#pragma once

#include "events/ids.hpp"
#include "events/time.hpp"
#include "tests/support/memory_blob_store.hpp"
#include "tests/support/seeds.hpp"

#include <chrono>

/// What tests put in the place of the outside: time, randomness, blobs.
namespace runledger::test {

/// Time stands still until it is moved.
class manual_clock final : public wall_clock {
public:
  timestamp now() const override { return now_; }
  void advance(std::chrono::milliseconds by) { now_ += by; }

private:
  timestamp now_ = from_ms(1'700'000'000'000);
};

/// Ids and jitter that a seed decides.
class seeded_ids final : public id_source {
public:
  explicit seeded_ids(std::uint64_t seed) : dice_(seed) {}
  std::uint64_t random() override { return dice_.next(); }

private:
  dice dice_;
};

} // namespace runledger::test
