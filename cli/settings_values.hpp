#pragma once

#include "cli/settings.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// The notations of single settings. Every function is pure.
namespace runledger::cli {

/// Why a text is no value: the rest of a sentence that begins with the key.
struct bad_value {
  std::string why;
};

/// `8MiB`, `16 KiB`, `1GiB`, or a plain number of bytes.
result<std::int64_t, bad_value> parse_size(std::string_view text);
/// `250ms`, `10s`, `5m`, `2h`, `7d`. In milliseconds. The unit is required.
result<std::int64_t, bad_value> parse_duration(std::string_view text);
/// A decimal number of dollars with at most six decimals, in micro-dollars.
result<std::int64_t, bad_value> parse_money(std::string_view text);
result<std::int64_t, bad_value> parse_integer(std::string_view text);
/// `true` or `false`.
result<bool, bad_value> parse_boolean(std::string_view text);
/// `127.0.0.1:8080`, `[::1]:0`, `localhost:80`.
result<endpoint, bad_value> parse_endpoint(std::string_view text);
/// A JSON array of texts and of `{text, tool_calls, tokens_in, tokens_out}`.
result<std::vector<scripted_reply>, bad_value> parse_replies(std::string_view text);
/// Items between commas, without the white space around them; empty text is no item.
std::vector<std::string> split_list(std::string_view text);

/// The shortest text that parses back.
std::string show_size(std::int64_t bytes);
std::string show_duration(std::int64_t milliseconds);
std::string show_money(std::int64_t micro_usd);
/// A TOML string in quotes.
std::string show_text(std::string_view text);

/// Insertions, deletions, substitutions and swaps of neighbours that lead from one text to the
/// other.
std::size_t edit_distance(std::string_view from, std::string_view to);
/// The candidate nearest to `word`, if one is near enough to be meant.
std::optional<std::string> nearest(std::string_view word,
                                   const std::vector<std::string>& candidates);

} // namespace runledger::cli
