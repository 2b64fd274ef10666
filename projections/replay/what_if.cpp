#include "projections/replay/what_if.hpp"

#include "events/codec.hpp"
#include "projections/replay/history.hpp"

#include <algorithm>
#include <tuple>
#include <unordered_map>

namespace runledger::replay {

namespace {

/// The selected runs side by side, in the order of the ledger.
class what_if_fold {
public:
  what_if_fold(const run_selection& selected, const other_policy& policy)
      : selected_(selected), policy_(policy) {}

  void take(const record& r) {
    if (selected_.workspace && r.event.workspace != *selected_.workspace)
      return;
    const auto kind = kind_of(r.event.stream);
    if (kind == stream_kind::session)
      take_session(r);
    else if (kind == stream_kind::run)
      take_run(r);
  }

  what_if_report finish() {
    for (auto& [id, one] : live_)
      close(one);
    live_.clear();
    std::ranges::sort(report_.changed, {}, [](const changed_run& c) {
      return std::tuple{c.partition, c.offset};
    });
    return std::move(report_);
  }

private:
  struct life {
    changed_run out;
    other_course course;
    bool parted = false, damaged = false;
  };

  /// Nothing for an event that is not read: damaged, or of a newer version.
  template <class Event>
  std::optional<Event> fact_of(const record& r, bool& damaged) {
    auto fact = r.damage.empty() ? decode<Event>(r.event) : decode_errc::damaged;
    if (fact)
      return *std::move(fact);
    damaged = fact.error() != decode_errc::unknown_type;
    return std::nullopt;
  }

  void take_session(const record& r) {
    bool damaged = false;
    const auto fact = fact_of<session::event>(r, damaged);
    report_.damaged += damaged ? 1 : 0;
    const auto* accepted = fact ? std::get_if<session::turn_accepted>(&*fact) : nullptr;
    if (accepted == nullptr)
      return;
    // A session's runs are shown with the agent's slug of its first turn.
    const auto& slug = slugs_.try_emplace(r.event.stream.value, accepted->agent_slug).first->second;
    if ((selected_.run && accepted->run != *selected_.run)
        || (selected_.since && r.event.time < *selected_.since))
      return;
    life one{{}, other_course{policy_}};
    one.out.run = accepted->run;
    one.out.session = session_id{r.event.stream.value};
    one.out.workspace = r.event.workspace;
    one.out.agent = slug;
    one.out.accepted_at = r.event.time;
    if (live_.try_emplace(accepted->run.value, std::move(one)).second)
      ++report_.runs;
  }

  void take_run(const record& r) {
    const auto found = live_.find(r.event.stream.value);
    if (found == live_.end() || found->second.damaged)
      return;
    auto& one = found->second;
    const auto fact = fact_of<run::event>(r, one.damaged);
    one.damaged = one.damaged || (fact && !run::fits(one.course.recorded(), *fact));
    if (one.damaged) {
      ++report_.damaged;
      part(one, r, {{}, "this event is damaged, and what follows it is not read"});
    } else if (fact) {
      take_fact(one, r, *fact);
    }
    if (run::terminal(one.course.recorded().at)) {
      close(one);
      live_.erase(found);
    }
  }

  void take_fact(life& one, const record& r, const run::event& fact) {
    if (one.parted)
      return one.course.follow(fact, r.event.time);
    auto parting = one.course.take(fact, r.event.time, left_of(one.out.workspace));
    if (const auto* usage = std::get_if<run::usage_reported>(&fact)) {
      one.out.cost += usage->cost_micro_usd;
      spent_[one.out.workspace.value] += usage->cost_micro_usd;
    }
    if (parting)
      part(one, r, *std::move(parting));
  }

  static void part(life& one, const record& r, parting how) {
    if (std::exchange(one.parted, true))
      return;
    one.out.seq = r.event.seq;
    one.out.partition = r.partition;
    one.out.offset = r.offset;
    one.out.at = r.event.time;
    one.out.how = std::move(how);
  }

  std::optional<micro_usd> left_of(const workspace_id& workspace) {
    if (!policy_.budget)
      return std::nullopt;
    return micro_usd{count(*policy_.budget) - count(spent_[workspace.value])};
  }

  void close(life& one) {
    one.out.recorded = one.course.recorded().at;
    one.out.recorded_cost = one.course.recorded().cost;
    report_.recorded += one.out.recorded_cost;
    report_.otherwise += one.out.cost;
    if (!one.parted)
      return;
    if (one.out.how.end) {
      ++report_.stopped;
      report_.saved += micro_usd{count(one.out.recorded_cost) - count(one.out.cost)};
    } else {
      ++report_.unknown;
    }
    report_.changed.push_back(std::move(one.out));
  }

  const run_selection& selected_;
  const other_policy& policy_;
  what_if_report report_;
  std::unordered_map<std::string, life> live_;         ///< By run, until it ends.
  std::unordered_map<std::string, std::string> slugs_; ///< By session.
  std::unordered_map<std::string, micro_usd> spent_;   ///< By workspace, under the policy.
};

result<void, read_error> feed(const event_log& log, const run_selection& selected,
                              what_if_fold& fold) {
  const auto take = [&](const record_ptr& r) {
    fold.take(*r);
    return true;
  };
  if (selected.session)
    return each_session_event(log, *selected.session, take);
  if (selected.run) {
    const auto session = session_of_run(log, *selected.run);
    if (!session)
      return session.error();
    if (!*session)
      return {};
    const auto accepted = acceptance_of(log, **session, *selected.run);
    if (!accepted)
      return accepted.error();
    if (*accepted)
      take(*accepted);
    return each_event(log, stream_of(*selected.run), 1, take);
  }
  for (std::uint32_t p = 0; p < log.partition_count(); ++p)
    for (std::int64_t at = 0;;) {
      const auto page = log.read_partition(p, at, ledger_page_events);
      if (!page)
        return page.error();
      if (page->empty())
        break;
      for (const auto& r : *page)
        fold.take(*r);
      at = page->back()->offset + 1;
    }
  return {};
}

} // namespace

result<what_if_report, read_error> what_if(const event_log& log, const run_selection& selected,
                                           const other_policy& policy) {
  what_if_fold fold{selected, policy};
  if (const auto read = feed(log, selected, fold); !read)
    return read.error();
  return fold.finish();
}

} // namespace runledger::replay
