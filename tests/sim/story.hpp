#pragma once

#include "tests/sim/watched_views.hpp"
#include "tests/sim/world.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace runledger::sim {

/// What a client of a story heard.
template <class T>
struct heard {
  std::optional<result<T, refusal_info>> got;
  int times = 0;

  bool nothing() const { return times == 0; }
  bool accepted() const { return got && got->has_value(); }
  bool refused(errc code) const { return got && got->has_error() && got->error().code == code; }
  const T& operator*() const { return **got; }
};
template <class T>
using heard_ptr = std::shared_ptr<heard<T>>;

/// A world in which nothing happens by chance: one server at first, an agent, and scripted programs
/// by number. The oracle and the views watch as they do under a seed.
class story : public ::testing::Test {
protected:
  explicit story(const std::vector<topic_size>& topics = {topic_size{}});
  void TearDown() override;

  /// The server's first start and an agent with this recipe, after the settings.
  void begin(std::string recipe);
  void begin() { begin(recipe_with("")); }
  /// A recipe with further members in its `retry`.
  static std::string recipe_with(const std::string& retry, std::int64_t drain_seconds = 2);
  /// Program `number` does this.
  void let(std::uint64_t number, std::vector<op> ops, ending end = ending::result);
  /// In this attempt of program `number` something goes wrong.
  void spoil(std::uint64_t number, std::int64_t attempt, mishap how);

  heard_ptr<accepted_run> start_run(server& at, std::uint64_t number, const std::string& key = "");
  heard_ptr<accepted_run> post_message(server& at, const session_id& to, std::uint64_t number,
                                       const std::string& key = "");
  heard_ptr<session_answer> cancel(server& at, const session_id& which);
  /// Starts a run and lets it be accepted; nothing else has happened yet.
  accepted_run accept_run(std::uint64_t number);

  /// Messages, appends and harnesses go on one by one, and time where nothing else can, until
  /// `reached`; fails the test if that never comes.
  void until(const std::function<bool()>& reached, const char* what);
  void until_ended(const run_id& run);
  /// One of them. False: only time can change anything.
  bool one_step();
  /// Everything goes on until only time can change anything.
  void settle() { ASSERT_TRUE(w.settle()); }

  /// Names of the accepted events of a stream, in their order.
  std::vector<std::string> names_of(const stream_id& stream) const;
  std::size_t count(const stream_id& stream, const std::string& name) const;
  const run::state& state_of(const run_id& run);
  /// Executions of a step in the world outside.
  std::vector<std::int64_t> executions(const run_id& run, const std::string& key) const;
  std::int64_t terminal_events(const run_id& run) const;

  world w;
  watched_views views{w.disk, w.blobs, w.judge, w.settings.data_dir, 1};
  agent_id agent;

private:
  request_context context(const std::string& key, std::uint64_t number);
  std::map<std::uint64_t, program> programs_;
  std::map<std::pair<std::uint64_t, std::int64_t>, mishap> mishaps_;
  std::uint64_t requests_ = 0;
};

/// Operations of a scripted program.
inline op step(std::string key, std::int64_t failing = 0) {
  op out;
  out.key = std::move(key);
  out.failing = failing;
  return out;
}
inline op usage(std::string key, std::int64_t micro_usd) {
  op out;
  out.kind = op_kind::usage;
  out.key = std::move(key);
  out.with_id = true;
  out.cost_micro_usd = micro_usd;
  return out;
}
inline op message(std::string key) {
  op out;
  out.kind = op_kind::message;
  out.key = std::move(key);
  out.with_id = true;
  return out;
}

} // namespace runledger::sim
