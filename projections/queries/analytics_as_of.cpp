#include "projections/queries/analytics_as_of.hpp"

#include "projections/queries/analytics_sum.hpp"
#include "projections/reader_internals.hpp"
#include "projections/replay/as_of.hpp"

namespace runledger::views {

namespace {

/// A run's row, with what tells where it stood at the point.
struct candidate {
  place at = place::none, result_at = place::none;
  run_id id;
  agent_id agent;
  std::string slug;
  std::uint64_t cause_seq = 0;
  run_numbers numbers;
};

/// The moment of a point: what "now" was then.
timestamp moment_of(const event_log& log, const replay::point& when) {
  if (when.what == replay::point::kind::time)
    return when.time;
  auto read = log.read_partition(0, when.number, 1);
  if (!read)
    throw read.error();
  if (read->empty()) { // Behind the end.
    auto end = log.end_offset(0);
    read = end == 0 ? read : log.read_partition(0, end - 1, 1);
    if (!read)
      throw read.error();
  }
  return read->empty() ? timestamp{} : read->front()->event.time;
}

class past_runs {
public:
  past_runs(view_reader::internals& in, const replay::point& when)
      : in_(in), is_time_(when.what == replay::point::kind::time), when_(when) {
    auto within = replay::reach::of(when, in.log, {});
    if (!within)
      throw within.error();
    within_ = *within;
  }

  bool accepted(const candidate& c) const {
    return is_time_ ? c.numbers.created_at <= when_.time : !within_.ends_before(offset_of(c.at));
  }
  /// The run's numbers as they were.
  run_numbers numbers(const candidate& c) const { return ended(c) ? c.numbers : folded(c); }

private:
  bool ended(const candidate& c) const {
    if (!run::terminal(c.numbers.phase))
      return false;
    if (is_time_)
      return c.numbers.finished_at && *c.numbers.finished_at <= when_.time;
    if (c.result_at != place::none)
      return !within_.ends_before(offset_of(c.result_at));
    auto last = in_.log.read_stream(stream_of(c.id), c.cause_seq, 1);
    if (!last)
      throw last.error();
    return !last->empty() && within_.holds(*last->front());
  }

  run_numbers folded(const candidate& c) const {
    auto past = replay::fold_run(in_.log, c.id, within_);
    if (!past)
      throw past.error();
    const auto& s = past->state; // Up to a damaged event, as the views have it.
    return {s.at,         s.cost,       s.tokens_in, s.tokens_out, c.numbers.created_at,
            s.started_at, s.finished_at};
  }

  view_reader::internals& in_;
  const bool is_time_;
  const replay::point& when_;
  replay::reach within_;
};

} // namespace

bool spans_partitions(view_reader& reader) {
  return reader.inside().log.partition_count() > 1;
}

answer<analytics> analytics_as_of(view_reader& reader, const workspace_id& workspace,
                                  std::optional<timestamp> start, std::optional<timestamp> end,
                                  const replay::point& when) {
  constexpr auto usual = std::chrono::days{30};
  return ask<analytics>(reader, [&](auto& in) {
    const auto until =
        end.value_or(moment_of(in.log, when) + std::chrono::milliseconds{1}); // Exclusive.
    const auto from = start.value_or(until - usual);
    auto& q = in.use("SELECT r.at, r.id, r.agent_id, s.agent_slug, r.cause_seq, r.result_at, "
                     "r.phase, r.cost_micro_usd, r.tokens_in, r.tokens_out, r.created_ms, "
                     "r.started_ms, r.finished_ms FROM runs r JOIN sessions s ON s.at = r.session "
                     "WHERE r.workspace = ? AND r.created_ms >= ? AND r.created_ms < ?");
    const past_runs past{in, when};
    analytics_sum sum;
    finished done{q};
    // Without `end` what was accepted by then counts, whatever its clock said.
    for (q.with(workspace, from, end ? *end : timestamp::max()); q.row();) {
      candidate c;
      auto& n = c.numbers;
      q.values().all(c.at, c.id, c.agent, c.slug, c.cause_seq, c.result_at, n.phase, n.cost,
                     n.tokens_in, n.tokens_out, n.created_at, n.started_at, n.finished_at);
      if (past.accepted(c))
        sum.add(c.agent, c.slug, past.numbers(c));
    }
    return sum.finish(from, until);
  });
}

} // namespace runledger::views
