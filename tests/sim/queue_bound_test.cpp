#include "tests/sim/world.hpp"

#include <gtest/gtest.h>

#include <set>

namespace runledger::sim {

namespace {

constexpr std::size_t places = 5;

/// A program that does nothing until it is cancelled.
std::uint64_t endless_program() {
  std::uint64_t n = 0;
  while (program_of(n).end != ending::endless || !program_of(n).ops.empty())
    ++n;
  return n;
}

/// What became of one request.
struct outcome {
  std::string key;
  bool answered = false;
  std::optional<errc> refused;
  run_id run;
  session_id session;
  bool replayed = false;
};

/// A server whose only slot is taken by a run without end, so that everything else waits.
class crowd {
public:
  explicit crowd(std::uint64_t seed) : dice_(seed), world_(seed) {
    world_.settings.max_running = 1;
    world_.settings.max_queued = places;
    world_.settings.idle_actor_ms = 1; // Sessions are put away and rebuilt all the time.
    world_.start();
    make_agent();
    blocker_ = start("");
    settle();
  }

  std::shared_ptr<outcome> start(const std::string& key) {
    start_run_request request;
    request.context = context(key);
    request.agent = "agent";
    request.prompt = prompt();
    auto out = note(key);
    ask(world_.current(), std::move(request), listen(out));
    return out;
  }

  std::shared_ptr<outcome> message(const std::string& key) {
    return message_to(blocker_->session, key);
  }

  std::shared_ptr<outcome> message_to(const session_id& session, const std::string& key) {
    post_message_request request;
    request.context = context(key);
    request.session = session;
    request.message = prompt();
    auto out = note(key);
    ask(world_.current(), std::move(request), listen(out));
    return out;
  }

  void cancel(const session_id& session) {
    cancel_session_request request;
    request.context = context("");
    request.session = session;
    ask(world_.current(), std::move(request), answer<session_answer>{});
  }

  /// Actors and appends in any order until nothing moves.
  void stir() {
    auto& port = world_.current().port;
    port.hold(true);
    while (world_.jobs() > 0 || port.held() > 0) {
      if (port.held() > 0 && (world_.jobs() == 0 || dice_.percent(15)))
        port.end_one(dice_.below(port.held()), append_end::accepted, dice_);
      else
        world_.run_job(dice_.below(world_.jobs()));
    }
    port.hold(false);
  }

  void settle() {
    for (int i = 0; i < 20; ++i) {
      ASSERT_TRUE(world_.settle());
      world_.advance(std::chrono::seconds{1});
    }
    ASSERT_EQ(world_.judge.problem(), "");
  }

  void restart() {
    world_.crash(world_.current());
    world_.start();
    settle();
  }

  std::uint64_t waiting() { return world_.current().actors->counters.waiting_runs.load(); }
  const outcome& blocker() const { return *blocker_; }
  test::dice& dice() { return dice_; }

private:
  void make_agent() {
    create_agent_request request;
    request.context = context("");
    request.slug = request.title = "agent";
    request.recipe.json = R"({"harness":{"kind":"process","command":["agent"]}})";
    ask(world_.current(), std::move(request), answer<agent_answer>{});
    settle();
  }

  static request_context context(const std::string& key) {
    request_context out;
    out.workspace = workspace_id{"default"};
    out.principal = "key_client";
    out.idempotency_key = key;
    if (!key.empty())
      out.fingerprint = sha256(key);
    return out;
  }

  static payload prompt() { return payload{"\"p:" + std::to_string(endless_program()) + '"', {}}; }

  static std::shared_ptr<outcome> note(const std::string& key) {
    auto out = std::make_shared<outcome>();
    out->key = key;
    return out;
  }

  static answer<accepted_run> listen(const std::shared_ptr<outcome>& out) {
    return answer<accepted_run>{[out](result<accepted_run, refusal_info> got) {
      out->answered = true;
      if (!got) {
        out->refused = got.error().code;
        return;
      }
      out->run = got->fact->run;
      out->session = got->session;
      out->replayed = got->replayed;
    }};
  }

