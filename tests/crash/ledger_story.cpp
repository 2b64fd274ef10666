#include "events/fold.hpp"
#include "events/json.hpp"
#include "events/log/sqlite_log.hpp"
#include "tests/crash/world.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <charconv>
#include <sstream>
#include <string_view>
#include <unordered_map>

namespace runledger::crash {

namespace {

/// Text of a string, or what is written; empty: not there.
std::string text_of(const json::value& data, std::string_view name) {
  const auto found = data.find(name);
  if (!found)
    return {};
  return std::string{found->is_string() ? found->string() : found->raw()};
}

std::int64_t number_of(const json::value& data, std::string_view name) {
  const auto found = data.find(name);
  return found ? found->integer().value_or(-1) : -1;
}

class story_teller {
public:
  explicit story_teller(ledger_story& out) : out_(out) {}

  void take(const record& r) {
    ++out_.events;
    check_order(r);
    const auto name = split_type(r.event.type);
    const auto data = json::parse(r.event.data);
    if (!name || !data)
      return problem(r, "cannot be read");
    if (r.event.stream.value.starts_with("run_"))
      take_run(r, name->name.substr(4), data->root());
    else if (name->name == "session.turn_accepted")
      take_turn(r, data->root());
  }

private:
  void problem(const record& r, const std::string& what) {
    out_.problems.push_back(r.event.id() + " " + r.event.type + ": " + what);
  }

  void check_order(const record& r) {
    if (!r.damage.empty())
      return problem(r, r.damage);
    auto head = heads_.find(r.event.stream.value);
    const auto why = judge(partition_, head == heads_.end() ? nullptr : &head->second, r);
    if (why != verdict::accepted)
      return problem(r, std::string{to_string(why)});
    advance(partition_, heads_[r.event.stream.value], r);
  }

  void take_turn(const record& r, const json::value& data) {
    const auto run = text_of(data, "run_id");
    auto& story = out_.runs[run];
    if (!story.session.empty())
      problem(r, "the run was accepted before");
    story.session = r.event.stream.value;
    story.agent = text_of(data, "agent_id");
    if (const auto key = text_of(data, "idempotency_key"); !key.empty())
      out_.runs_of_key[key].insert(run);
  }

  void take_run(const record& r, std::string_view name, const json::value& data) {
    auto& story = out_.runs[r.event.stream.value];
    if (story.session.empty())
      problem(r, "the run was never accepted");
    if (story.terminals > 0)
      problem(r, "after the terminal event");
    story.types.emplace_back(name);
    const auto key = text_of(data, "key");
    if (name == "step_started") {
      if (story.completed_times[key] > 0)
        problem(r, "executes a step that is done: " + key);
      if (!story.started_attempts[key].insert(number_of(data, "attempt")).second)
        problem(r, "the execution has the number of an earlier one: " + key);
    } else if (name == "step_completed") {
      if (++story.completed_times[key] > 1)
        problem(r, "the step is done twice: " + key);
      story.completed_attempt[key] = number_of(data, "attempt");
    } else if (name == "attempt_failed") {
      story.counted_attempts += text_of(data, "counted") == "true" ? 1 : 0;
    } else if (name == "succeeded" || name == "failed" || name == "cancelled") {
      ++story.terminals;
    }
  }

  ledger_story& out_;
  partition_head partition_;
  std::unordered_map<std::string, stream_head> heads_;
};

} // namespace

ledger_story read_ledger(const std::string& data) {
  ledger_story out;
  sqlite_log_options options;
  options.folder = data;
  options.read_only = true;
  auto log = sqlite_log::open(options);
  if (!log) {
    out.problems.push_back(log.error());
    return out;
  }
  story_teller teller{out};
  for (std::int64_t at = 0;;) {
    const auto some = (*log)->read_partition(0, at, 4096);
    if (!some) {
      out.problems.push_back(some.error().detail);
      return out;
    }
    if (some->empty())
      return out;
    for (const auto& each : *some)
      teller.take(*each);
    at = some->back()->offset + 1;
  }
}

int unfinished_streams(const std::string& data) {
  sqlite_log_options options;
  options.folder = data;
  options.read_only = true;
  const auto log = sqlite_log::open(options);
  if (!log)
    return -1;
  const auto found = (*log)->unfinished(0, {}, 1000);
  return found ? static_cast<int>(found->size()) : -1;
}

std::int64_t end_of_ledger(const std::string& data) {
  const auto log = sqlite_log::open({.folder = data, .read_only = true});
  return log ? (*log)->end_offset(0) : -1;
}

std::vector<std::string> check_effects(const std::string& file, const ledger_story& ledger,
                                       const std::string& agent) {
  std::vector<std::string> out;
  std::map<std::string, std::set<std::int64_t>> seen; // run/key -> executions
  std::istringstream lines{read_whole_file(file)};
  for (std::string line; std::getline(lines, line);) {
    const auto slash = line.find('/'), space = line.rfind(' ');
    if (slash == std::string::npos || space == std::string::npos || space < slash)
      return {"not a line of an effects file: " + line};
    const auto run = line.substr(0, slash), key = line.substr(slash + 1, space - slash - 1);
    const auto attempt = std::int64_t{std::atoll(line.c_str() + space + 1)};
    if (!seen[run + '/' + key].insert(attempt).second)
      out.push_back("executed twice under one number: " + line);
    const auto story = ledger.runs.find(run);
    if (story == ledger.runs.end()) {
      out.push_back("executed and not in the ledger: " + line);
      continue;
    }
    const auto started = story->second.started_attempts.find(key);
    if (started == story->second.started_attempts.end() || !started->second.contains(attempt))
      out.push_back("executed without a recorded start: " + line);
    const auto done = story->second.completed_attempt.find(key);
    if (done != story->second.completed_attempt.end() && attempt > done->second)
      out.push_back("executed again after it was recorded: " + line);
  }
  for (const auto& [run, story] : ledger.runs)
    for (const auto& [key, attempt] : story.completed_attempt)
      if (story.agent == agent && !seen[run + '/' + key].contains(attempt))
        out.push_back("recorded and never executed: " + run + '/' + key);
  return out;
}

} // namespace runledger::crash
