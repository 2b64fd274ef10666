#include "events/topics.hpp"

#include <algorithm>

namespace runledger {

std::vector<topic_partition> name_partitions(const std::vector<topic_size>& topics) {
  std::vector<topic_partition> out;
  for (const auto& t : topics)
    for (std::uint32_t n = 0; n < t.partitions; ++n)
      out.push_back({t.topic, n, t.partitions});
  return out;
}

std::string_view topic_of(const stream_id& stream) {
  switch (kind_of(stream)) {
    case stream_kind::run:
    case stream_kind::session:
      return "runs";
    case stream_kind::worker:
    case stream_kind::queue:
      return "workers";
    case stream_kind::partition:
      return {};
    case stream_kind::agent:
    case stream_kind::key:
    case stream_kind::workspace:
    case stream_kind::names:
    case stream_kind::audit:
    case stream_kind::unknown:
      break;
  }
  std::string_view name{stream.value};
  if (name.starts_with("queue/")) // In whatever form: a consumer decides by these letters too.
    return "workers";
  if (name.starts_with("ws/") && (name.ends_with("/executor") || name.ends_with("/budget")))
    return "workspaces";
  return "catalog";
}

bool topic_holds(std::string_view topic, const stream_id& stream) {
  return topic == whole_ledger || topic == topic_of(stream);
}

std::uint32_t partition_for(std::string_view key, std::uint32_t count) {
  if (count <= 1)
    return 0;
  constexpr std::uint32_t seed = 0x9747b28c, m = 0x5bd1e995;
  auto length = static_cast<std::uint32_t>(key.size());
  std::uint32_t h = seed ^ length;
  auto byte = [&](std::size_t i) {
    return static_cast<std::uint32_t>(static_cast<std::uint8_t>(key[i]));
  };
  std::size_t i = 0;
  for (; i + 4 <= key.size(); i += 4) {
    std::uint32_t k = byte(i) | byte(i + 1) << 8 | byte(i + 2) << 16 | byte(i + 3) << 24;
    k *= m;
    k ^= k >> 24;
    k *= m;
    h = h * m ^ k;
  }
  switch (key.size() - i) {
    case 3:
      h ^= byte(i + 2) << 16;
      [[fallthrough]];
    case 2:
      h ^= byte(i + 1) << 8;
      [[fallthrough]];
    case 1:
      h ^= byte(i);
      h *= m;
  }
  h ^= h >> 13;
  h *= m;
  h ^= h >> 15;
  return (h & 0x7fffffff) % count;
}

std::optional<std::uint32_t> partition_of(const stream_id& stream, std::string_view partition_key,
                                          std::span<const topic_partition> names) {
  const bool own = kind_of(stream) == stream_kind::partition;
  auto at = std::ranges::find_if(names, [&](const topic_partition& p) {
    return own ? partition_stream(p) == stream : topic_holds(p.topic, stream);
  });
  if (at == names.end())
    return std::nullopt;
  auto flat = static_cast<std::uint32_t>(at - names.begin());
  return own ? flat : flat + partition_for(partition_key, at->count);
}

stream_id partition_stream(std::string_view topic, std::uint32_t number) {
  return stream_id{"part_" + std::string{topic} + '_' + std::to_string(number)};
}

} // namespace runledger
