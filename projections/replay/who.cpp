#include "projections/replay/who.hpp"

#include "events/codec.hpp"
#include "events/partition.hpp"

#include <algorithm>
#include <set>
#include <unordered_map>

namespace runledger::replay {

namespace {

constexpr std::size_t page = 4096;

void count(touches& in, timestamp at) {
  if (in.events++ == 0)
    in.first = at;
  in.first = std::min(in.first, at); // Partitions do not share a clock.
  in.last = std::max(in.last, at);
}

template <class Event, class Fact>
std::optional<Fact> fact_of(const record& r) {
  if (r.event.type != full_type(Fact::name, 1))
    return std::nullopt;
  auto decoded = decode<Event>(r.event);
  if (!decoded)
    return std::nullopt;
  return std::get<Fact>(std::move(*decoded));
}

std::string short_type(const std::string& full) {
  auto parts = split_type(full);
  return parts ? std::string{parts->name} : full;
}

/// Folds the ledger, record by record, into the report.
class collector {
public:
  collector(std::string id, who_subject subject) : subject_(subject) {
    out_.id = std::move(id);
    names_.insert(out_.id);
  }

  /// Ids that stand for the object in a path; known before the ledger is read, so that a refused
  /// call counts wherever it stands.
  void also_named(const std::string& name) {
    if (!name.empty())
      names_.insert(name);
  }

  void add(const record& r) {
    if (!r.damage.empty()) {
      ++out_.damaged;
      return;
    }
    remember_key(r);
    if (kind_of(r.event.stream) == stream_kind::audit)
      return add_refused(r);
    if (belongs(r))
      add_touch(r);
  }

  who_report take() {
    for (auto& one : out_.who)
      if (auto known = keys_.find(one.principal); known != keys_.end())
        one.key = known->second;
    for (auto& one : out_.refused)
      if (auto known = keys_.find(one.principal); known != keys_.end())
        one.key_name = known->second.title;
    for (const auto& [workspace, left_out] : left_out_)
      if (workspace == out_.workspace || workspace.value == system_workspace)
        out_.suppressed += left_out;
    return std::move(out_);
  }

private:
  /// Keys are few; who they are is told wherever they act.
  void remember_key(const record& r) {
    if (kind_of(r.event.stream) != stream_kind::key)
      return;
    if (auto made = fact_of<key::event, key::created>(r))
      keys_[r.event.stream.value] = {made->title, r.event.workspace, r.event.time,
                                     r.event.principal, std::nullopt};
    else if (auto known = keys_.find(r.event.stream.value); known != keys_.end())
      known->second.revoked_at = r.event.time;
  }

  void add_refused(const record& r) {
    if (auto left_out = fact_of<audit::event, audit::calls_suppressed>(r))
      left_out_[r.event.workspace] += left_out->count;
    auto call = fact_of<audit::event, audit::call_refused>(r);
    if (!call || !concerns(r, *call))
      return;
    out_.refused.push_back({r.event.id(),
                            r.event.principal,
                            r.event.correlation_id,
                            {},
                            r.event.workspace,
                            r.event.time,
                            std::move(*call)});
  }

  bool concerns(const record& r, const audit::call_refused& call) const {
    if (subject_ == who_subject::workspace)
      return r.event.workspace.value == out_.id;
    if (subject_ == who_subject::key && r.event.principal == out_.id)
      return true;
    return std::ranges::any_of(call.targets, [&](const auto& t) { return names_.contains(t); });
  }

  bool belongs(const record& r) {
    const auto& e = r.event;
    switch (subject_) {
      case who_subject::run:
        return e.stream.value == out_.id || session_speaks_of_run(r);
      case who_subject::session:
        return e.partition_key == out_.id;
      case who_subject::agent:
        return e.stream.value == out_.id || names_agent(r);
      case who_subject::key:
        return e.stream.value == out_.id || e.principal == out_.id;
      case who_subject::worker:
        return e.stream.value == out_.id || given_to_worker(r);
      case who_subject::workspace:
        return e.workspace.value == out_.id;
    }
    return false;
  }

