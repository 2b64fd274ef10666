#pragma once

#include "events/decimal.hpp"
#include "events/json_schema.hpp"
#include "events/json_schema_format.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace re2 {
class RE2;
}

/// How a schema looks once it is compiled. For json_schema*.cpp alone.
namespace runledger::json_schema {

/// A subschema by its place in the list of all; -1: none.
using node_ref = int;

using pattern_ptr = std::shared_ptr<const re2::RE2>;

/// What `dependencies` says of one member.
struct dependency {
  std::vector<std::string> members;
  node_ref schema = -1;
};

/// One subschema: every keyword that it has, decoded.
struct node {
  std::optional<bool> verdict; ///< `true` or `false` as a schema.
  node_ref ref = -1;
  std::uint8_t types = 0;                       ///< Bits by type_bit(); 0: any.
  std::optional<std::set<std::string>> choices; ///< enum, as comparable() texts.
  std::optional<std::string> constant;
  std::optional<decimal> minimum, maximum, exclusive_minimum, exclusive_maximum, multiple_of;
  std::optional<std::uint64_t> min_length, max_length, min_items, max_items, min_properties,
      max_properties;
  pattern_ptr pattern;
  std::string pattern_text, format_name;
  format_test format = nullptr;
  node_ref items = -1, additional_items = -1, contains = -1;
  std::vector<node_ref> tuple;
  bool is_tuple = false, unique_items = false;
  std::map<std::string, node_ref, std::less<>> properties;
  std::vector<std::pair<pattern_ptr, node_ref>> pattern_properties;
  node_ref additional_properties = -1, property_names = -1;
  std::vector<std::string> required;
  std::map<std::string, dependency, std::less<>> dependencies;
  node_ref condition = -1, then = -1, otherwise = -1, negated = -1;
  std::vector<node_ref> all_of, any_of, one_of;
};

struct compiled::content {
  std::vector<node> nodes; ///< The root is the first.
};

enum type_bit : std::uint8_t {
  type_null = 1,
  type_boolean = 2,
  type_integer = 4,
  type_number = 8,
  type_string = 16,
  type_array = 32,
  type_object = 64,
};

/// A text that is the same for values that are equal in the sense of JSON Schema (1 and 1.0 are;
/// the order of members does not count), and for no others.
std::string comparable(const json::value& v);

/// Code points.
std::uint64_t characters(std::string_view utf8);

} // namespace runledger::json_schema
