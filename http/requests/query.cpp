#include "http/requests/query.hpp"

#include "http/requests/body.hpp"

#include <algorithm>
#include <charconv>

namespace runledger::http {

std::optional<std::string_view> query_reader::find(std::string_view name) const {
  auto v = from_.query(name);
  return v && !v->empty() ? v : std::nullopt;
}

std::string query_reader::text(std::string_view name) const {
  return std::string{find(name).value_or(std::string_view{})};
}

std::uint64_t query_reader::number(std::string_view name, std::uint64_t fallback,
                                   std::uint64_t least, std::uint64_t most) {
  auto v = find(name);
  if (!v)
    return fallback;
  std::uint64_t n = 0;
  auto [end, ec] = std::from_chars(v->data(), v->data() + v->size(), n);
  if (ec == std::errc::invalid_argument || end != v->data() + v->size()) {
    complain(name, "A whole number is expected.", "int_parsing");
    return fallback;
  }
  if (ec != std::errc{} || n < least || n > most) {
    complain(name,
             "From " + std::to_string(least) + " to " + std::to_string(most) + " is possible.",
             "out_of_range");
    return fallback;
  }
  return n;
}

std::optional<timestamp> query_reader::time(std::string_view name) {
  auto v = find(name);
  if (!v)
    return std::nullopt;
  auto t = parse_rfc3339(*v);
  if (!t)
    complain(name, "An RFC 3339 time such as 2026-01-31T12:00:00Z is expected.",
             "datetime_parsing");
  return t;
}

std::string query_reader::word(std::string_view name,
                               std::initializer_list<std::string_view> allowed) {
  auto v = find(name);
  if (!v || std::ranges::find(allowed, *v) != allowed.end())
    return std::string{v.value_or(std::string_view{})};
  std::string message;
  for (auto each : allowed)
    message += (message.empty() ? "Possible: `" : ", `") + std::string{each} + '`';
  complain(name, message + '.', "enum");
  return {};
}

void query_reader::complain(std::string_view name, std::string message, std::string type) {
  complain_at({std::string{"query"}, std::string{name}}, std::move(message), std::move(type));
}

void query_reader::complain_at(std::vector<place_part> place, std::string message,
                               std::string type) {
  errors_.push_back({std::move(place), std::move(message), std::move(type)});
}

problem query_reader::refusal() && {
  return invalid(std::move(errors_));
}

} // namespace runledger::http
