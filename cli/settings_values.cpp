#include "cli/settings_values.hpp"

#include "events/json.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <fmt/format.h>
#include <limits>

namespace runledger::cli {

namespace {

struct unit {
  std::string_view name;
  std::int64_t factor;
};

constexpr std::array size_units{
    unit{"GiB", std::int64_t{1} << 30},
    unit{"MiB", std::int64_t{1} << 20},
    unit{"KiB", std::int64_t{1} << 10},
};
constexpr std::array duration_units{
    unit{"d", 86'400'000}, unit{"h", 3'600'000}, unit{"m", 60'000}, unit{"s", 1'000}, unit{"ms", 1},
};

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos)
    return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

/// Splits `8 MiB` into its number and its unit; the number is absent where there are no digits or
/// too many.
std::pair<std::optional<std::int64_t>, std::string_view> number_and_unit(std::string_view text) {
  text = trimmed(text);
  std::int64_t number = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failure != std::errc{} || number < 0)
    return {std::nullopt, {}};
  return {number, trimmed(text.substr(static_cast<std::size_t>(end - text.data())))};
}

template <std::size_t N>
std::optional<std::int64_t> scaled(std::int64_t number, std::string_view name,
                                   const std::array<unit, N>& units) {
  for (const auto& candidate : units)
    if (candidate.name == name
        && number <= std::numeric_limits<std::int64_t>::max() / candidate.factor)
      return number * candidate.factor;
  return std::nullopt;
}

} // namespace

result<std::int64_t, bad_value> parse_size(std::string_view text) {
  const auto [number, name] = number_and_unit(text);
  if (number && name.empty())
    return *number;
  if (number)
    if (const auto bytes = scaled(*number, name, size_units))
      return *bytes;
  return bad_value{"is a size such as 8MiB (KiB, MiB, GiB, or plain bytes)"};
}

result<std::int64_t, bad_value> parse_duration(std::string_view text) {
  const auto [number, name] = number_and_unit(text);
  if (number)
    if (const auto milliseconds = scaled(*number, name, duration_units))
      return *milliseconds;
  return bad_value{"is a time with its unit, such as 10s (ms, s, m, h, d)"};
}

result<std::int64_t, bad_value> parse_money(std::string_view text) {
  const bad_value refusal{"is an amount in dollars with at most 6 decimals, such as 0.05"};
  text = trimmed(text);
  const auto point = text.find('.');
  const auto whole = text.substr(0, point);
  auto decimals =
      point == std::string_view::npos ? std::string{} : std::string{text.substr(point + 1)};
  const auto digits_only = [](std::string_view part) {
    return !part.empty() && part.find_first_not_of("0123456789") == std::string_view::npos;
  };
  if (!digits_only(whole) || whole.size() > 12 || decimals.size() > 6
      || (point != std::string_view::npos && !digits_only(decimals)))
    return refusal;
  decimals.resize(6, '0');
  std::int64_t dollars = 0, micros = 0;
  std::from_chars(whole.data(), whole.data() + whole.size(), dollars);
  std::from_chars(decimals.data(), decimals.data() + decimals.size(), micros);
  return dollars * 1'000'000 + micros;
}

result<std::int64_t, bad_value> parse_integer(std::string_view text) {
  text = trimmed(text);
  std::int64_t number = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failure != std::errc{} || end != text.data() + text.size())
    return bad_value{"is a whole number"};
  return number;
}

result<bool, bad_value> parse_boolean(std::string_view text) {
  if (text == "true")
    return true;
  if (text == "false")
    return false;
  return bad_value{"is true or false"};
}

result<endpoint, bad_value> parse_endpoint(std::string_view text) {
  const bad_value refusal{"is HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080"};
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0)
    return refusal;
  auto host = text.substr(0, colon);
  const auto digits = text.substr(colon + 1);
  if (host.front() == '[') {
    if (host.size() < 3 || host.back() != ']')
      return refusal;
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return refusal;
  }
  std::uint16_t port = 0;
  const auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (failure != std::errc{} || digits.empty() || end != digits.data() + digits.size())
    return refusal;
  return endpoint{std::string{host}, port};
}

