#pragma once

#include "events/json.hpp"
#include "events/result.hpp"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// JSON Schema draft 7, the part that can be checked safely on a server: what is not supported is
/// refused when a schema is registered, never ignored.
///
/// Numbers are compared exactly, whatever their length; `pattern` goes through RE2 alone; time and
/// depth of a check are bounded (docs/decisions/0012). References stay inside of the schema.
namespace runledger::json_schema {

/// One reason why a schema is not acceptable: a path below it and a sentence.
struct problem {
  std::vector<std::string> path; ///< `{"properties", "name", "pattern"}`
  std::string message, type;     ///< type: a stable code such as `unsupported_keyword`.
};

/// Where a value does not fit its schema.
struct mismatch {
  std::string path; ///< JSON Pointer (RFC 6901) into the value; empty: the value itself.
  std::string message;
};

/// A schema made ready to check values. Immutable; any thread.
class compiled {
public:
  /// Every problem found is reported. Copies what it needs of `schema`.
  static result<std::shared_ptr<const compiled>, std::vector<problem>>
  make(const json::value& schema);
  ~compiled();
  compiled(const compiled&) = delete;
  compiled& operator=(const compiled&) = delete;

  /// The first mismatch that is met; nothing if the value fits.
  std::optional<mismatch> validate(const json::value& v) const;

private:
  friend class compiler;
  struct content;
  explicit compiled(std::unique_ptr<const content> c);
  std::unique_ptr<const content> content_;
};

/// What is wrong with a schema, all of it; empty: it can be used.
std::vector<problem> check(const json::value& schema);

/// Checks a value against the text of a schema that check() accepted. Compiled schemas are kept,
/// the most recently used ones first. Any thread. A text that is no such schema fits nothing.
std::optional<mismatch> validate(std::string_view schema_text, const json::value& v);

} // namespace runledger::json_schema
