#include "tests/sim/simulation.hpp"

#include "events/chain.hpp"

#include <algorithm>

namespace runledger::sim {

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::int64_t rest_within_ms = 60 * 60 * 1000;
constexpr std::int64_t patience_with_endless_ms = 120 * 1000;

std::vector<topic_size> topics_of(const test::fault_plan& plan) {
  if (plan.runs_partitions == 0)
    return {topic_size{}};
  return {{"runs", plan.runs_partitions},
          {"workers", plan.workers_partitions},
          {"workspaces", plan.workspaces_partitions},
          {"catalog", plan.catalog_partitions}};
}

} // namespace

simulation::simulation(std::uint64_t seed)
    : seed_(seed),
      dice_(seed),
      plan_(test::plan_of(seed)),
      world_(seed, topics_of(plan_)),
      clients_(world_, plan_, test::mix(seed, 3)),
      views_(world_.disk, world_.blobs, world_.judge, world_.settings.data_dir,
             test::mix(seed, 4)) {
  world_.settings.max_running = static_cast<std::size_t>(plan_.slots);
  world_.settings.max_queued = static_cast<std::size_t>(plan_.max_queued);
  world_.settings.idle_actor_ms = plan_.idle_actor_ms;
  world_.rude_percent = plan_.rude_percent;
  world_.several = divided();
}

server* simulation::living() {
  return world_.servers().empty() || !world_.current().alive ? nullptr : &world_.current();
}

std::vector<server*> simulation::all_living() {
  std::vector<server*> out;
  for (auto& one : world_.servers())
    if (one->alive)
      out.push_back(one.get());
  return out;
}

// -- bad weather -------------------------------------------------------------------------------

void simulation::bad_weather() {
  world_.start();
  for (step_ = 0; step_ < plan_.steps && world_.judge.problem().empty(); ++step_) {
    act();
    world_.judge.catch_up();
    views_.step();
  }
}

void simulation::act() {
  if (living() == nullptr)
    world_.start();
  meddle();
  if (dice_.percent(5))
    for (auto* one : all_living())
      one->port.hold(dice_.percent(plan_.hold_percent));
  if (!world_.letters.empty() && dice_.percent(10) && deliver_letter())
    return;
  auto roll = dice_.between(1, plan_.job + plan_.harness + plan_.log + plan_.time + plan_.client);
  if ((roll -= plan_.job) <= 0 && run_actor())
    return;
  if ((roll -= plan_.harness) <= 0 && move_harness())
    return;
  if ((roll -= plan_.log) <= 0 && end_append())
    return;
  if ((roll -= plan_.client) <= 0 && living() != nullptr
      && clients_.act(divided() ? *dice_.pick(all_living()) : *living()))
    return;
  if (roll <= 0 && run_actor())
    return;
  if (roll <= 0 && (move_harness() || end_append() || deliver_letter()))
    return;
  let_time_pass();
}

bool simulation::run_actor() {
  if (world_.jobs() == 0)
    return false;
  world_.run_job(plan_.in_order ? 0 : dice_.below(world_.jobs()));
  return true;
}

bool simulation::move_harness() {
  auto servers = all_living();
  if (servers.empty())
    return false;
  auto& host = dice_.pick(servers)->host;
  auto busy = host.busy();
  if (busy.empty())
    return false;
  host.step(dice_.pick(busy));
  return true;
}

bool simulation::end_append() {
  std::vector<server*> waiting;
  for (auto* one : all_living())
    if (one->port.held() > 0)
      waiting.push_back(one);
  if (waiting.empty())
    return false;
  auto& port = dice_.pick(waiting)->port;
  auto how = append_end::accepted;
  if (dice_.percent(plan_.fault_percent))
    how = static_cast<append_end>(dice_.between(1, 5));
  world_.story.note("append: " + std::string{to_string(how)});
  port.end_one(dice_.below(port.held()), how, dice_);
  return true;
}

bool simulation::deliver_letter() {
  if (world_.letters.empty())
    return false;
  auto how = journey::arrives;
  if (dice_.percent(25))
    how = static_cast<journey>(dice_.between(1, 3));
  const auto place = dice_.below(world_.letters.size());
  world_.deliver(place, how, dice_.below(2));
  return true;
}

