#pragma once

#include "actors/request_home.hpp"
#include "actors/services.hpp"

namespace runledger {

/// Of the ids that follow from the request. A fresh one is chosen so that what it names, with this
/// prefix, lives in a partition that is held here, if there is one.
inline std::string choose_ulid(const services& s, const request_context& c, std::string_view route,
                               std::string_view prefix) {
  constexpr int draws_max = 100;
  auto ulid = ulid_of(c, route);
  if (!ulid.empty())
    return ulid;
  const auto& mine = s.partitions;
  ulid = s.ids.ulid(s.clock.now());
  for (int i = 0; i < draws_max && mine.count() > 1 && !prefix.empty(); ++i) {
    const stream_id named{std::string{prefix} + ulid};
    if (auto home = mine.home_of(named, named.value); home && mine.holds(*home))
      break;
    ulid = s.ids.ulid(s.clock.now());
  }
  return ulid;
}

} // namespace runledger
