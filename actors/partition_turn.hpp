#pragma once

#include "actors/owned_partitions.hpp"

#include <map>

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
    auto& turn = turn_beside(mine, partition);
    return names[partition].number % classes_max == names[turn.partition].number % classes_max;
  }

  /// A stream was made in a partition.
  void count(const owned_partitions& mine, std::uint32_t partition) {
    auto& turn = turn_beside(mine, partition);
    if (++turn.in_a_row < streams_in_a_row_)
      return;
    const auto& name = mine.names()[partition];
    const auto first = partition - name.number;
    turn.in_a_row = 0;
    do
      turn.partition = first + (turn.partition - first + 1) % name.count;
    while (!mine.holds(turn.partition) && turn.partition != partition);
  }

private:
  /// Of a topic with more partitions several have their turn at once: an id that falls into the
  /// right one is found by drawing.
  static constexpr std::uint32_t classes_max = 16;

  struct place {
    std::uint32_t partition;
    int in_a_row = 0;
  };

  /// Whose turn it is in a partition's topic; its own where none is held any more that had it.
  place& turn_beside(const owned_partitions& mine, std::uint32_t partition) {
    const auto first = partition - mine.names()[partition].number;
    auto& turn = turns_.try_emplace(first, place{partition}).first->second;
    if (!mine.holds(turn.partition))
      turn = {partition};
    return turn;
  }

  int streams_in_a_row_;
  std::map<std::uint32_t, place> turns_; // By the first partition of a topic.
};

} // namespace runledger
