#pragma once

#include "events/time.hpp"
#include "http/problem.hpp"
#include "http/request.hpp"

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace runledger::http {

/// Reads query parameters and collects what is wrong with them. An empty value counts as absent.
class query_reader {
public:
  explicit query_reader(const request& from) : from_(from) {}

  std::string text(std::string_view name) const;
  std::uint64_t number(std::string_view name, std::uint64_t fallback, std::uint64_t least,
                       std::uint64_t most);
  std::optional<timestamp> time(std::string_view name);
  /// One of the words, or empty.
  std::string word(std::string_view name, std::initializer_list<std::string_view> allowed);

  void complain(std::string_view name, std::string message, std::string type);
  void complain_at(std::vector<place_part> place, std::string message, std::string type);
  bool ok() const { return errors_.empty(); }
  problem refusal() &&;

private:
  std::optional<std::string_view> find(std::string_view name) const;

  const request& from_;
  std::vector<field_error> errors_;
};

/// `?limit=` of a list.
constexpr std::uint64_t list_limit_default = 50, list_limit_max = 200;
/// `?limit=` of an array of events.
constexpr std::uint64_t events_limit_default = 100, events_limit_max = 1000;

} // namespace runledger::http