  /// Its acceptance, its end, and what befell the whole session meanwhile.
  bool session_speaks_of_run(const record& r) {
    if (kind_of(r.event.stream) != stream_kind::session)
      return false;
    if (auto accepted = fact_of<session::event, session::turn_accepted>(r)) {
      if (accepted->run.value != out_.id)
        return false;
      names_.insert(r.event.stream.value);
      session_ = r.event.stream;
      return true;
    }
    if (r.event.stream != session_ || run_over_)
      return false;
    if (auto ended = fact_of<session::event, session::turn_ended>(r)) {
      run_over_ = ended->run.value == out_.id;
      return run_over_;
    }
    return true;
  }

  bool names_agent(const record& r) const {
    if (auto accepted = fact_of<session::event, session::turn_accepted>(r))
      return accepted->agent.value == out_.id;
    auto claimed = fact_of<names::event, names::claimed>(r);
    return claimed && claimed->owner == out_.id;
  }

  bool given_to_worker(const record& r) const {
    if (auto begun = fact_of<run::event, run::started>(r))
      return begun->worker.value == out_.id;
    auto again = fact_of<run::event, run::attempt_started>(r);
    return again && again->worker.value == out_.id;
  }

  void add_touch(const record& r) {
    const auto& e = r.event;
    if (out_.workspace.empty() && (e.stream.value == out_.id || subject_ != who_subject::key))
      out_.workspace = e.workspace;
    const auto [place, fresh] = places_.try_emplace(e.principal, out_.who.size());
    if (fresh)
      out_.who.push_back({e.principal, std::nullopt, {}, {}, {}});
    auto& one = out_.who[place->second];
    count(one.all, e.time);
    count(one.by_type[short_type(e.type)], e.time);
    if (!e.correlation_id.empty())
      count(one.by_request[e.correlation_id], e.time);
    count(out_.streams[e.stream.value], e.time);
  }

  who_subject subject_;
  who_report out_;
  std::unordered_map<std::string, std::size_t> places_; // Principals in out_.who.
  std::set<std::string, std::less<>> names_;
  std::map<std::string, key_facts> keys_;
  std::map<workspace_id, std::int64_t> left_out_;
  stream_id session_; // Of the run that is asked for.
  bool run_over_ = false;
};

/// What else stands for the object in a path: a run's session, a session's runs, an agent's slug.
/// Whatever cannot be read here is met again in its partition, and counted as damaged there.
void read_names(const event_log& log, const std::string& id, who_subject subject, collector& into) {
  const bool by_first = subject == who_subject::run || subject == who_subject::agent;
  if (!by_first && subject != who_subject::session)
    return;
  for (std::uint64_t next = 1;; next += page) {
    auto records = log.read_stream(stream_id{id}, next, by_first ? 1 : page);
    if (!records)
      return;
    for (const auto& r : *records) {
      if (subject == who_subject::run)
        into.also_named(r->event.partition_key);
      if (auto made = fact_of<agent::event, agent::created>(*r))
        into.also_named(made->slug);
      if (auto accepted = fact_of<session::event, session::turn_accepted>(*r))
        into.also_named(accepted->run.value);
    }
    if (records->size() < page)
      return;
  }
}

} // namespace

std::optional<who_subject> who_subject_of(std::string_view id) {
  const std::pair<std::string_view, who_subject> prefixes[] = {
      {"run_", who_subject::run}, {"sess_", who_subject::session}, {"ag_", who_subject::agent},
      {"key_", who_subject::key}, {"wrk_", who_subject::worker},
  };
  for (const auto& [prefix, subject] : prefixes)
    if (is_id(id, prefix))
      return subject;
  if (id.starts_with("ws/"))
    id.remove_prefix(3);
  const bool is_name = !id.empty() && id.size() <= 64 && std::ranges::all_of(id, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-'
           || c == '_';
  });
  return is_name ? std::optional{who_subject::workspace} : std::nullopt;
}

result<who_report, read_error> who_touched(const event_log& log, const std::string& id,
                                           who_subject subject) {
  const bool with_prefix = subject == who_subject::workspace && id.starts_with("ws/");
  collector all{with_prefix ? id.substr(3) : id, subject};
  read_names(log, id, subject, all);
  for (std::uint32_t partition = 0; partition < log.partition_count(); ++partition)
    for (std::int64_t next = 0;;) {
      auto records = log.read_partition(partition, next, page);
      if (!records)
        return records.error();
      if (records->empty())
        break;
      for (const auto& r : *records)
        all.add(*r);
      next = records->back()->offset + 1;
    }
  return all.take();
}

} // namespace runledger::replay
