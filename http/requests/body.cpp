#include "http/requests/body.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace runledger::http {

namespace {

std::string_view code_of(json::errc code) {
  switch (code) {
    case json::errc::malformed:
      return "malformed_json";
    case json::errc::bad_utf8:
      return "bad_utf8";
    case json::errc::byte_order_mark:
      return "byte_order_mark";
    case json::errc::duplicate_member:
      return "duplicate_member";
    case json::errc::too_deep:
      return "too_deep";
    case json::errc::number_out_of_range:
      return "number_out_of_range";
  }
  return "malformed_json";
}

problem unreadable(const json::error& why) {
  auto made = problem::of(fault::malformed_json, why.message);
  made.code = code_of(why.code);
  made.extra = "\"offset\":" + std::to_string(why.offset);
  return made;
}

std::size_t characters(std::string_view utf8) {
  return static_cast<std::size_t>(
      std::ranges::count_if(utf8, [](char c) { return (c & 0xC0) != 0x80; }));
}

} // namespace

result<json::document, problem> parse_object(std::string_view text) {
  auto parsed = json::parse(text);
  if (!parsed)
    return unreadable(parsed.error());
  if (!parsed->root().is_object())
    return problem::invalid({std::string{"body"}}, "The body must be a JSON object.",
                            "object_type");
  return std::move(*parsed);
}

problem invalid(std::vector<field_error> errors) {
  auto made = problem::of(fault::validation_failed);
  if (errors.size() == 1)
    made.detail = errors.front().msg;
  else
    made.detail = std::to_string(errors.size()) + " members are not valid; see errors.";
  if (!errors.empty() && errors.front().type == "not_available")
    made.code = "not_available";
  made.errors = std::move(errors);
  return made;
}

std::optional<json::value> body_reader::find(std::string_view name) const {
  auto v = object_.find(name);
  return v && !v->is_null() ? v : std::nullopt;
}

bool body_reader::fits(std::string_view name, std::string_view text, length allowed) {
  const std::size_t size = characters(text);
  if (size < allowed.least)
    complain(name,
             allowed.least == 1
                 ? "The text is empty."
                 : "At least " + std::to_string(allowed.least) + " characters are needed.",
             "string_too_short");
  else if (size > allowed.most)
    complain(name, "At most " + std::to_string(allowed.most) + " characters are possible.",
             "string_too_long");
  return size >= allowed.least && size <= allowed.most;
}

std::optional<std::string> body_reader::optional_text(std::string_view name, length allowed) {
  auto v = find(name);
  if (!v)
    return std::nullopt;
  if (!v->is_string()) {
    complain(name, "A string is expected.", "string_type");
    return std::nullopt;
  }
  if (!fits(name, v->string(), allowed))
    return std::nullopt;
  return std::string{v->string()};
}

std::string body_reader::required_text(std::string_view name, length allowed) {
  if (!find(name)) {
    missing(name);
    return {};
  }
  return optional_text(name, allowed).value_or(std::string{});
}

std::optional<timestamp> body_reader::optional_time(std::string_view name) {
  auto v = find(name);
  if (!v)
    return std::nullopt;
  auto t = v->is_string() ? parse_rfc3339(v->string()) : std::nullopt;
  if (!t)
    complain(name, "An RFC 3339 time such as 2026-01-31T12:00:00Z is expected.", "datetime_type");
  return t;
}

void body_reader::complain(std::string_view name, std::string message, std::string type) {
  complain_at({std::string{name}}, std::move(message), std::move(type));
}

void body_reader::complain_at(std::vector<place_part> below, std::string message,
                              std::string type) {
  auto loc = where_;
  for (auto& part : below)
    loc.push_back(std::move(part));
  errors_.push_back({std::move(loc), std::move(message), std::move(type)});
}

void body_reader::missing(std::string_view name) {
  complain(name, fmt::format("`{}` is required.", name), "missing");
}

problem body_reader::refusal() && {
  return invalid(std::move(errors_));
}

} // namespace runledger::http
