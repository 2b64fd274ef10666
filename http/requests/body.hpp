#pragma once

#include "events/fields.hpp"
#include "events/json.hpp"
#include "events/result.hpp"
#include "http/problem.hpp"
#include "http/request.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// Reading of request bodies: what is common to all of them.
namespace runledger::http {

/// Parses a body that must be one JSON object. The problem is 400 for what is not JSON (with the
/// place) and 422 for another value. Nothing of the returned document points into `text`.
result<json::document, problem> parse_object(std::string_view text);

/// Reads members of an object and collects everything that is wrong with them, so that the caller
/// hears of all of it at once. A member that is null counts as absent. Unknown members are ignored.
class body_reader {
public:
  explicit body_reader(json::value object, std::vector<place_part> where = {std::string{"body"}})
      : object_(object), where_(std::move(where)) {}

  /// Least and most characters (code points) of a text.
  struct length {
    std::size_t least = 0, most = 0;
  };

  std::optional<json::value> find(std::string_view name) const;

  /// A text of the given length. Empty if absent or wrong.
  std::string required_text(std::string_view name, length allowed);
  std::optional<std::string> optional_text(std::string_view name, length allowed);
  std::optional<timestamp> optional_time(std::string_view name);

  void complain(std::string_view name, std::string message, std::string type);
  /// Any place below the body.
  void complain_at(std::vector<place_part> below, std::string message, std::string type);
  void missing(std::string_view name);

  bool ok() const { return errors_.empty(); }
  /// The 422 with everything collected; only if not ok().
  problem refusal() &&;

private:
  bool fits(std::string_view name, std::string_view text, length allowed);

  json::value object_;
  std::vector<place_part> where_;
  std::vector<field_error> errors_;
};

/// The 422 of such errors.
problem invalid(std::vector<field_error> errors);

} // namespace runledger::http
