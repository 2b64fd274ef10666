#include "projections/replay/sheets.hpp"

#include "events/codec.hpp"
#include "projections/replay/csv.hpp"
#include "projections/replay/row_source.hpp"
#include "projections/saturating.hpp"

#include <algorithm>
#include <map>
#include <tuple>
#include <unordered_map>

namespace runledger::replay {

namespace {

/// A run that has been accepted and has not ended, or not been written yet.
struct run_line {
  session::turn_accepted accepted;
  session_id session;
  workspace_id workspace;
  timestamp accepted_at{};
  std::uint64_t place = 0; ///< Among the accepted ones.
  run::phase phase = run::phase::absent;
  std::optional<timestamp> started_at, finished_at;
  std::int64_t attempts = 0, steps_completed = 0, tokens_in = 0, tokens_out = 0;
  micro_usd cost{0};
  failure error;
};

/// A line of the spend table, apart from its numbers.
using spend_key = std::tuple<std::string, std::string, std::string, std::string, std::string>;
struct spend_sum {
  std::string slug;
  std::int64_t reports = 0, tokens_in = 0, tokens_out = 0;
  micro_usd cost{0};
};

/// Folds sessions and runs, record by record, into one of the tables.
class sheet_writer {
public:
  sheet_writer(sheet which, const selection& what, const byte_sink& write)
      : which_(which), what_(what), write_(write) {}

  /// False: it cannot be written.
  bool begin() {
    std::string line;
    csv_writer csv{line};
    if (which_ == sheet::runs)
      for (const auto* name :
           {"run_id",          "session_id",    "workspace",  "turn",        "agent_id",
            "agent",           "agent_version", "kind",       "trigger",     "parent_run_id",
            "status",          "accepted_at",   "started_at", "finished_at", "attempts",
            "steps_completed", "tokens_in",     "tokens_out", "cost_usd",    "error_code",
            "error_message"})
        csv.text(name);
    else
      for (const auto* name : {"day", "workspace", "agent_id", "agent", "model", "category",
                               "reports", "tokens_in", "tokens_out", "cost_usd"})
        csv.text(name);
    csv.end_line();
    return write_(line);
  }

  void take(const record& r) {
    const auto kind = kind_of(r.event.stream);
    const bool counts = kind == stream_kind::session || kind == stream_kind::run;
    if (!counts || damage_ || !what_.holds(r.event))
      return;
    if (!r.damage.empty()) {
      damage_ = {read_error::kind::corrupt, r.event.stream, r.event.seq, r.offset, r.damage};
      return;
    }
    if (kind == stream_kind::session)
      take_session(r);
    else
      take_run(r);
  }

  bool end() {
    if (which_ == sheet::spend)
      for (const auto& [key, sum] : spend_)
        write_spend(key, sum);
    std::vector<const run_line*> left;
    for (const auto& [id, run] : open_)
      left.push_back(&run);
    std::ranges::sort(left, {}, [](const run_line* run) { return run->place; });
    if (which_ == sheet::runs)
      for (const auto* run : left)
        write_run(*run);
    return !broken_;
  }

  bool broken() const { return broken_; }
  const std::optional<read_error>& damage() const { return damage_; }
  std::uint64_t lines() const { return lines_; }

private:
  bool is_asked_for(timestamp at) const {
    return (!what_.since || at >= *what_.since) && (!what_.until || at < *what_.until);
  }

  void take_session(const record& r) {
    auto fact = decode<session::event>(r.event);
    auto* accepted = fact ? std::get_if<session::turn_accepted>(&*fact) : nullptr;
    if (accepted == nullptr || (!what_.run.empty() && accepted->run != what_.run))
      return;
    if (which_ == sheet::runs && !is_asked_for(r.event.time))
      return;
    run_line line;
    line.accepted = std::move(*accepted);
    line.accepted.prompt = line.accepted.initial_state = {};
    line.session.value = r.event.stream.value;
    line.workspace = r.event.workspace;
    line.accepted_at = r.event.time;
    line.place = accepted_++;
    const auto id = line.accepted.run.value;
    open_.try_emplace(id, std::move(line));
  }

