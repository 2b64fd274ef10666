#pragma once

#include "actors/owned_partitions.hpp"

namespace runledger {

/// To which of the held partitions new streams go now. Some in a row go to one, then as many to the
/// next: a broker is given one batch for one partition instead of a small one for each, which costs
/// it as much each time (Kafka's sticky partitioner, KIP-480). Actors' thread only.
class partition_turn {
public:
  explicit partition_turn(int streams_in_a_row) : streams_in_a_row_(streams_in_a_row) {}

  /// Whether a new stream may live in this partition, which is held.
  bool suits(const owned_partitions& mine, std::uint32_t partition) {
    const auto& names = mine.names();
    if (!is_held_beside(mine, partition))
      turn_ = partition;
    return names[partition].number % classes_max == names[turn_].number % classes_max;
  }

  /// A stream was made in a partition.
  void count(const owned_partitions& mine, std::uint32_t partition) {
    if (!is_held_beside(mine, partition) || ++in_a_row_ < streams_in_a_row_)
      return;
    in_a_row_ = 0;
    do
      turn_ = (turn_ + 1) % mine.count();
    while (!is_held_beside(mine, partition));
  }

private:
  /// Of a topic with more partitions several have their turn at once: an id that falls into the
  /// right one is found by drawing.
  static constexpr std::uint32_t classes_max = 16;

  bool is_held_beside(const owned_partitions& mine, std::uint32_t partition) const {
    return mine.holds(turn_) && mine.names()[turn_].topic == mine.names()[partition].topic;
  }

  int streams_in_a_row_;
  std::uint32_t turn_ = 0;
  int in_a_row_ = 0;
};

} // namespace runledger
