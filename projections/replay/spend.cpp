#include "projections/replay/spend.hpp"

#include "events/codec.hpp"
#include "projections/queries/analytics_sum.hpp"
#include "projections/replay/history.hpp"
#include "projections/saturating.hpp"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

namespace runledger::replay {

namespace {

/// The runs of one workspace, folded as far as money and time go.
class spend_fold {
public:
  spend_fold(const workspace_id& workspace, const reach& within, const spend_listener& changed)
      : workspace_(workspace), within_(within), changed_(changed) {}

  void take(const record_ptr& r) {
    if (r->event.workspace != workspace_ || over_.contains(r->event.stream.value))
      return;
    const auto kind = kind_of(r->event.stream);
    const bool counts = kind == stream_kind::session || kind == stream_kind::run;
    if (!within_.holds(*r)) { // The longest prefix: later ones do not count either.
      if (counts)
        over_.insert(r->event.stream.value);
      return;
    }
    seen_ = true;
    end_ = std::max(end_, r->event.time + std::chrono::milliseconds{1});
    if (kind == stream_kind::session)
      take_session(r);
    else if (kind == stream_kind::run)
      take_run(r);
  }

  std::optional<views::analytics> sums() {
    if (!seen_)
      return std::nullopt;
    views::analytics_sum sum;
    for (const auto& [id, run] : runs_)
      sum.add(run.agent, run.slug, run.numbers);
    return sum.finish(timestamp{}, end_);
  }

private:
  struct run_entry {
    agent_id agent;
    std::string slug;
    views::run_numbers numbers;
  };

  void tell(const record_ptr& r) const {
    if (changed_)
      changed_(r);
  }

  /// A fact that cannot be read, or does not fit, ends what is taken of its stream.
  template <class Event>
  std::optional<Event> fact_of(const record& r) {
    if (r.damage.empty()) {
      auto fact = decode<Event>(r.event);
      if (fact)
        return *std::move(fact);
      if (fact.error() == decode_errc::unknown_type)
        return std::nullopt;
    }
    over_.insert(r.event.stream.value);
    return std::nullopt;
  }

  void take_session(const record_ptr& r) {
    auto fact = fact_of<session::event>(*r);
    auto* accepted = fact ? std::get_if<session::turn_accepted>(&*fact) : nullptr;
    if (accepted == nullptr)
      return;
    run_entry entry{accepted->agent, {}, {}};
    // A session's runs are shown with the agent's slug of its first turn.
    entry.slug = slugs_.try_emplace(r->event.stream.value, accepted->agent_slug).first->second;
    entry.numbers.created_at = r->event.time;
    if (runs_.try_emplace(accepted->run.value, std::move(entry)).second)
      tell(r);
  }

  void take_run(const record_ptr& r) {
    auto entry = runs_.find(r->event.stream.value);
    if (entry == runs_.end())
      return;
    auto fact = fact_of<run::event>(*r);
    if (!fact)
      return;
    auto& n = entry->second.numbers;
    probe_.at = n.phase;
    if (!run::fits(probe_, *fact)) {
      over_.insert(r->event.stream.value);
      return;
    }
    const auto ended = [&](run::phase how) {
      n.phase = how;
      n.finished_at = r->event.time;
      tell(r);
    };
    std::visit(overloaded{[&](const run::started&) {
                            n.phase = run::phase::running;
                            n.started_at = r->event.time;
                            tell(r);
                          },
                          [&](const run::attempt_started&) { n.phase = run::phase::running; },
                          [&](const run::attempt_failed&) { n.phase = run::phase::backing_off; },
                          [&](const run::usage_reported& f) {
                            add_up(n.tokens_in, f.tokens_in);
                            add_up(n.tokens_out, f.tokens_out);
                            n.cost += f.cost_micro_usd;
                            tell(r);
                          },
                          [&](const run::succeeded&) { ended(run::phase::succeeded); },
                          [&](const run::failed&) { ended(run::phase::failed); },
                          [&](const run::cancelled&) { ended(run::phase::cancelled); },
                          [](const auto&) {}},
               *fact);
  }

  const workspace_id& workspace_;
  const reach& within_;
  const spend_listener& changed_;
  std::unordered_map<std::string, run_entry> runs_;
  std::unordered_map<std::string, std::string> slugs_; ///< By session.
  std::unordered_set<std::string> over_;               ///< Streams of which no more is taken.
  run::state probe_; ///< With just what fits() looks at: the phase.
  timestamp end_{};
  bool seen_ = false;
};

} // namespace

result<std::optional<views::analytics>, read_error> spend_as_of(const event_log& log,
                                                                const workspace_id& workspace,
                                                                const point& when,
                                                                const spend_listener& changed) {
  auto within = reach::of(when, log, {});
  if (!within)
    return within.error();
  spend_fold fold{workspace, *within, changed};
  for (std::uint32_t p = 0; p < log.partition_count(); ++p)
    for (std::int64_t at = 0; !within->ends_before(at);) {
      auto page = log.read_partition(p, at, ledger_page_events);
      if (!page)
        return page.error();
      if (page->empty())
        break;
      for (const auto& r : *page)
        fold.take(r);
      at = page->back()->offset + 1;
    }
  return fold.sums();
}

} // namespace runledger::replay
