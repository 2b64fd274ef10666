#include "http/refusal_recorder.hpp"

#include "events/partition.hpp"
#include "http/requests/slug.hpp"
#include "http/target.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

namespace runledger::http {

namespace {

constexpr std::size_t stored_path_max = 512;
constexpr std::int64_t minutes_in_burst = 5;
constexpr std::chrono::seconds report_every{60};

/// `<small letters>_<ULID>`.
bool has_form_of_id(std::string_view text) {
  const auto underscore = text.find('_');
  return underscore != text.npos && underscore > 0 && is_id(text, text.substr(0, underscore + 1))
         && std::ranges::all_of(text.substr(0, underscore),
                                [](char c) { return c >= 'a' && c <= 'z'; });
}

bool may_be_stored(std::string_view text, const key_ring& keys) {
  return (has_form_of_id(text) || is_slug(text)) && !keys.knows(sha256(text));
}

std::string_view next_segment(std::string_view& rest) {
  rest.remove_prefix(std::min<std::size_t>(1, rest.size()));
  const auto segment = rest.substr(0, rest.find('/'));
  rest.remove_prefix(segment.size());
  return segment;
}

} // namespace

stored_path stored_path_of(std::string_view pattern, std::string_view path, const key_ring& keys) {
  stored_path out;
  std::vector<std::unique_ptr<std::string>> decoded;
  while (!pattern.empty()) {
    const auto expected = next_segment(pattern);
    const auto sent = next_segment(path);
    out.path += '/';
    if (!expected.starts_with('{')) {
      out.path += expected;
      continue;
    }
    const auto text = decode_escapes(sent, false, decoded);
    if (!text || !may_be_stored(*text, keys)) {
      out.path += '*';
      continue;
    }
    out.path += *text;
    out.targets.emplace_back(*text);
  }
  if (out.path.size() > stored_path_max)
    out.path.resize(stored_path_max);
  return out;
}

refusal_recorder::refusal_recorder(net::io_context& io, const wall_clock& clock,
                                   const key_ring& keys, std::int64_t per_minute)
    : io_(io),
      clock_(clock),
      keys_(keys),
      for_workspace_{per_minute * minutes_in_burst, per_minute},
      // Anybody can make these: a third is enough to see that somebody tries.
      for_unknown_{(per_minute + 2) / 3 * minutes_in_burst, (per_minute + 2) / 3},
      timer_(io) {}

audit::refusal_budget& refusal_recorder::budget_of(const workspace_id& workspace) {
  auto found = budgets_.find(workspace);
  if (found == budgets_.end())
    found = budgets_
                .emplace(workspace, audit::refusal_budget{workspace.value == system_workspace
                                                              ? for_unknown_
                                                              : for_workspace_})
                .first;
  return found->second;
}

void refusal_recorder::take(const refused_call& call) {
  if (!record_) {
    ++lost_;
    return;
  }
  const workspace_id workspace{call.by ? call.by->workspace : std::string{system_workspace}};
  if (!budget_of(workspace).take(clock_.now())) {
    ++suppressed_;
    return report_later();
  }
  auto place = stored_path_of(call.pattern, call.path, keys_);
  audit::call_refused fact;
  fact.method = name_of(call.method);
  fact.route = call.pattern;
  fact.path = std::move(place.path);
  fact.targets = std::move(place.targets);
  fact.status = static_cast<std::int64_t>(call.status);
  fact.code = call.code;
  hand_over(workspace, call.by ? call.by->key_id : "anonymous", std::string{call.request_id},
            std::move(fact));
}

void refusal_recorder::hand_over(const workspace_id& workspace, std::string principal,
                                 std::string request, audit::event report) {
  record_refusal_request ask;
  ask.context.workspace = workspace;
  ask.context.principal = std::move(principal);
  ask.context.correlation_id = std::move(request);
  ask.report = std::move(report);
  ++under_way_;
  record_(std::move(ask), answer<refusal_recorded>{[this](auto outcome) {
            net::post(io_, [this, recorded = outcome.has_value()] { written(recorded); });
          }});
}

void refusal_recorder::written(bool recorded) {
  ++(recorded ? recorded_ : lost_);
  if (--under_way_ == 0 && finished_)
    std::exchange(finished_, nullptr)();
}

void refusal_recorder::report(bool all) {
  const auto now = clock_.now();
  for (auto& [workspace, budget] : budgets_)
    if (auto left_out = all ? budget.report_now(now) : budget.report(now))
      hand_over(workspace, std::string{system_workspace}, {}, std::move(*left_out));
}

void refusal_recorder::report_later() {
  if (timer_set_)
    return;
  timer_set_ = true;
  timer_.expires_after(report_every);
  timer_.async_wait([this](const error_code& ec) {
    if (ec)
      return;
    timer_set_ = false;
    report(false);
    if (std::ranges::any_of(budgets_, [](const auto& one) { return one.second.owes_report(); }))
      report_later();
  });
}

void refusal_recorder::finish(std::chrono::milliseconds patience, std::function<void()> done) {
  timer_.cancel();
  if (record_)
    report(true);
  if (under_way_ == 0)
    return done();
  finished_ = std::move(done);
  timer_.expires_after(patience);
  timer_.async_wait([this](const error_code& ec) {
    if (!ec && finished_)
      std::exchange(finished_, nullptr)();
  });
}

void refusal_recorder::append_metrics(std::string& out) const {
  const auto counter = [&](std::string_view name, std::string_view help, std::uint64_t value) {
    fmt::format_to(std::back_inserter(out), "# HELP {0} {1}\n# TYPE {0} counter\n{0} {2}\n", name,
                   help, value);
  };
  counter("runledger_audit_recorded_calls_total", "Refused calls in the audit streams.", recorded_);
  counter("runledger_audit_suppressed_calls_total",
          "Refused calls that were counted but not recorded one by one.", suppressed_);
  counter("runledger_audit_lost_calls_total", "Refused calls that the ledger could not take.",
          lost_);
}

} // namespace runledger::http
