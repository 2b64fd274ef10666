// Goal: whatever moment the server is killed at under load, what it acknowledged is there, every
// accepted run ends once, no recorded step executes again, and the views are what a rebuild gives.

#include "tests/crash/world.hpp"
#include "tests/support/checked_views.hpp"
#include "tests/support/pace.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <memory>
#include <thread>

namespace runledger::crash {

namespace {

/// What the clients know of the server that comes and goes.
struct meeting_point {
  std::atomic<std::uint16_t> port{0};
  std::atomic<bool> over{false};
  std::atomic<bool> abandoned{false}; ///< The server does not come back.
  std::string admin_key, pooled, steps;
};

/// One call that changes something.
struct call {
  std::string route, key, body, prefer;
  std::string session; ///< Of a message or a cancellation.
};

/// A call and its answer: the client's own durable record.
struct receipt {
  call asked;
  http_answer answer;
  std::string run; ///< Empty: a cancellation.
  bool no_op = false;
};

/// A client that keeps a record of every answer and asks again, with the same key, where none came.
class load_client {
public:
  load_client(const meeting_point& where, int number, std::uint64_t seed)
      : where_(where), name_("client-" + std::to_string(number)), random_(seed) {}

  void work() {
    http_ = std::make_unique<http_client>(0, where_.admin_key);
    while (!where_.over) {
      if (pick(10) == 0)
        look_back();
      else
        settle(next_call());
      pace();
    }
  }

  const std::vector<receipt>& receipts() const { return receipts_; }
  const std::vector<std::string>& complaints() const { return complaints_; }
  std::size_t lost() const { return lost_; }

private:
  std::size_t pick(std::size_t below) { return random_() % below; }

  call next_call() {
    call out;
    const auto what = pick(100);
    if (!sessions_.empty() && what < 30) {
      out.session = sessions_[pick(sessions_.size())];
      out.route = "/api/v1/sessions/" + out.session + (what < 24 ? "/messages" : "/cancel");
      if (what < 24)
        out.body = R"({"message":")" + std::to_string(pick(4)) + "\"}";
    } else if (what < 40 && started_slow_ < 30) {
      ++started_slow_;
      out.route = "/api/v1/agents/" + where_.steps + "/runs";
      out.body = R"({"initial_state":{"steps":3,"pause_ms":)" + std::to_string(pick(40)) + "}}";
    } else {
      out.route = "/api/v1/agents/" + where_.pooled + "/runs";
      out.body = R"({"initial_state":{"steps":)" + std::to_string(pick(5)) + "}}";
    }
    if (pick(8) != 0)
      out.key = name_ + '-' + std::to_string(++keys_);
    if (pick(20) == 0)
      out.prefer = "wait=1";
    return out;
  }

  /// Until it is answered; one without a key is asked once.
  void settle(const call& asked) {
    header_list headers;
    if (!asked.key.empty())
      headers.emplace_back("Idempotency-Key", asked.key);
    if (!asked.prefer.empty())
      headers.emplace_back("Prefer", asked.prefer); // Last, so that a retry can leave it out.
    // A second cancellation changes nothing, so nothing keeps its key.
    const bool no_op =
        asked.route.ends_with("/cancel") && !asked_to_cancel_.insert(asked.session).second;
    for (;;) {
      auto answer = ask("POST", asked.route, asked.body, headers);
      if (answer.status != 0 && answer.status != 503)
        return note(asked, std::move(answer), no_op);
      if (asked.key.empty() || where_.abandoned) {
        ++lost_;
        return;
      }
      if (headers.back().first == "Prefer")
        headers.pop_back();
    }
  }

  void note(const call& asked, http_answer answer, bool no_op) {
    // Also where the answer to its cancellation was lost.
    const bool to_ended = answer.status == 409 && answer["code"] == "session_terminated"
                          && asked_to_cancel_.contains(asked.session);
    if (to_ended)
      return;
    if (answer.status != 201 && answer.status != 202) {
      complaints_.push_back(asked.route + ": " + std::to_string(answer.status) + ' ' + answer.body);
      return;
    }
    receipt made{asked, std::move(answer), {}, no_op};
    if (!asked.route.ends_with("/cancel"))
      made.run = made.answer["run_id"];
    if (asked.session.empty() && !asked.route.ends_with(where_.steps + "/runs"))
      sessions_.push_back(made.answer["session_id"]);
    receipts_.push_back(std::move(made));
  }

