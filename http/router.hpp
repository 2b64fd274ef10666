#pragma once

#include "http/reply.hpp"
#include "http/request.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace runledger::http {

/// What handlers work on. Declared here, defined by whoever owns the route table.
struct route_context;

/// Answers one request, now or later, through `answer`. HTTP thread; must not block; throws
/// nothing.
using handler = void (*)(route_context&, const request&, reply answer);

/// Which body a route takes.
enum class body_kind : std::uint8_t {
  none,         // Whatever comes is read within the limit and ignored.
  json,         // application/json, +json, or no content type.
  json_or_form, // As json, and application/x-www-form-urlencoded, which holds JSON all the same.
  bytes,        // Any media type, up to the bundle limit.
};

/// Whether a key is needed. `node`: the route is for other nodes of the cluster; to anybody else,
/// and where there is no cluster, it does not exist.
enum class access : std::uint8_t { keyed, open, node };

/// One row of the route table.
struct route {
  verb method;
  /// Segments are literal or `{name}`; a literal one wins over a parameter. GET answers HEAD too.
  std::string_view pattern;
  handler handle;
  scope needs = scope::read;
  body_kind body = body_kind::none;
  access who = access::keyed;
  /// Label of the latency histogram; routes may share one. Empty: "other".
  std::string_view group = {};
};

/// Finds routes by path. The table must outlive it. Immutable after construction.
class router {
public:
  /// Throws std::invalid_argument if a pattern is malformed, stands twice, or has too many
  /// parameters.
  explicit router(std::span<const route> table);

  enum class outcome : std::uint8_t { found, no_path, no_method, bad_path };
  struct match {
    outcome what = outcome::no_path;
    const route* found = nullptr;
    std::uint16_t methods = 0; // Bits by verb: what the path has. For `Allow`.
  };
  /// Matches `rq`'s path and method; on success its path parameters are filled in. An escape in the
  /// path never makes a separator; a bad one, an escaped NUL or wrong UTF-8 is `bad_path`.
  match find(request& rq) const;

  std::span<const route> table() const { return table_; }

private:
  struct node {
    std::vector<std::pair<std::string_view, std::uint32_t>> literals;
    std::uint32_t parameter = 0; // 0: none; the root is nobody's child.
    const route* by_verb[verb_count] = {};
    std::uint16_t methods = 0;
  };
  void add(const route& r);
  const node* walk(std::uint32_t at, std::span<const std::string_view> rest,
                   std::span<std::string_view> values, std::size_t depth) const;

  std::span<const route> table_;
  std::vector<node> nodes_;
};

/// The value of `Allow` for such a set of methods.
std::string allow_header(std::uint16_t methods);

} // namespace runledger::http