namespace {

result<scripted_reply, bad_value> parse_reply(json::value v) {
  if (v.is_string())
    return scripted_reply{std::string{v.string()}, {}, 0, 0};
  if (!v.is_object())
    return bad_value{"holds texts or tables with text, tool_calls, tokens_in and tokens_out"};
  scripted_reply reply;
  for (const auto member : v.children()) {
    const auto count = member.is_number() ? member.integer().value_or(-1) : -1;
    if (member.name() == "text" && member.is_string())
      reply.text = member.string();
    else if (member.name() == "tool_calls" && member.is_array())
      reply.tool_calls = member.raw();
    else if (member.name() == "tokens_in" && count >= 0)
      reply.tokens_in = count;
    else if (member.name() == "tokens_out" && count >= 0)
      reply.tokens_out = count;
    else
      return bad_value{fmt::format("has a reply with an unknown or mistyped `{}`", member.name())};
  }
  return reply;
}

} // namespace

result<std::vector<scripted_reply>, bad_value> parse_replies(std::string_view text) {
  const auto document = json::parse(text);
  if (!document || !document->root().is_array())
    return bad_value{"is an array of replies"};
  std::vector<scripted_reply> replies;
  for (const auto element : document->root().children()) {
    auto reply = parse_reply(element);
    if (!reply)
      return reply.error();
    replies.push_back(*std::move(reply));
  }
  return replies;
}

std::vector<std::string> split_list(std::string_view text) {
  std::vector<std::string> items;
  while (!text.empty()) {
    const auto comma = text.find(',');
    if (const auto item = trimmed(text.substr(0, comma)); !item.empty())
      items.emplace_back(item);
    text = comma == std::string_view::npos ? std::string_view{} : text.substr(comma + 1);
  }
  return items;
}

std::string show_size(std::int64_t bytes) {
  for (const auto& candidate : size_units)
    if (bytes != 0 && bytes % candidate.factor == 0)
      return fmt::format("{}{}", bytes / candidate.factor, candidate.name);
  return std::to_string(bytes);
}

std::string show_duration(std::int64_t milliseconds) {
  for (const auto& candidate : duration_units)
    if (milliseconds != 0 && milliseconds % candidate.factor == 0)
      return fmt::format("{}{}", milliseconds / candidate.factor, candidate.name);
  return "0s";
}

std::string show_money(std::int64_t micro_usd) {
  auto text = fmt::format("{}.{:06}", micro_usd / 1'000'000, micro_usd % 1'000'000);
  while (text.back() == '0' && text[text.size() - 3] != '.')
    text.pop_back();
  return text;
}

std::string show_text(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\')
      out += fmt::format("\\{}", c);
    else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    else
      out += c;
  }
  return out + '"';
}

std::size_t edit_distance(std::string_view from, std::string_view to) {
  std::vector<std::vector<std::size_t>> cost(from.size() + 1,
                                             std::vector<std::size_t>(to.size() + 1));
  for (std::size_t i = 0; i <= from.size(); ++i) {
    for (std::size_t j = 0; j <= to.size(); ++j) {
      if (i == 0 || j == 0) {
        cost[i][j] = i + j;
        continue;
      }
      const std::size_t changed = from[i - 1] == to[j - 1] ? 0 : 1;
      cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1, cost[i - 1][j - 1] + changed});
      if (i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1])
        cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
    }
  }
  return cost[from.size()][to.size()];
}

std::optional<std::string> nearest(std::string_view word,
                                   const std::vector<std::string>& candidates) {
  std::optional<std::string> best;
  std::size_t best_distance = std::max<std::size_t>(2, word.size() / 4) + 1;
  for (const auto& candidate : candidates) {
    auto distance = edit_distance(word, candidate);
    // A key without its group, such as `body_limit`, means the one that ends so.
    const auto tail = candidate.substr(candidate.rfind('.') + 1);
    if (tail.size() != candidate.size())
      distance = std::min(distance, edit_distance(word, tail) + 1);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

} // namespace runledger::cli
