#pragma once

#include "events/fields.hpp"
#include "events/result.hpp"

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

/// The AUDIT stream of a workspace: calls that would have changed something and were refused.
/// Stream `ws/<id>/audit`; who is not known has its calls in that of the workspace `system`. Who
/// asked and in which request stands in the envelope. No body, no query, no secret.
namespace runledger::audit {

struct call_refused {
  static constexpr std::string_view name = "audit.call_refused";
  std::string method;               ///< `POST`, `PATCH`, `PUT`, `DELETE`
  std::string route;                ///< The pattern: `/api/v1/agents/{agent}/runs`.
  std::string path;                 ///< Of bounded length, with `*` for what is no id and no name.
  std::vector<std::string> targets; ///< The ids and names in the path.
  std::int64_t status = 0;          ///< Of the answer.
  std::string code;                 ///< Likewise: `forbidden`, `queue_full`, ...
  friend bool operator==(const call_refused&, const call_refused&) = default;
  template <class Fact, class Visit>
  static void fields(Fact& f, Visit&& v) {
    v("method", f.method);
    v("route", f.route);
    v("path", f.path);
    v("targets", f.targets);
    v("status", f.status);
    v("code", f.code);
  }
};

/// Refused calls that were not recorded one by one, because there were too many.
struct calls_suppressed {
  static constexpr std::string_view name = "audit.calls_suppressed";
  std::int64_t count = 0;
  timestamp since{}; ///< When the first of them came; the last one came before the event's time.
  friend bool operator==(const calls_suppressed&, const calls_suppressed&) = default;
  template <class Fact, class Visit>
  static void fields(Fact& f, Visit&& v) {
    v("count", f.count);
    v("since", f.since);
  }
};

using event = std::variant<call_refused, calls_suppressed>;

/// Nothing: what comes does not depend on what was recorded, so an audit stream is never folded in
/// order to go on, however long it is.
struct state {
  friend bool operator==(const state&, const state&) = default;
};

struct command {
  event report;
};
enum class rejection : std::uint8_t { nothing_to_report = 1 };
struct outcome {
  std::vector<event> facts;
};
[[nodiscard]] result<outcome, rejection> decide(const state& now, const command& asked);
[[nodiscard]] state evolve(state before, const event& fact);
bool fits(const state& now, const event& fact);

} // namespace runledger::audit
