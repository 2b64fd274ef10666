#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

namespace runledger::run {

/// Ids of frames that took effect. A remote worker gives every frame one, `w<lease>.<n>`, so such
/// ids take no room of their own where they follow each other: a range is kept of them. The rest
/// are as many as the harness chose. One thread.
class frame_ids {
public:
  bool contains(std::string_view id) const {
    const auto place = numbered(id);
    if (!place)
      return others_.contains(id);
    const auto of_lease = ranges_.find(place->first);
    if (of_lease == ranges_.end())
      return false;
    const auto behind = of_lease->second.upper_bound(place->second);
    return behind != of_lease->second.begin() && std::prev(behind)->second >= place->second;
  }

  void insert(const std::string& id) {
    if (contains(id))
      return;
    const auto place = numbered(id);
    if (!place) {
      others_.insert(id);
      return;
    }
    auto& ranges = ranges_[place->first];
    auto first = place->second, last = place->second;
    auto next = ranges.upper_bound(first);
    if (next != ranges.begin())
      if (auto before = std::prev(next); before->second + 1 == first) {
        first = before->first;
        ranges.erase(before);
      }
    if (next != ranges.end() && next->first == last + 1) {
      last = next->second;
      ranges.erase(next);
    }
    ranges[first] = last;
  }

  /// How many pieces the memory of all of them has.
  std::size_t pieces() const {
    auto out = others_.size();
    for (const auto& [lease, ranges] : ranges_)
      out += ranges.size();
    return out;
  }
  friend bool operator==(const frame_ids&, const frame_ids&) = default;

private:
  using number = std::uint64_t;

  /// Of an id in that form: the lease and the number.
  static std::optional<std::pair<number, number>> numbered(std::string_view id) {
    const auto point = id.find('.');
    if (!id.starts_with('w') || point == id.npos)
      return std::nullopt;
    const auto lease = decimal(id.substr(1, point - 1)), place = decimal(id.substr(point + 1));
    return lease && place ? std::optional{std::pair{*lease, *place}} : std::nullopt;
  }
  /// Written in one way only, so that two ids are the same if their numbers are.
  static std::optional<number> decimal(std::string_view digits) {
    constexpr std::size_t digits_max = 18;
    if (digits.empty() || digits.size() > digits_max || (digits[0] == '0' && digits.size() > 1))
      return std::nullopt;
    number out = 0;
    for (const char c : digits) {
      if (c < '0' || c > '9')
        return std::nullopt;
      out = out * 10 + static_cast<number>(c - '0');
    }
    return out;
  }

  std::set<std::string, std::less<>> others_;
  std::map<number, std::map<number, number>> ranges_; // By lease: first and last, both included.
};

} // namespace runledger::run