void simulation::let_time_pass() {
  auto roll = dice_.below(100);
  std::int64_t ms = dice_.between(1, 50);
  if (roll < 40)
    ms = dice_.between(50, 1000);
  else if (roll < 50)
    ms = dice_.between(1000, 10'000);
  else if (roll < 53)
    ms = dice_.between(10'000, 70'000);
  world_.advance(milliseconds{ms});
}

/// What seldom happens.
void simulation::meddle() {
  auto now = [&](std::int64_t permille) { return dice_.between(1, 1000) <= permille; };
  if (now(plan_.crash_permille)) {
    if (dice_.percent(30))
      second_server();
    else
      crash_and_start();
  }
  if (now(plan_.zombie_permille)) {
    if (dice_.coin())
      late_append();
    else
      forge();
  }
  if (plan_.hand_over_permille > 0 && now(plan_.hand_over_permille))
    hand_over();
  if (now(plan_.kill_permille))
    if (auto* one = living())
      one->host.kill_any();
  if (now(plan_.jump_permille)) {
    auto by = dice_.between(-30'000, 600'000);
    world_.story.note("the clock jumps by " + std::to_string(by));
    world_.clock.advance(milliseconds{by});
  }
}

/// Each append that was under way landed, landed in part, arrives late, or is lost.
void simulation::crash_and_start() {
  ++crashes_;
  for (auto* one : all_living()) {
    for (auto& group : world_.crash(*one)) {
      auto fate = dice_.below(4);
      if (fate == 0)
        continue;
      if (fate == 1) {
        late_.push_back(std::move(group));
        continue;
      }
      for (auto& request : group)
        if (fate == 2)
          request.events.resize(dice_.below(request.events.size() + 1));
      world_.disk.append(std::move(group), [](std::vector<append_result>) {});
    }
    clients_.forget(one->number);
  }
  world_.judge.catch_up();
  views_.reopen();
  if (dice_.coin())
    world_.advance(milliseconds{dice_.between(1, 5000)});
  world_.start();
}

/// Two servers at once: the earlier one does not know yet that it lost the partition.
void simulation::second_server() {
  if (all_living().size() >= 2)
    return crash_and_start();
  ++crashes_;
  if (divided() && dice_.coin())
    world_.settings.partitions = some_partitions();
  world_.start();
  world_.settings.partitions.reset();
}

// -- partitions --------------------------------------------------------------------------------

std::vector<std::uint32_t> simulation::some_partitions() {
  std::vector<std::uint32_t> out;
  for (std::uint32_t p = 0; p < world_.disk.partition_count(); ++p)
    if (dice_.percent(40))
      out.push_back(p);
  return out;
}

/// Partitions are given up, taken (perhaps from a server that has them), or claimed by somebody
/// whom nobody knows.
void simulation::hand_over() {
  auto servers = all_living();
  if (servers.empty())
    return;
  auto& server = *dice_.pick(servers);
  auto which = some_partitions();
  switch (dice_.below(4)) {
    case 0:
      world_.story.note("partitions are released");
      return world_.release(server, std::move(which));
    case 1:
      world_.story.note("partitions are released and taken again");
      return world_.release(server, which, [this, &server, which] {
        if (server.alive)
          world_.take(server, which);
      });
    case 2:
      world_.story.note("partitions are taken");
      return world_.take(server, std::move(which));
    default:
      world_.story.note("a partition is claimed elsewhere");
      world_.claim_elsewhere(
          static_cast<std::uint32_t>(dice_.below(world_.disk.partition_count())));
  }
}

/// The one server that is left takes what it does not have.
void simulation::gather() {
  auto& last = world_.current();
  constexpr int tries_max = 100;
  for (int i = 0; i < tries_max; ++i) {
    world_.settle(); // What it was asked to give up may be on its way yet.
    std::vector<std::uint32_t> missing;
    for (std::uint32_t p = 0; p < world_.disk.partition_count(); ++p)
      if (world_.disk.partition_state(p).epoch != last.actors->partitions.epoch_of(p))
        missing.push_back(p);
    if (missing.empty())
      return;
    world_.release(last, missing); // What it only believes to have.
    world_.settle();
    world_.take(last, missing);
    world_.settle();
    world_.advance(milliseconds{100});
  }
  world_.judge.complain("the server cannot take all partitions");
}

/// What a dead server sent arrives after its successor's claim.
void simulation::late_append() {
  if (late_.empty())
    return;
  auto place = late_.begin() + static_cast<std::ptrdiff_t>(dice_.below(late_.size()));
  auto group = std::move(*place);
  late_.erase(place);
  world_.story.note("a late append arrives");
  std::vector<record> records;
  for (const auto& request : group)
    for (const auto& r : request.events)
      records.push_back(*r);
  world_.disk.inject(records);
}

/// Somebody writes what does not fit: each record breaks one rule, and only one.
void simulation::forge() {
  const auto& streams = world_.judge.streams();
  if (streams.empty())
    return;
  auto at = streams.begin();
  std::advance(at, static_cast<std::ptrdiff_t>(dice_.below(streams.size())));
  if (kind_of(at->first) == stream_kind::partition)
    return;
  const auto& known = at->second;
  stream_head head{known.hashes.size(), known.hashes.back(), known.partition_key, known.time};
  const auto home = partition_of(at->first, known.partition_key, world_.disk.partition_names());
  auto epoch = world_.disk.partition_state(*home).epoch;
  auto kind = dice_.below(divided() ? 6 : 5);
  if (kind == 0)
    --epoch;
  if (kind == 1)
    ++head.seq; // A gap.
  if (kind == 2)
    head.hash = sha256("another history");
  if (kind == 3)
    head.partition_key = "sess_of_another";
  envelope e;
  e.stream = at->first;
  e.type = "dev.runledger.run.logged.v1";
  e.workspace = known.workspace;
  e.data = R"({"level":"info","message":"forged"})";
  e.time = world_.clock.now();
  auto forged = make_record(head, std::move(e), epoch, true);
  if (kind == 4)
    forged->event.data += ' ';
  world_.story.note("forged: " + std::to_string(kind));
  auto place = *home;
  if (kind == 5) { // All is right but the partition.
    place = static_cast<std::uint32_t>((place + 1) % world_.disk.partition_count());
    forged->epoch = world_.disk.partition_state(place).epoch;
  }
  world_.disk.inject({*forged}, place);
}

// -- clear weather -----------------------------------------------------------------------------

/// From here on nothing fails any more, and everything that was accepted has to end.
void simulation::clear_weather() {
  world_.story.note("the weather clears");
  if (all_living().size() > 1 || living() == nullptr)
    crash_and_start();
  auto& last = world_.current();
  last.host.calm_down();
  last.port.hold(false);
  while (last.port.held() > 0)
    last.port.end_one(0, append_end::accepted, dice_);
  if (divided())
    gather();
  if (!wait_for_rest())
    return;
  clients_.probe(last);
  clients_.claim_all_names(last);
  if (!wait_for_rest())
    return;
  check_names();
  check_leaks();
  clients_.check_answers();
  check_effects();
  views_.finish();
}

bool simulation::wait_for_rest() {
  auto& last = world_.current();
  std::int64_t waited = 0;
  while (waited < rest_within_ms) {
    if (!world_.settle()) {
      world_.judge.complain("the server never comes to rest");
      return false;
    }
    views_.step();
    if (!world_.judge.problem().empty())
      return false;
    bool known = clients_.settle_open(last);
    if (known && world_.jobs() == 0 && at_rest())
      return true;
    if (waited >= patience_with_endless_ms)
      clients_.cancel_endless(last);
    auto by = waited < 20'000 ? 200 : 2000;
    world_.advance(milliseconds{by});
    waited += by;
  }
  std::string open;
  for (const auto& [id, session] : world_.judge.accepted_runs()) {
    const auto* run = world_.judge.run_of(id);
    if (run == nullptr || !run::terminal(run->at))
      open += ' ' + id.value;
    else if (session::find(*world_.judge.session_of(session), id)->ended() == false)
      open += ' ' + session.value + " (does not know of the end of " + id.value + ')';
  }
  world_.judge.complain("after an hour of clear weather this is unfinished:" + open
                        + clients_.unknown());
  return false;
}

/// Every accepted run has ended, and its session knows.
bool simulation::at_rest() {
  world_.judge.catch_up();
  for (const auto& [id, session] : world_.judge.accepted_runs()) {
    const auto* run = world_.judge.run_of(id);
    if (run == nullptr || !run::terminal(run->at))
      return false;
    const auto* state = world_.judge.session_of(session);
    if (session::open(*state))
      return false;
  }
  return true;
}

void simulation::check_leaks() {
  auto& last = world_.current();
  // Passivation, exit graces, the gateway's watchdog.
  for (int i = 0; i < 30; ++i) {
    world_.advance(seconds{i < 10 ? 1 : 5});
    world_.settle();
  }
  const auto& c = last.actors->counters;
  auto none = [&](std::uint64_t left, const char* what) {
    if (left != 0)
      world_.judge.complain(std::to_string(left) + ' ' + what + " at rest");
  };
  none(c.waiting_runs.load(), "runs hold a place in the queue");
  none(c.queued_runs.load(), "runs are queued");
  none(c.running_runs.load(), "runs are assigned");
  none(c.live_actors.load(), "entities have an actor");
  none(c.live_processes.load() - last.host.alive(), "processes are counted and do not exist");
  if (world_.timers_pending())
    world_.judge.complain("a timer is pending at rest");
  none(world_.judge.unsigned_events(), "events are under no tree head");
}

/// Every name that is claimed is borne by an agent, and by one.
void simulation::check_names() {
  for (const auto& slug : clients::all_slugs()) {
    const auto* names = world_.judge.find(names_stream_of(workspace_id{"default"}));
    const auto* owner =
        names ? names::owner_of(std::get<names::state>(names->state), "agent", slug) : nullptr;
    const auto* agent = owner ? world_.judge.find(stream_id{*owner}) : nullptr;
    if (agent == nullptr || std::get<agent::state>(agent->state).slug != slug)
      world_.judge.complain("the name " + slug + " is borne by nobody");
  }
}

/// What the ledger says was done in the world outside, at least once, and each execution that it
/// knows of at most once.
void simulation::check_effects() {
  for (const auto& [step, executions] : world_.out.effects) {
    auto sorted = executions;
    std::ranges::sort(sorted);
    if (std::ranges::adjacent_find(sorted) != sorted.end())
      world_.judge.complain("one execution of the step " + step + " took place twice");
  }
  for (const auto& [id, session] : world_.judge.accepted_runs()) {
    const auto* run = world_.judge.run_of(id);
    for (const auto& [key, step] : run->steps)
      if (step.at == run::step_phase::done && !world_.out.effects.contains(id.value + '/' + key))
        world_.judge.complain("the step " + key + " of " + id.value + " is recorded, not done");
  }
}

verdict_of_seed simulation::run() {
  verdict_of_seed out;
  bad_weather();
  if (world_.judge.problem().empty())
    clear_weather();
  for (auto* one : all_living())
    clients_.forget(one->number);
  world_.shut_down();
  out.problem = world_.judge.problem();
  out.trace_hash = world_.story.hash();
  out.events = world_.judge.events();
  out.crashes = crashes_;
  for (const auto& [id, session] : world_.judge.accepted_runs()) {
    ++out.runs;
    const auto* run = world_.judge.run_of(id);
    if (run == nullptr)
      continue;
    out.succeeded += run->at == run::phase::succeeded;
    out.failed += run->at == run::phase::failed;
    out.cancelled += run->at == run::phase::cancelled;
  }
  for (const auto& [key, executions] : world_.out.effects)
    out.executions += executions.size();
  if (!out.problem.empty())
    out.report = "TEST_SEED=" + std::to_string(seed_) + ", step " + std::to_string(step_) + " of "
                 + std::to_string(plan_.steps) + ": " + out.problem + "\nthe last lines:\n"
                 + world_.story.tail();
  return out;
}

verdict_of_seed simulate(std::uint64_t seed) {
  return simulation{seed}.run();
}

} // namespace runledger::sim
