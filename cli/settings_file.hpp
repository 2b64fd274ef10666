#pragma once

#include "cli/settings.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace runledger::cli {

/// The form in which a value was written.
enum class raw_form : std::uint8_t {
  untyped, // From a flag or a variable: any type, as text.
  string,
  integer,
  real,
  boolean,
  strings, // An array of strings.
  array,   // Any other array.
  empty_table,
  other, // A date or a time.
};

/// One value with its dotted key and its place, before anyone knows whether the key exists.
struct raw_setting {
  std::string key;
  raw_form form = raw_form::untyped;
  std::string text;              // The value as text; arrays as JSON.
  std::vector<std::string> list; // Form strings.
  std::string key_place,
      place; // Of the key and of the value: FILE:LINE:COLUMN, the variable, the flag.
};

/// Every value of a TOML text, in its order. An error names the first place that is no TOML.
result<std::vector<raw_setting>, settings_error> read_toml(const std::string& file_name,
                                                           std::string_view text);

} // namespace runledger::cli
