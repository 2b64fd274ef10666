#pragma once

#include "events/json.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

/// A quick look at JSON as this program writes it itself: compact objects with plain names and
/// texts. For what it takes, it agrees with json::parse; everything else it leaves to that.
namespace runledger::json {

/// A member of a flat_object. Views into the text.
struct flat_member {
  std::string_view name, raw;
  json::kind kind = json::kind::null;
  std::string_view text;               ///< Kind string.
  std::optional<std::int64_t> integer; ///< A number written as an integer that fits.
};

/// The members of one object, found in one pass without a tree.
class flat_object {
public:
  /// Nothing for what it does not take: white space between tokens, escapes, anything but ASCII,
  /// exponents, deep nesting, many members, and everything that is not valid. True is only said of
  /// a text that json::parse takes, too. `text` must live as long as this.
  bool scan(std::string_view text);

  /// By name; nullptr if absent. Quick if asked in the order of the text.
  const flat_member* find(std::string_view name);

private:
  static constexpr std::size_t most_members = 16;
  std::array<flat_member, most_members> members_;
  std::size_t size_ = 0, next_ = 0;
};

} // namespace runledger::json
