#pragma once

#include "events/chain.hpp"
#include "events/codec.hpp"
#include "events/log/event_log.hpp"
#include "events/partition.hpp"

#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace runledger::test {

/// A clock that tests move.
struct hand_clock final : wall_clock {
  timestamp time = from_ms(1'700'000'000'000);
  timestamp now() const override { return time; }
};

/// Random numbers from a seed.
struct seeded_ids final : id_source {
  explicit seeded_ids(std::uint64_t seed) : state(seed) {}
  std::uint64_t state;
  std::uint64_t random() override { // splitmix64 (Steele, Lea, Flood 2014)
    auto z = state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
  }
  std::uint64_t below(std::uint64_t bound) { return random() % bound; }
};

/// Writes facts to a log as their entities would: chained, sealed, in the partition's epoch.
class history {
public:
  explicit history(event_log& log, std::uint64_t seed = 1) : ids(seed), log_(log) {
    for (std::uint32_t p = 0; p < log.partition_count(); ++p) {
      auto claim = take_partition(log, p, "test", clock, ids);
      if (!claim)
        throw std::runtime_error("the partition cannot be taken: " + claim.error().detail);
      epochs_.push_back(claim->epoch);
    }
  }

  hand_clock clock;
  seeded_ids ids;
  workspace_id workspace{"default"};
  std::string principal = "system", request; ///< Of the events that follow.

  template <class Tag>
  named_id<Tag> fresh(std::string_view prefix) {
    return {std::string{prefix} + ids.ulid(clock.time)};
  }
  /// A run's id follows from its session and the command that asks for it.
  run_id fresh_run(const session_id& session) {
    auto command = fresh<command_id_tag>("cmd_");
    auto run = derive_run_id(session, command);
    commands_[stream_of(run)] = command;
    return run;
  }
  session_id fresh_session() { return fresh<session_id_tag>("sess_"); }

  /// Appends one fact; `key` is the partition key of the stream's first event (default: itself).
  template <class Event>
  void write(const stream_id& stream, const Event& fact, const std::string& key = {},
             bool open = false) {
    auto encoded = encode(fact);
    write_raw(stream, encoded.type, encoded.data, key, open);
  }
  template <class Fact>
  void write_run(const session_id& session, const run_id& run, const Fact& fact) {
    write(stream_of(run), run::event{fact}, session.value, true);
  }
  template <class Fact>
  void write_session(const session_id& session, const Fact& fact) {
    write(stream_of(session), session::event{fact}, {}, true);
  }

  void write_raw(const stream_id& stream, const std::string& type, const std::string& data,
                 const std::string& key = {}, bool open = false) {
    append_request request;
    request.events.push_back(make(stream, type, data, key, open));
    log_.append({std::move(request)}, [](std::vector<append_result> results) {
      if (results.at(0).outcome != append_outcome::accepted)
        throw std::runtime_error("not accepted: " + results.at(0).detail);
    });
  }

  /// The next record of a stream, not appended yet.
  std::shared_ptr<record> make(const stream_id& stream, const std::string& type,
                               const std::string& data, const std::string& key = {},
                               bool open = false) {
    auto& head = heads_[stream];
    envelope e;
    e.stream = stream;
    e.type = type;
    e.data = data;
    e.workspace = workspace;
    e.partition_key = key.empty() ? stream.value : key;
    e.time = clock.time;
    e.principal = principal;
    e.correlation_id = request;
    auto command = commands_.find(stream);
    e.causation_id = command != commands_.end() ? command->second.value : "cmd_test";
    auto home = head.seq == 0 ? e.partition_key : head.partition_key;
    auto epoch = epochs_.at(partition_of(e.stream, home, log_.partition_names()).value());
    auto made = make_record(head, std::move(e), epoch, open);
    follow(head, *made);
    return made;
  }

  /// The acceptance of a turn, with the members that a run needs.
  session::turn_accepted turn(const run_id& run, std::int64_t number = 1) {
    session::turn_accepted out;
    out.turn = number;
    out.run = run;
    out.agent = agent_id{"ag_01HZZZZZZZZZZZZZZZZZZZZZZZ"};
    out.agent_slug = "helper";
    out.agent_version = 1;
    out.prompt = text_payload("do it");
    return out;
  }

private:
  event_log& log_;
  std::vector<std::uint64_t> epochs_;
  std::map<stream_id, stream_head> heads_;
  std::map<stream_id, command_id> commands_;
};

} // namespace runledger::test