  /// What was acknowledged once is there whenever the server is.
  void look_back() {
    if (receipts_.empty())
      return;
    const auto& one = receipts_[pick(receipts_.size())];
    if (one.run.empty())
      return;
    const auto answer = ask("GET", "/api/v1/runs/" + one.run, {}, {});
    if (answer.status != 200 && answer.status != 0 && answer.status != 503)
      complaints_.push_back("acknowledged and gone: " + one.run + ": "
                            + std::to_string(answer.status) + ' ' + answer.body);
  }

  http_answer ask(const char* method, const std::string& route, const std::string& body,
                  const header_list& headers) {
    eventually([&] { return where_.port != 0 || where_.abandoned; });
    if (const auto port = where_.port.load(); port != last_port_) {
      last_port_ = port;
      http_->move_to(port);
    }
    auto answer = http_->ask(method, route, body, headers);
    if (answer.status == 0 || answer.status == 503)
      pace(); // The server is going or coming.
    return answer;
  }

  /// The rate of the load, not a wait for anything.
  void pace() { let_pass(std::chrono::microseconds{1000 + pick(5000)}); }

  const meeting_point& where_;
  const std::string name_;
  std::mt19937_64 random_;
  std::unique_ptr<http_client> http_;
  std::vector<receipt> receipts_;
  std::vector<std::string> sessions_, complaints_;
  std::set<std::string> asked_to_cancel_;
  std::uint16_t last_port_ = 0;
  std::size_t keys_ = 0, lost_ = 0, started_slow_ = 0;
};

class random_kills : public testing::Test {
protected:
  static constexpr int client_count = 4;

  void start_clients() {
    meeting_.admin_key = world_.server.admin_key();
    meeting_.pooled = world_.make_agent("pooled", pooled_recipe(world_));
    meeting_.steps = world_.make_agent("steps", steps_recipe(world_));
    for (int i = 0; i < client_count; ++i)
      clients_.push_back(std::make_unique<load_client>(meeting_, i, random_()));
    meeting_.port = world_.server.port();
    for (auto& each : clients_)
      threads_.emplace_back([&each] { each->work(); });
  }

  void end_clients() {
    meeting_.over = true;
    for (auto& each : threads_)
      each.join();
    threads_.clear();
  }

