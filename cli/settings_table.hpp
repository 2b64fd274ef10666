#pragma once

#include "cli/settings.hpp"
#include "cli/settings_values.hpp"

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

/// Every key that the settings know: one table, from which the flags, the variables, the file's
/// keys, the help and
/// `--print-config` come.
namespace runledger::cli {

enum class value_type : std::uint8_t {
  text,
  path,
  boolean,
  integer,
  size,
  duration,
  money,
  choice,
  list,
  address,
  replies, // Of a scripted model, as a JSON array.
};

/// A parsed value; which member counts is told by the key's type.
struct setting_value {
  std::string text;        // text, path, choice, and replies as written.
  std::int64_t number = 0; // integer; size in bytes, duration in ms, money in micro-dollars.
  bool truth = false;
  std::vector<std::string> list;
  endpoint address;
  std::vector<scripted_reply> replies;
};

/// What stood for the stars of a pattern such as `secrets.*.env`.
using captures = std::vector<std::string>;

struct key_spec {
  std::string_view name; // A star stands for one name, two stars at the end for the rest.
  value_type type;
  std::string_view fallback; // As text. Empty where the default is none, and for patterns.
  std::int64_t least, most;  // Inclusive; for numbers.
  std::string_view choices;  // `a|b|c`, for choice.
  std::string_view help;
  void (*store)(settings&, const captures&, const setting_value&);

  bool is_pattern() const { return name.find('*') != std::string_view::npos; }
};

/// In the order of the documentation.
std::span<const key_spec> key_specs();

/// The spec that a dotted key meets, and its captures; null when it meets none.
const key_spec* find_spec(std::string_view key, captures& found);

/// `http.body_limit` to `http.body-limit` and to `RUNLEDGER_HTTP_BODY_LIMIT`.
std::string flag_name(std::string_view key);
std::string variable_name(std::string_view key);
/// `http.body-limit` to `http.body_limit`; the names of secrets, models, tools and properties keep
/// their dashes.
std::string key_of_flag(std::string_view flag);
/// The key of a variable; empty if it names none. Names in it come out in lower case.
std::string key_of_variable(std::string_view variable);

/// Reads a text as the key's type and checks its bounds.
result<setting_value, bad_value> read_text(const key_spec& spec, std::string_view text);

/// As TOML.
std::string show_value(const key_spec& spec, const setting_value& value);

} // namespace runledger::cli
