#pragma once

#include "events/result.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// JSON from outside: the one parser of the edge and of harness frames. What it validated is what
/// is used.
///
/// It refuses, with a place: anything but one RFC 8259 value, wrong UTF-8, a byte order mark,
/// duplicate member names (compared unescaped), depth over 256, and a number beyond a double's
/// range (`1e400`). Numbers of any length and precision are kept as written.
namespace runledger::json {

enum class kind : std::uint8_t { null, boolean, number, string, array, object };

enum class errc : std::uint8_t {
  malformed = 1,
  bad_utf8,
  byte_order_mark,
  duplicate_member,
  too_deep,
  number_out_of_range,
};

struct error {
  errc code;
  std::size_t offset;  // In bytes, from the start of the text; the length where it ended too soon.
  std::string message; // One sentence for the caller.
};

constexpr unsigned max_depth = 256;

class document;
namespace detail {
struct content;
}

/// One value inside a document. Cheap to copy; valid as long as its document lives (also after a
/// move).
class value {
public:
  json::kind kind() const;
  bool is_null() const { return kind() == json::kind::null; }
  bool is_string() const { return kind() == json::kind::string; }
  bool is_object() const { return kind() == json::kind::object; }
  bool is_array() const { return kind() == json::kind::array; }
  bool is_number() const { return kind() == json::kind::number; }
  bool is_boolean() const { return kind() == json::kind::boolean; }

  /// The text of this value exactly as written, without the white space around it.
  std::string_view raw() const;
  /// Kind string only: the unescaped text.
  std::string_view string() const;
  /// Kind boolean only.
  bool boolean() const;
  /// The number as an integer, if it is written as one (no fraction, no exponent) and fits.
  std::optional<std::int64_t> integer() const;
  /// Kind number only: the nearest double.
  double real() const;

  /// Number of members or elements; 0 for the rest.
  std::size_t size() const;
  /// Member of an object by its unescaped name; nothing if absent or if this is no object.
  std::optional<value> find(std::string_view name) const;
  /// The name under which this value stands in its object; empty elsewhere.
  std::string_view name() const;

  /// Walks members or elements in the order of the text: `for (auto v : parent.children())`.
  class iterator;
  struct range;
  range children() const;

private:
  friend class document;
  value(const detail::content* owner, std::uint32_t index) : owner_(owner), index_(index) {}
  const detail::content* owner_;
  std::uint32_t index_;
};

/// A validated text with its tree. Movable (values keep pointing at it only while it stays in
/// place).
class document {
public:
  document(document&&) noexcept;
  document& operator=(document&&) noexcept;
  ~document();

  value root() const { return value{content_.get(), 0}; }

private:
  friend result<document, error> parse(std::string_view text);
  explicit document(std::unique_ptr<detail::content> c);
  std::unique_ptr<detail::content> content_;
};

/// Copies `text`. Thread-safe; each thread keeps one parser.
result<document, error> parse(std::string_view text);

class value::iterator {
public:
  value operator*() const { return value{owner_, index_}; }
  iterator& operator++();
  bool operator==(const iterator&) const = default;

private:
  friend class value;
  friend struct value::range;
  iterator(const detail::content* owner, std::uint32_t index) : owner_(owner), index_(index) {}
  const detail::content* owner_;
  std::uint32_t index_;
};

struct value::range {
  iterator first, last;
  iterator begin() const { return first; }
  iterator end() const { return last; }
};

/// The canonical bytes behind a request's fingerprint (docs/events.md): members sorted by the bytes
/// of their unescaped names, strings unescaped, numbers as written.
std::string canonical_bytes(const value& v);

} // namespace runledger::json