  test::dice dice_;
  world world_;
  std::shared_ptr<outcome> blocker_;
};

/// Runs that were accepted; everything else must have been refused for want of a place.
std::set<run_id> accepted(const std::vector<std::shared_ptr<outcome>>& asked) {
  std::set<run_id> out;
  for (const auto& one : asked) {
    EXPECT_TRUE(one->answered);
    if (one->refused)
      EXPECT_EQ(*one->refused, errc::queue_full);
    else
      out.insert(one->run);
  }
  return out;
}

/// Starts and messages, with and without keys, some of them twice, all at once.
std::vector<std::shared_ptr<outcome>> rush(crowd& c, int count) {
  std::vector<std::shared_ptr<outcome>> out;
  for (int i = 0; i < count; ++i) {
    auto key = c.dice().coin() ? "key-" + std::to_string(c.dice().next()) : std::string{};
    auto times = !key.empty() && c.dice().coin() ? 2 : 1;
    auto message = c.dice().percent(40);
    for (int n = 0; n < times; ++n)
      out.push_back(message ? c.message(key) : c.start(key));
  }
  c.stir();
  return out;
}

} // namespace

// Goal: of any number of calls at once exactly as many are accepted as there are places, and calls
// that were accepted are answered again when none is left.
TEST(QueueBound, IsExactForCallsAtOnce) {
  test::for_each_seed(1, 60, [](std::uint64_t seed) {
    crowd c{seed};
    ASSERT_EQ(c.waiting(), 0u);
    auto asked = rush(c, 20);
    ASSERT_EQ(accepted(asked).size(), places);
    ASSERT_EQ(c.waiting(), places);
    for (const auto& one : asked) {
      if (one->key.empty() || one->refused)
        continue;
      auto again = one->session == c.blocker().session ? c.message(one->key) : c.start(one->key);
      c.stir();
      ASSERT_TRUE(again->answered);
      ASSERT_FALSE(again->refused);
      ASSERT_TRUE(again->replayed);
      ASSERT_EQ(again->run, one->run);
    }
    ASSERT_EQ(c.waiting(), places);
  });
}

// Goal: calls that are refused for another reason take nobody's place.
TEST(QueueBound, CountsNoRefusedCall) {
  test::for_each_seed(1, 40, [](std::uint64_t seed) {
    crowd c{seed};
    auto ended = c.start("");
    c.stir();
    c.cancel(ended->session);
    c.settle();
    std::vector<std::shared_ptr<outcome>> refused, starts;
    for (int i = 0; i < 10; ++i)
      refused.push_back(c.message_to(ended->session, i % 2 == 0 ? "" : "key-" + std::to_string(i)));
    for (std::size_t i = 0; i < places; ++i)
      starts.push_back(c.dice().coin() ? c.start("") : c.message(""));
    for (int i = 0; i < 10; ++i)
      refused.push_back(c.message_to(ended->session, ""));
    c.stir();
    ASSERT_EQ(accepted(starts).size(), places);
    for (const auto& one : refused)
      ASSERT_TRUE(one->refused == errc::session_terminated || one->refused == errc::queue_full);
    ASSERT_EQ(c.waiting(), places);
  });
}

// Goal: each run that leaves the queue frees one place, by its cancellation or by a worker; a
// restart neither frees nor takes one.
TEST(QueueBound, FollowsTheQueue) {
  test::for_each_seed(1, 40, [](std::uint64_t seed) {
    crowd c{seed};
    std::vector<std::shared_ptr<outcome>> starts;
    for (std::size_t i = 0; i < places; ++i)
      starts.push_back(c.start(c.dice().coin() ? "first-" + std::to_string(i) : ""));
    c.stir();
    ASSERT_EQ(accepted(starts).size(), places);
    c.restart();
    ASSERT_EQ(c.waiting(), places);
    ASSERT_EQ(accepted(rush(c, 3)).size(), 0u);

    c.cancel(starts[0]->session);
    c.cancel(starts[3]->session);
    c.settle();
    ASSERT_EQ(c.waiting(), places - 2);
    ASSERT_EQ(accepted(rush(c, 10)).size(), 2u);
    c.settle();

    c.restart();
    ASSERT_EQ(c.waiting(), places);
    c.cancel(c.blocker().session); // With its messages, and the next run gets the slot.
    c.settle();
    auto left = c.waiting();
    ASSERT_LT(left, places);
    std::vector<std::shared_ptr<outcome>> more;
    for (int i = 0; i < 10; ++i)
      more.push_back(c.start(""));
    c.stir();
    ASSERT_EQ(accepted(more).size(), places - left);
  });
}

} // namespace runledger::sim
