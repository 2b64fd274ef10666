#include "actors/queue_waiters.hpp"

#include "actors/entity_traits.hpp"

#include <algorithm>
#include <vector>

namespace runledger {

const queued_run* queue_waiters::find(const std::string& run) const {
  if (auto under_way = granting_.find(run); under_way != granting_.end())
    return under_way->second.get();
  auto place = places_.find(run);
  return place == places_.end() ? nullptr : place->second->get();
}

bool queue_waiters::renew(queued_run_ptr& run) {
  const auto& id = run->entry.run.value;
  if (auto under_way = granting_.find(id); under_way != granting_.end()) {
    *under_way->second = std::move(*run);
    return true;
  }
  std::erase_if(postponed_, [&](const auto& one) { return one->entry.run.value == id; });
  auto known = places_.find(id);
  if (known == places_.end())
    return false;
  auto& old = *known->second;
  run->entry.attempt = std::max(old->entry.attempt, run->entry.attempt);
  old = std::move(run);
  return true;
}

void queue_waiters::add(queued_run_ptr run) {
  auto id = run->entry.run.value;
  places_[std::move(id)] = line_.insert(line_.end(), std::move(run));
  count(+1);
}

queued_run_ptr queue_waiters::begin_grant() {
  auto run = std::move(line_.front());
  line_.pop_front();
  places_.erase(run->entry.run.value);
  granting_.emplace(run->entry.run.value, run);
  return run;
}

void queue_waiters::granted(const std::string& run) {
  granting_.erase(run);
  count(-1);
}

void queue_waiters::postpone(queued_run_ptr run) {
  granting_.erase(run->entry.run.value);
  count(-1);
  postponed_.push_back(std::move(run));
}

bool queue_waiters::forget(const run_id& run, const run_actor& line) {
  std::erase_if(postponed_,
                [&](const auto& one) { return one->entry.run == run && one->line == line; });
  auto place = places_.find(run.value);
  if (place == places_.end() || (*place->second)->line != line)
    return false;
  line_.erase(place->second);
  places_.erase(place);
  count(-1);
  return true;
}

void queue_waiters::forget_line(const run_actor& line) {
  std::vector<run_id> gone;
  for (const auto& one : line_)
    if (one->line == line)
      gone.push_back(one->entry.run);
  for (const auto& run : gone)
    forget(run, line);
  std::erase_if(postponed_, [&](const auto& one) { return one->line == line; });
}

std::list<queued_run_ptr> queue_waiters::leave() {
  count(-static_cast<std::int64_t>(line_.size()));
  places_.clear();
  line_.splice(line_.end(), postponed_);
  std::erase_if(line_, [](const auto& one) { return one->line != nullptr; });
  return std::exchange(line_, {});
}

void queue_waiters::clear() {
  line_.clear();
  places_.clear();
  postponed_.clear();
  granting_.clear();
}

std::int64_t attempt_to_begin(const event_log& log, const dispatch_entry& entry) {
  if (entry.attempt > 0)
    return entry.attempt;
  const auto head = log.head(stream_of(entry.run));
  if (head && !head->has_value())
    return 1;
  const auto run = fold_stream<run_traits>(log, stream_of(entry.run));
  return run ? run->state.attempt + 1 : 1;
}

bool attempt_goes_on(const event_log& log, const run_id& id, std::int64_t attempt) {
  const auto known = fold_stream<run_traits>(log, stream_of(id));
  return known && known->state.at == run::phase::running && known->state.attempt == attempt;
}

std::optional<std::string> end_of_run(const event_log& log, const run_id& id) {
  const auto known = fold_stream<run_traits>(log, stream_of(id));
  if (!known || !run::terminal(known->state.at))
    return std::nullopt;
  return known->state.at == run::phase::succeeded ? "done" : "cut_off";
}

} // namespace runledger