  void take_run(const record& r) {
    const auto known = open_.find(r.event.stream.value);
    auto fact = known != open_.end() ? decode<run::event>(r.event)
                                     : result<run::event, decode_errc>{decode_errc::unknown_type};
    if (!fact)
      return;
    auto& line = known->second;
    std::visit(overloaded{[&](const run::started&) {
                            line.phase = run::phase::running;
                            line.started_at = r.event.time;
                            line.attempts = 1;
                          },
                          [&](const run::attempt_started& f) { line.attempts = f.attempt; },
                          [&](const run::step_completed&) { ++line.steps_completed; },
                          [&](const run::usage_reported& f) { take_usage(r, line, f); },
                          [&](const run::succeeded&) { line.phase = run::phase::succeeded; },
                          [&](const run::failed& f) {
                            line.phase = run::phase::failed;
                            line.error = f.error;
                          },
                          [&](const run::cancelled&) { line.phase = run::phase::cancelled; },
                          [](const auto&) {}},
               *fact);
    if (!run::terminal(line.phase))
      return;
    line.finished_at = r.event.time;
    if (which_ == sheet::runs)
      write_run(line);
    open_.erase(known);
  }

  void take_usage(const record& r, run_line& line, const run::usage_reported& used) {
    add_up(line.tokens_in, used.tokens_in);
    add_up(line.tokens_out, used.tokens_out);
    line.cost += used.cost_micro_usd;
    if (which_ != sheet::spend || !is_asked_for(r.event.time))
      return;
    constexpr std::size_t day_characters = 10;
    auto& sum = spend_[{to_rfc3339(r.event.time).substr(0, day_characters), line.workspace.value,
                        line.accepted.agent.value, used.model, used.category}];
    sum.slug = line.accepted.agent_slug;
    ++sum.reports;
    add_up(sum.tokens_in, used.tokens_in);
    add_up(sum.tokens_out, used.tokens_out);
    sum.cost += used.cost_micro_usd;
  }

  void write_run(const run_line& run) {
    std::string line;
    csv_writer csv{line};
    csv.text(run.accepted.run.value)
        .text(run.session.value)
        .text(run.workspace.value)
        .number(run.accepted.turn)
        .text(run.accepted.agent.value)
        .text(run.accepted.agent_slug)
        .number(run.accepted.agent_version)
        .text(run.accepted.kind)
        .text(run.accepted.trigger)
        .text(run.accepted.parent_run.value)
        .text(run::to_string(run.phase))
        .time(run.accepted_at)
        .time(run.started_at)
        .time(run.finished_at)
        .number(run.attempts)
        .number(run.steps_completed)
        .number(run.tokens_in)
        .number(run.tokens_out)
        .money(run.cost)
        .text(run.error.code)
        .text(run.error.message)
        .end_line();
    put(line);
  }

  void write_spend(const spend_key& key, const spend_sum& sum) {
    const auto& [day, workspace, agent, model, category] = key;
    std::string line;
    csv_writer csv{line};
    csv.text(day)
        .text(workspace)
        .text(agent)
        .text(sum.slug)
        .text(model)
        .text(category)
        .number(sum.reports)
        .number(sum.tokens_in)
        .number(sum.tokens_out)
        .money(sum.cost)
        .end_line();
    put(line);
  }

  void put(const std::string& line) {
    ++lines_;
    broken_ = broken_ || !write_(line);
  }

  const sheet which_;
  const selection& what_;
  const byte_sink& write_;
  std::unordered_map<std::string, run_line> open_;
  std::map<spend_key, spend_sum> spend_;
  std::uint64_t accepted_ = 0, lines_ = 0;
  std::optional<read_error> damage_;
  bool broken_ = false;
};

} // namespace

result<std::uint64_t, export_error> write_sheet(const event_log& log, sheet which,
                                                const selection& what, const byte_sink& write,
                                                const progress_listener& progress) {
  using kind = export_error::kind;
  const export_error unwritten{kind::output, "the file cannot be written", {}};
  sheet_writer table{which, what, write};
  if (!table.begin())
    return unwritten;
  std::uint64_t done = 0;
  for (std::uint32_t p = 0; p < log.partition_count(); ++p) {
    row_source rows{log, p};
    const auto end = log.end_offset(p);
    for (std::int64_t at = 0; at < end;) {
      auto taken = rows.page(at, end, [&](const record& r) {
        at = r.offset + 1;
        table.take(r);
      });
      if (!taken)
        return export_error{kind::ledger, taken.error().detail, taken.error()};
      if (table.damage())
        return export_error{kind::ledger, table.damage()->detail, *table.damage()};
      if (*taken == 0)
        break;
      if (table.broken())
        return unwritten;
      done += *taken;
      if (progress)
        progress(done, done + static_cast<std::uint64_t>(end - at));
    }
  }
  if (!table.end())
    return unwritten;
  return table.lines();
}

} // namespace runledger::replay