  /// Kills the server at a random moment, sometimes again while it starts.
  bool kill_once() {
    let_pass(std::chrono::microseconds{random_() % 250'000});
    world_.server.kill();
    meeting_.port = 0;
    ++kills_;
    if (kills_ % 4 == 0) { // Each look folds the whole ledger.
      EXPECT_EQ(views_difference(world_.data()), "") << "after kill " << kills_;
    }
    while (random_() % 5 == 0) {
      world_.server.launch();
      let_pass(std::chrono::microseconds{random_() % 80'000});
      world_.server.kill();
      ++kills_;
    }
    const auto begin = std::chrono::steady_clock::now();
    const bool started = world_.start();
    restarts_.push_back(std::chrono::duration_cast<std::chrono::milliseconds>(
                            std::chrono::steady_clock::now() - begin)
                            .count());
    meeting_.port = world_.server.port();
    return started;
  }

  void tell_restarts() {
    std::ranges::sort(restarts_);
    std::size_t answers = 0, lost = 0;
    for (const auto& each : clients_) {
      answers += each->receipts().size();
      lost += each->lost();
    }
    std::printf("%d kills, %zu acknowledged calls, %zu without a key and an answer; ready after "
                "%lld ms (median), %lld ms (most)\n",
                kills_, answers, lost, static_cast<long long>(restarts_[restarts_.size() / 2]),
                static_cast<long long>(restarts_.back()));
  }

  /// The same key brings the same run, and, where nobody waited, the same answer.
  void check_receipt(http_client& asking, const receipt& one, std::vector<std::string>& wrong) {
    if (!one.asked.key.empty()) {
      const auto again =
          asking.post(one.asked.route, one.asked.body, {{"Idempotency-Key", one.asked.key}});
      const bool same = again.status == one.answer.status
                        && (again.header("idempotent-replayed") == "true" || one.no_op)
                        && (one.run.empty() || again["run_id"] == one.run);
      const bool whole =
          !one.asked.session.empty() || !one.asked.prefer.empty() || again.body == one.answer.body;
      if (!same || !whole)
        wrong.push_back(one.asked.route + " with " + one.asked.key + ":\n    "
                        + one.answer.body.substr(0, 600) + "\n    " + std::to_string(again.status)
                        + ' ' + again.body.substr(0, 600));
    }
    const auto target =
        one.run.empty() ? "/api/v1/sessions/" + one.asked.session : "/api/v1/runs/" + one.run;
    const auto now = asking.get(target);
    const bool ended = one.run.empty()
                           ? now["status"] == "terminated"
                           : !now["finished_at"].empty() && now["finished_at"] != "null";
    if (now.status != 200 || !ended)
      wrong.push_back(target + ": " + std::to_string(now.status) + ' ' + now.body);
  }

  void check_receipts() {
    std::vector<std::string> wrong;
    for (const auto& each : clients_)
      EXPECT_GT(each->receipts().size(), 0u) << "a client was never answered";
    auto asking = world_.client();
    for (const auto& each : clients_) {
      wrong.insert(wrong.end(), each->complaints().begin(), each->complaints().end());
      for (const auto& one : each->receipts())
        check_receipt(asking, one, wrong);
    }
    EXPECT_TRUE(wrong.empty()) << some_of(wrong);
  }

  void check_ledger() {
    const auto ledger = read_ledger(world_.data());
    auto wrong = ledger.problems;
    for (const auto& [run, story] : ledger.runs)
      if (story.terminals != 1)
        wrong.push_back(run + " has " + std::to_string(story.terminals) + " terminal events");
    for (const auto& [key, runs] : ledger.runs_of_key)
      if (runs.size() != 1)
        wrong.push_back("the key " + key + " made " + std::to_string(runs.size()) + " runs");
    for (const auto& each : clients_)
      for (const auto& one : each->receipts())
        if (!one.run.empty() && !ledger.runs.contains(one.run))
          wrong.push_back("acknowledged and not in the ledger: " + one.run);
    EXPECT_TRUE(wrong.empty()) << some_of(wrong);
    const auto pooled = check_effects(world_.effects() + "/pooled", ledger, meeting_.pooled);
    EXPECT_TRUE(pooled.empty()) << some_of(pooled);
    const auto steps = check_effects(world_.effects() + "/steps", ledger, meeting_.steps);
    EXPECT_TRUE(steps.empty()) << some_of(steps);
    std::size_t failed = 0, cut_off = 0;
    for (const auto& [run, story] : ledger.runs) {
      failed += story.types.back() == "failed" ? 1 : 0;
      cut_off += std::ranges::count(story.types, "attempt_failed") > 0 ? 1 : 0;
    }
    EXPECT_EQ(failed, 0u) << "a server's end used up an attempt";
    EXPECT_GT(cut_off, 0u) << "no kill ever hit a run";
    std::printf("%zu events, %zu runs\n", ledger.events, ledger.runs.size());
  }

  /// The views that lived through the kills against views that never saw one.
  void check_views() {
    std::vector<std::string> problems;
    const auto lived = dump_answers(world_, problems);
    const auto end = world_.server.stop();
    ASSERT_TRUE(end && end->code == 0) << world_.server.why();
    for (const char* name : {"/views.db", "/views.db-wal", "/views.db-shm", "/views.db.clean"})
      std::filesystem::remove(world_.data() + name);
    ASSERT_TRUE(world_.start());
    const auto rebuilt = dump_answers(world_, problems);
    EXPECT_TRUE(problems.empty()) << some_of(problems);
    EXPECT_GT(lived.size(), 1000u);
    EXPECT_TRUE(lived == rebuilt) << first_difference(lived, rebuilt);
  }

  static std::string first_difference(const std::string& a, const std::string& b) {
    const auto at = static_cast<std::size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
    const auto from = at < 300 ? 0 : at - 300;
    return a.substr(from, 600) + "\n  but rebuilt\n" + b.substr(from, 600);
  }

  std::mt19937_64 random_{seed_of_test()};
  world world_;
  meeting_point meeting_;
  std::vector<std::unique_ptr<load_client>> clients_;
  std::vector<std::thread> threads_;
  std::vector<std::int64_t> restarts_;
  int kills_ = 0;
};

TEST_F(random_kills, lose_nothing_and_repeat_nothing) {
  ASSERT_TRUE(world_.start());
  start_clients();
  const int wanted = kills_wanted(70);
  bool started = true;
  while (started && kills_ < wanted)
    started = kill_once();
  meeting_.abandoned = !started;
  end_clients();
  ASSERT_TRUE(started);
  tell_restarts();
  ASSERT_TRUE(world_.drained()) << world_.server.why();
  check_receipts();
  check_ledger();
  check_views();
}

} // namespace

} // namespace runledger::crash
