#include "events/queue.hpp"

#include <algorithm>

namespace runledger::queue {

namespace {

constexpr std::size_t name_max = 64;

decision on(const state& s, const join& ask) {
  auto known = s.workers.find(ask.worker.value);
  if (known != s.workers.end() && known->second == member{ask.title, ask.slots})
    return outcome{};
  return outcome{{worker_joined{ask.worker, ask.title, ask.slots}}};
}

decision on(const state& s, const leave& ask) {
  if (!s.workers.contains(ask.worker.value))
    return rejection::unknown_worker;
  outcome out;
  for (const auto& [run, one] : s.leases)
    if (one.worker == ask.worker)
      out.facts.emplace_back(
          lease_released{run_id{run}, one.worker, one.epoch, one.attempt, "returned"});
  out.facts.emplace_back(worker_left{ask.worker, ask.reason});
  return out;
}

decision on(const state& s, const grant& ask) {
  if (s.leases.contains(ask.run.value))
    return rejection::already_leased;
  auto known = s.workers.find(ask.worker.value);
  if (known == s.workers.end())
    return rejection::unknown_worker;
  if (leases_of(s, ask.worker) >= known->second.slots)
    return rejection::no_free_slot;
  return outcome{{lease_granted{ask.run, ask.worker, s.last_epoch + 1, ask.attempt}}};
}

decision on(const state& s, const release& ask) {
  const auto* one = find(s, ask.run.value, ask.epoch);
  if (one == nullptr)
    return rejection::not_leased;
  return outcome{{lease_released{ask.run, one->worker, one->epoch, one->attempt, ask.reason}}};
}

decision on(const state& s, const expire& ask) {
  if (!s.workers.contains(ask.worker.value))
    return rejection::unknown_worker;
  outcome out;
  for (const auto& [run, one] : s.leases)
    if (one.worker == ask.worker)
      out.facts.emplace_back(lease_expired{run_id{run}, one.worker, one.epoch, one.attempt});
  out.facts.emplace_back(worker_left{ask.worker, "silent"});
  return out;
}

} // namespace

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= name_max && std::ranges::all_of(text, [](char c) {
    return c == '.' || c == '_' || c == '-' || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z')
           || (c >= 'a' && c <= 'z');
  });
}

bool open(const state& s) {
  return !s.leases.empty() || !s.workers.empty();
}

const lease* find(const state& s, std::string_view run, std::int64_t epoch) {
  auto found = s.leases.find(run);
  return found != s.leases.end() && found->second.epoch == epoch ? &found->second : nullptr;
}

std::int64_t leases_of(const state& s, const worker_id& worker) {
  return std::ranges::count_if(s.leases, [&](const auto& l) { return l.second.worker == worker; });
}

decision decide(const state& now, const command& asked) {
  return std::visit([&](const auto& body) { return on(now, body); }, asked);
}

state evolve(state s, const event& fact) {
  std::visit(overloaded{[&](const worker_joined& e) {
                          s.workers[e.worker.value] = {e.title, e.slots};
                        },
                        [&](const worker_left& e) { s.workers.erase(e.worker.value); },
                        [&](const lease_granted& e) {
                          s.leases[e.run.value] = {e.worker, e.lease_epoch, e.attempt};
                          s.last_epoch = e.lease_epoch;
                        },
                        [&](const lease_expired& e) { s.leases.erase(e.run.value); },
                        [&](const lease_released& e) { s.leases.erase(e.run.value); }},
             fact);
  return s;
}

bool fits(const state& now, const event& fact) {
  return std::visit(
      overloaded{[](const worker_joined&) { return true; },
                 [&](const worker_left& e) {
                   return now.workers.contains(e.worker.value) && leases_of(now, e.worker) == 0;
                 },
                 [&](const lease_granted& e) {
                   return now.workers.contains(e.worker.value) && !now.leases.contains(e.run.value)
                          && e.lease_epoch > now.last_epoch;
                 },
                 [&](const auto& e) { return find(now, e.run.value, e.lease_epoch) != nullptr; }},
      fact);
}

} // namespace runledger::queue
