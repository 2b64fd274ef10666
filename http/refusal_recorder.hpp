#pragma once

#include "actors/engine.hpp"
#include "events/refusal_budget.hpp"
#include "events/time.hpp"
#include "http/key_ring.hpp"
#include "http/net.hpp"
#include "http/refused_call.hpp"

#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace runledger::http {

/// Records refused calls in the audit streams of their workspaces, so many of each and no more
/// (docs/decisions/0061). What was left out is recorded as a number, at most once a minute.
///
/// HTTP thread only. Never in the way of an answer: `record` returns at once.
class refusal_recorder {
public:
  /// Hands an event over to be written; answers later, from any thread. Empty while nobody can
  /// write: what comes then is lost, and counted.
  using sink = std::function<void(record_refusal_request, answer<refusal_recorded>)>;

  /// `keys` tells what must not be stored. All outlive it.
  refusal_recorder(net::io_context& io, const wall_clock& clock, const key_ring& keys,
                   std::int64_t per_minute);

  void record_with(sink record) { record_ = std::move(record); }
  void take(const refused_call& call);
  /// Records what is still owed, and calls `done` when every event is written or lost; what is
  /// neither after `patience` is not waited for.
  void finish(std::chrono::milliseconds patience, std::function<void()> done);
  /// Appends metrics.
  void append_metrics(std::string& out) const;

private:
  audit::refusal_budget& budget_of(const workspace_id& workspace);
  void hand_over(const workspace_id& workspace, std::string principal, std::string request,
                 audit::event report);
  void written(bool recorded);
  void report(bool all);
  void report_later();

  net::io_context& io_;
  const wall_clock& clock_;
  const key_ring& keys_;
  audit::rate for_workspace_, for_unknown_;
  sink record_;
  std::map<workspace_id, audit::refusal_budget> budgets_; // Of workspaces that exist, and `system`.
  net::steady_timer timer_;
  bool timer_set_ = false;
  std::uint64_t under_way_ = 0, recorded_ = 0, suppressed_ = 0, lost_ = 0;
  std::function<void()> finished_;
};

/// The path as it may be stored, and the ids and names in it: what stands in a parameter's place
/// and is neither an id nor a slug, or is a key, becomes `*`.
struct stored_path {
  std::string path;
  std::vector<std::string> targets;
};
stored_path stored_path_of(std::string_view pattern, std::string_view path, const key_ring& keys);

} // namespace runledger::http
