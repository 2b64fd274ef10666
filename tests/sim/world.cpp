#include "tests/sim/world.hpp"

#include "actors/partition_taker.hpp"

#include <caf/actor_registry.hpp>
#include <caf/local_actor.hpp>
#include <caf/send.hpp>

#include <cstdio>
#include <cstdlib>

namespace runledger::sim {

namespace {

constexpr std::size_t steps_until_settled_max = 200'000;

} // namespace

void trace::note(std::string line) {
  for (unsigned char c : line)
    hash_ = (hash_ ^ c) * 1'099'511'628'211ULL;
  static const bool aloud = std::getenv("TEST_TRACE") != nullptr;
  line = std::to_string(++lines_) + ' ' + line;
  if (aloud)
    std::fprintf(stderr, "%s\n", line.c_str());
  kept_.push_back(std::move(line));
  if (kept_.size() > kept_max)
    kept_.pop_front();
}

std::string trace::tail() const {
  std::string out;
  for (const auto& line : kept_)
    out += "  " + line + '\n';
  return out;
}

world::world(std::uint64_t seed, const std::vector<topic_size>& topics)
    : disk(topics), seed_(seed) {
  settings.data_dir = folder_.path();
  settings.importer_thread = false;
  settings.streams_in_a_row = 1; // Every partition is at work.
  settings.heads.key = ed25519::private_key::from_seed(sha256("node-1"));
  settings.heads.events = 25;
  settings.heads.interval_ms = 5000;
  config_.set("scheduler.policy", caf::atom("testing"));
  system_ = std::make_unique<caf::actor_system>(config_);
  coordinator_ = &dynamic_cast<caf::scheduler::test_coordinator&>(system_->scheduler());
  out.note = [this](std::string line) { story.note(std::move(line)); };
  judge.on_event = [this](const record& r) {
    story.note("event " + r.event.id() + ' ' + r.event.type + ' ' + to_hex(r.event.eventhash));
  };
  judge.may_count = [this](const run::state& now, const run_id& id, std::int64_t attempt) {
    auto pool =
        settings.data_dir + "/work/" + now.agent.value + '-' + std::to_string(now.agent_version);
    const auto name = attempt_name(id.value, attempt);
    auto others_ended = [&](const std::set<std::string>& together) {
      return together.contains(name) && std::ranges::all_of(together, [&](const auto& each) {
               const auto* run = judge.run_of(run_id{each.substr(0, each.find('#'))});
               return each == name || (run != nullptr && run::terminal(run->at));
             });
    };
    return out.spoiled.contains(name) || out.spoiled.contains(pool)
           || std::ranges::any_of(out.spoiled_together, others_ended);
  };
  out.on_line = [this](const std::string& run, const json::value& line) {
    judge.check_line(run, line);
  };
#ifdef RUNLEDGER_PLANT_BUGS
  on_state_probe = [this](const state_probe& seen) { judge.compare(seen); };
#endif
}

world::~world() {
  shut_down();
#ifdef RUNLEDGER_PLANT_BUGS
  on_state_probe = nullptr;
#endif
}

server& world::start() {
  auto number = servers_.size() + 1;
  auto made = std::make_unique<server>(disk, out, clock, test::mix(seed_, number), rude_percent);
  made->number = number;
  story.note("server " + std::to_string(number) + " starts");
  engine_parts parts{made->port, blobs, made->host, clock, {}, {}, {}};
  if (several)
    made->others = std::make_unique<road>(letters, number);
  parts.others = made->others.get();
  if (lines_of)
    parts.lines = lines_of(number);
  parts.on_lost = [this, number](std::uint32_t partition) {
    story.note("server " + std::to_string(number) + " has lost " + std::to_string(partition));
    lost.push_back(partition);
  };
  parts.on_fatal = [this](const std::string& why) { story.note("fatal: " + why); };
  made->actors = start_actors(*system_, settings, parts, made->ids, [this](std::string_view line) {
    story.note("warning: " + std::string{line});
  });
  made->directory = made->actors->directory;
  start_recovery(*system_, made->actors);
  servers_.push_back(std::move(made));
  return *servers_.back();
}

void world::take(server& which, std::vector<std::uint32_t> partitions, std::function<void()> done) {
  auto told = [this, number = which.number,
               done = std::move(done)](const std::vector<take_failure>& failures) {
    for (const auto& f : failures)
      story.note("server " + std::to_string(number) + " does not get " + std::to_string(f.partition)
                 + ": " + f.why.detail);
    story.note("server " + std::to_string(number) + " has taken what it could");
    if (done)
      done();
  };
  caf::anon_send(which.directory, take_partitions{std::move(partitions), std::move(told)});
}

void world::release(server& which, std::vector<std::uint32_t> partitions,
                    std::function<void()> done) {
  auto told = [this, number = which.number, done = std::move(done)] {
    story.note("server " + std::to_string(number) + " has released what it was to");
    if (done)
      done();
  };
  caf::anon_send(which.directory,
                 release_partitions{std::move(partitions), after_the_last(std::move(told))});
}

void world::claim_elsewhere(std::uint32_t partition) {
  test::seeded_ids ids{test::mix(seed_, 1000 + partition)};
  if (auto claim = take_partition(disk, partition, "elsewhere", clock, ids); !claim)
    judge.complain("the partition cannot be claimed: " + claim.error().detail);
}

std::vector<std::vector<append_request>> world::crash(server& which) {
  story.note("server " + std::to_string(which.number) + " dies");
  which.alive = false;
  auto under_way = which.port.cut_off();
  which.host.cut_off();
  stop_actors(which.actors); // They get no further: ledger, harnesses and clients are out of reach.
  which.directory = nullptr;
  return under_way;
}

void world::deliver(std::size_t place, journey how, std::size_t who) {
  constexpr std::string_view words[]{"arrives", "is lost", "arrives, its answer is lost",
                                     "arrives and will again"};
  auto one = std::move(letters[place]);
  letters.erase(letters.begin() + static_cast<std::ptrdiff_t>(place));
  story.note("the command " + one.what.origin.causation_id + " for " + one.what.stream.value
             + " from server " + std::to_string(one.from) + ' '
             + std::string{words[static_cast<std::size_t>(how)]});
  if (how == journey::lost)
    return one.to.refuse(errc::outcome_unknown);
  std::vector<server*> holders;
  for (auto& each : servers_)
    if (each->alive && each->actors->partitions.holds(one.partition))
      holders.push_back(each.get());
  if (holders.empty())
    return one.to.refuse(errc::not_owner);
  if (how == journey::doubled)
    letters.push_back({one.from, one.partition, one.what, {}});
  if (how == journey::answer_lost)
    std::exchange(one.to, {}).refuse(errc::outcome_unknown);
  ask(*holders[who % holders.size()], std::move(one.what), std::move(one.to));
}

void world::run_job(std::size_t place) {
  auto& jobs = coordinator_->jobs;
  if (place != 0)
    std::swap(jobs.front(), jobs[place]);
  if (auto* actor = dynamic_cast<caf::local_actor*>(jobs.front()))
    story.note(std::string{"run "} + actor->name());
  coordinator_->run_once();
}

void world::run_jobs() {
  while (jobs() > 0)
    run_job();
}

void world::advance(std::chrono::milliseconds by) {
  story.note("time " + std::to_string(by.count()));
  clock.advance(by);
  coordinator_->advance_time(by);
  for (auto& one : servers_)
    if (one->alive)
      one->host.time_passed();
}

bool world::settle() {
  test::dice none{0};
  for (std::size_t steps = 0; steps < steps_until_settled_max; ++steps) {
    judge.catch_up();
    if (jobs() > 0) {
      run_job();
      continue;
    }
    bool progress = !letters.empty();
    if (progress)
      deliver(0, journey::arrives);
    for (auto& one : servers_) {
      if (!one->alive)
        continue;
      if (one->port.held() > 0) {
        one->port.end_one(0, append_end::accepted, none);
        progress = true;
      } else if (auto busy = one->host.busy(); !busy.empty()) {
        one->host.step(busy.front());
        progress = true;
      }
    }
    if (!progress && !(outside_step && outside_step()))
      return true;
  }
  return false;
}

void world::shut_down() {
  if (!system_)
    return;
  for (auto& one : servers_)
    if (one->alive)
      crash(*one);
  letters.clear();
  for (bool more = true; more;) {
    run_jobs();
    more = coordinator_->trigger_timeouts() > 0 || jobs() > 0;
  }
  if (auto left = system_->registry().running(); left != 0)
    judge.complain(std::to_string(left) + " actors outlive their servers");
  servers_.clear();
  system_.reset();
}

} // namespace runledger::sim
