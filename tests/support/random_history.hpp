#pragma once

#include "events/session.hpp"
#include "tests/support/history.hpp"

#include <map>
#include <string>
#include <vector>

namespace runledger::test {

/// Sessions and runs that live through whatever decide() allows, chosen by a seed. Their facts go
/// to a log; their states are kept beside, as their actors would.
class random_history {
public:
  struct run_life {
    session_id session;
    session::turn_accepted accepted;
    timestamp accepted_at{};
    run::state state;
  };

  random_history(event_log& log, std::uint64_t seed) : facts(log, seed), ids_(facts.ids) {}

  history facts;
  std::map<session_id, session::state> sessions;
  std::map<run_id, run_life> runs;

  /// One command to some entity; it may be refused.
  void step() {
    if (ids_.below(3) == 0)
      facts.clock.time += std::chrono::milliseconds{ids_.below(400)};
    auto dice = ids_.below(100);
    if (dice < 6 || sessions.empty())
      accept(facts.fresh_session(), true);
    else if (dice < 9)
      accept(some(sessions).first, false);
    else if (dice < 10)
      command_session(some(sessions).first, session::cancel{"asked", {}, {}});
    else if (dice < 16)
      tell_session();
    else
      command_run(some(runs).first);
  }

private:
  template <class Map>
  typename Map::value_type& some(Map& all) {
    // Mostly a late one, so that entities get somewhere.
    auto back = ids_.below(4) == 0 ? ids_.below(all.size())
                                   : ids_.below(std::min<std::size_t>(all.size(), 5));
    return *std::prev(all.end(), static_cast<std::ptrdiff_t>(back) + 1);
  }

  void command_session(const session_id& id, session::command_body body) {
    auto& state = sessions[id];
    auto decided = session::decide(state, {facts.clock.time, facts.workspace, std::move(body)});
    if (!decided)
      return;
    for (const auto& fact : decided->facts) {
      auto seq = ++seqs_[id];
      state = session::evolve(std::move(state), fact, facts.clock.time, seq, facts.workspace);
      facts.write(stream_of(id), fact, {}, true);
      if (const auto* accepted = std::get_if<session::turn_accepted>(&fact))
        runs[accepted->run] = {id, *accepted, facts.clock.time, {}};
    }
  }

  void accept(const session_id& id, bool first) {
    session::accept_turn ask;
    ask.run = facts.fresh_run(id);
    ask.first = first;
    ask.agent = agent_id{"ag_" + std::to_string(ids_.below(3))};
    ask.agent_slug = ask.agent.value + "-slug";
    ask.agent_version = static_cast<std::int64_t>(1 + ids_.below(3));
    ask.trigger = ids_.below(4) == 0 ? "schedule" : "manual";
    (ids_.below(2) == 0 ? ask.prompt : ask.initial_state) = content();
    if (ids_.below(5) == 0 && !runs.empty())
      ask.parent_run = some(runs).first;
    command_session(id, std::move(ask));
    if (first && sessions[id].at == session::phase::absent)
      sessions.erase(id);
  }

  void tell_session() {
    for (const auto& [id, life] : runs)
      if (run::terminal(life.state.at) && ids_.below(2) == 0)
        command_session(life.session,
                        session::end_turn{id, std::string{run::to_string(life.state.at)}});
  }

  payload content() {
    auto size = ids_.below(20) == 0 ? 1500 + ids_.below(1000) : ids_.below(40);
    payload out;
    json_writer::append_quoted(out.json, "text \"" + std::string(size, 'x'));
    return out;
  }
  std::string frame_id() {
    return ids_.below(3) == 0 ? std::string{} : "f" + std::to_string(ids_.below(1000));
  }

  run::frame_body some_frame() {
    std::string key(1, static_cast<char>('a' + ids_.below(4)));
    switch (ids_.below(16)) {
      case 0:
      case 1:
      case 2: {
        run::start_step ask{key, "Step " + key, "tool", {}, {}};
        if (ids_.below(4) == 0)
          ask.timeout_ms = 300;
        return ask;
      }
      case 3:
      case 4:
      case 5:
        return run::finish_step{key, content()};
      case 6:
        return run::fail_step{key, {"step_error", "It broke."}, ids_.below(2) == 0};
      case 7:
        return run::note{run::message_emitted{"assistant", content(), {}}};
      case 8:
        return run::note{run::checkpoint_saved{content(), {}}};
      case 9:
        return run::note{
            run::usage_reported{static_cast<std::int64_t>(ids_.below(100)),
                                static_cast<std::int64_t>(ids_.below(100)),
                                micro_usd{static_cast<std::int64_t>(ids_.below(10'000))},
                                "m",
                                "llm",
                                key,
                                {}}};
      case 10: {
        static const char* levels[] = {"debug", "info", "warn", "trace"};
        return run::note{run::logged{levels[ids_.below(4)], "said", {}, {}}};
      }
      case 11:
        return run::note{run::artifact_published{facts.fresh<artifact_id_tag>("art_"),
                                                 "a.txt",
                                                 "text/plain",
                                                 static_cast<std::int64_t>(ids_.below(99)),
                                                 sha256(key),
                                                 {}}};
      case 12:
        return run::note{run::tool_called{key, "grep", content(), {}}};
      case 13:
        return run::note{run::tool_returned{key, "grep", content(), {}, {}}};
      case 14:
        return run::succeed{ids_.below(4) == 0 ? payload{} : content()};
      default:
        return run::fail{{"agent_error", "It gave up."}, ids_.below(2) == 0};
    }
  }

  run::command_body some_command(const run_life& life) {
    const auto& s = life.state;
    switch (ids_.below(20)) {
      case 0:
        return run::end_attempt{s.attempt, {"process_exit", "gone"}, ids_.below(2) == 0, false};
      case 1:
        return ids_.below(4) == 0 ? run::command_body{run::refuse{
                   life.session, life.accepted.turn, {"secret_missing", "No such secret."}}}
                                  : run::command_body{run::fire_timers{}};
      case 2:
        return ids_.below(4) == 0
                   ? run::command_body{run::cancel{life.session, life.accepted.turn, "asked"}}
                   : run::command_body{run::fire_timers{}};
      case 3:
        return run::fire_timers{};
      default:
        break;
    }
    if (s.at == run::phase::absent || s.at == run::phase::backing_off) {
      run::start ask;
      ask.session = life.session;
      ask.turn = life.accepted.turn;
      ask.agent = life.accepted.agent;
      ask.agent_version = life.accepted.agent_version;
      ask.drain_ms = 200;
      if (ids_.below(3) == 0)
        ask.limits.timeout_ms = 5000;
      return ask;
    }
    return run::frame{s.attempt, frame_id(), some_frame()};
  }

  void command_run(const run_id& id) {
    auto& life = runs[id];
    auto decided = run::decide(life.state, {facts.clock.time, ids_.random(), some_command(life)});
    if (!decided)
      return;
    for (const auto& fact : decided->facts) {
      life.state = run::evolve(std::move(life.state), fact, facts.clock.time);
      facts.write(stream_of(id), fact, life.session.value, run::open(life.state));
    }
  }

  seeded_ids& ids_;
  std::map<session_id, std::uint64_t> seqs_;
};

} // namespace runledger::test
