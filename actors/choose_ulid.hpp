#pragma once

#include "actors/partition_turn.hpp"
#include "actors/request_home.hpp"
#include "actors/services.hpp"

namespace runledger {

/// Of the ids that follow from the request. A fresh one is drawn until what it names, with this
/// prefix, lives in a partition that is held here, if there is one, and whose turn it is.
inline std::string choose_ulid(const services& s, partition_turn& turn, const request_context& c,
                               std::string_view route, std::string_view prefix) {
  constexpr int draws_max = 100;
  auto ulid = ulid_of(c, route);
  const auto& mine = s.partitions;
  if (!ulid.empty())
    return ulid;
  if (mine.count() <= 1 || prefix.empty())
    return s.ids.ulid(s.clock.now());
  for (int i = 0; i < draws_max; ++i) {
    auto drawn = s.ids.ulid(s.clock.now());
    const stream_id named{std::string{prefix} + drawn};
    const auto home = mine.home_of(named, named.value);
    const bool is_held = home && mine.holds(*home);
    if (is_held && turn.suits(mine, *home)) {
      turn.count(mine, *home);
      return drawn;
    }
    if (is_held || ulid.empty())
      ulid = std::move(drawn);
  }
  return ulid;
}

} // namespace runledger
