#include "actors/harness/worker_protocol.hpp"
#include "tests/sim/story.hpp"

#include <sstream>

namespace runledger::sim {

namespace {

using std::chrono::milliseconds;

/// A remote worker's connection, seen from its end.
class heard_link final : public worker_link {
public:
  void deliver(std::string lines) override { heard += lines; }
  std::size_t undelivered() const override { return waiting; }
  void close(std::string) override { closed = true; }

  bool has(std::string_view text) const { return heard.find(text) != std::string::npos; }
  /// The lease that was granted last.
  harness::held_lease granted() const {
    harness::held_lease out;
    std::istringstream lines{heard};
    for (std::string line; std::getline(lines, line);)
      if (auto read = harness::parse_server_line(line); read && read->type == "lease.granted")
        out = {read->run, read->lease};
    return out;
  }

  std::string heard;
  std::size_t waiting = 0;
  bool closed = false;
};

/// A queue and remote workers that do as they are told.
class stories_queues : public story {
protected:
  explicit stories_queues(const std::vector<topic_size>& topics = {topic_size{}}) : story(topics) {
    w.judge.may_count = nullptr; // It knows the mishaps of this server's own harnesses.
  }

  struct remote {
    std::shared_ptr<heard_link> link = std::make_shared<heard_link>();
    std::function<void(worker_says)> say;

    template <class Word>
    void says(Word word) const {
      say(worker_says{std::move(word)});
    }
    void says_frame(const harness::held_lease& lease, const std::string& line) const {
      auto f = harness::parse_frame(line);
      ASSERT_TRUE(f);
      says(worker_says::frames{
          run_id{lease.run}, lease.epoch, {std::make_shared<harness::frame>(std::move(*f))}});
    }
  };

  static std::string of_queue() {
    return R"({"harness":{"kind":"worker","queue":"q"},)"
           R"("retry":{"jitter":0,"initial_backoff_ms":1000}})";
  }
  remote attach(server& at, std::vector<harness::held_lease> leases = {},
                const std::string& token = "0123456789abcdef") {
    remote out;
    attach_worker_request ask_for;
    ask_for.context.workspace = workspace_id{"default"};
    ask_for.context.principal = "key_worker";
    ask_for.context.correlation_id = "req_worker";
    ask_for.queue = "q";
    ask_for.token = token;
    ask_for.slots = 4;
    ask_for.leases = std::move(leases);
    ask_for.link = out.link;
    auto told = std::make_shared<std::optional<attached_worker>>();
    ask(at, std::move(ask_for),
        answer<attached_worker>{[told](result<attached_worker, refusal_info> got) {
          if (got)
            *told = std::move(*got);
        }});
    until([&] { return told->has_value(); }, "the welcome");
    if (*told)
      out.say = (*told)->say;
    EXPECT_EQ(w.judge.problem(), "");
    return out;
  }
  void until_begun(const remote& at) {
    until([&] { return at.link->has(R"("type":"run.start")"); }, "the run's beginning");
  }
  const stream_id queue{"queue/default/q"};
};

// Goal: while the ledger has not said that a lease is over, the worker is not told so; where it
// refuses the end, what the worker said meanwhile counts.
TEST_F(stories_queues, nothing_is_lost_before_the_ledger_says_so) {
  begin(of_queue());
  let(1, {});
  auto& server = w.current();
  const auto worker = attach(server);
  const auto run = accept_run(1).fact->run;
  until_begun(worker);
  const auto lease = worker.link->granted();
  settle();
  server.port.hold(true);
  worker.says(worker_says::leaves{});
  w.run_jobs();
  ASSERT_EQ(server.port.held(), 1U);
  worker.says_frame(lease, R"({"type":"message","role":"user","content":"hi","id":"w1.1"})");
  w.run_jobs();
  EXPECT_FALSE(worker.link->has("lease.ended")) << worker.link->heard;
  test::dice none{0};
  server.port.end_one(0, append_end::unavailable, none);
  server.port.hold(false);
  until([&] { return count(stream_of(run), "run.message_emitted") == 1; }, "the message");
  EXPECT_FALSE(worker.link->has("lease.ended")) << worker.link->heard;
}

// Goal: an end of a lease that the ledger does not take is told to nobody: the worker's connection
// is closed, and when it comes back it hears what became of its lease.
TEST_F(stories_queues, a_refused_release_is_told_later) {
  begin(of_queue());
  let(1, {});
  auto& server = w.current();
  const auto worker = attach(server);
  const auto run = accept_run(1).fact->run;
  until_begun(worker);
  const auto lease = worker.link->granted();
  settle();
  server.port.hold(true);
  worker.says_frame(lease, R"({"type":"result","output":1,"id":"w1.1"})");
  until([&] { return count(stream_of(run), "run.succeeded") == 1 && server.port.held() > 0; },
        "the release");
  test::dice none{0};
  for (int i = 0; i < 10 && !worker.link->closed; ++i) {
    w.run_jobs();
    while (server.port.held() > 0)
      server.port.end_one(0, append_end::unavailable, none);
  }
  EXPECT_TRUE(worker.link->closed);
  EXPECT_FALSE(worker.link->has("lease.ended")) << worker.link->heard;
  server.port.hold(false);
  const auto back = attach(server, {lease});
  until([&] { return back.link->has("lease.ended"); }, "the lease's end");
  EXPECT_EQ(count(queue, "queue.lease_released"), 1U);
}

// Goal: a run whose beginning a worker has no room for is given back, slower and slower, and begins
// once the worker has read.
TEST_F(stories_queues, a_crowded_worker_gets_no_beginning) {
  begin(of_queue());
  let(1, {});
  const auto worker = attach(w.current());
  worker.link->waiting = worker_link::undelivered_max;
  const auto run = accept_run(1).fact->run;
  until([&] { return state_of(run).attempt == 4; }, "three attempts that were given back");
  EXPECT_EQ(state_of(run).failures, 0);
  EXPECT_FALSE(worker.link->has("run.start"));
  EXPECT_FALSE(worker.link->closed);
  worker.link->waiting = 0;
  until_begun(worker);
}

// Goal: an artifact has the size of its content, whatever its frame says.
TEST_F(stories_queues, an_artifact_has_its_own_size) {
  begin(of_queue());
  let(1, {});
  const auto worker = attach(w.current());
  const auto run = accept_run(1).fact->run;
  until_begun(worker);
  const auto lease = worker.link->granted();
  const auto digest = "sha256:" + to_hex(w.blobs.put("four")->id);
  worker.says_frame(lease, R"({"type":"artifact","path":"a","size":4,"id":"w1.1","digest":")"
                               + digest + "\"}");
  until([&] { return state_of(run).artifact_count == 1; }, "the artifact");
  worker.says_frame(lease, R"({"type":"artifact","path":"b","size":5,"id":"w1.2","digest":")"
                               + digest + "\"}");
  until([&] { return state_of(run).failures == 1; }, "the refusal");
  EXPECT_EQ(state_of(run).error.code, "artifact_refused");
  EXPECT_NE(state_of(run).error.message.find("has 4 bytes, and not 5"), std::string::npos)
      << state_of(run).error.message;
}

/// The topic of the queues apart from that of the runs.
class stories_queues_elsewhere : public stories_queues {
protected:
  stories_queues_elsewhere()
      : stories_queues({{"runs", 1}, {"workers", 1}, {"workspaces", 1}, {"catalog", 1}}) {}

  void pass_on(bool taken) {
    bool done = false;
    taken ? w.take(w.current(), {home}, [&] { done = true; })
          : w.release(w.current(), {home}, [&] { done = true; });
    until([&] { return done; }, "the partition of the queues");
  }
  std::uint32_t home = 0; // Of the queue.
  void begin_with_queue() {
    begin(of_queue());
    let(1, {});
    home = partition_of(queue, queue.value, w.disk.partition_names()).value();
  }
};

// Goal: a run whose queue is held by nobody here waits until it is, and so does one that waited in
// the queue when that was given up.
TEST_F(stories_queues_elsewhere, runs_wait_for_their_queue) {
  begin_with_queue();
  const auto before = accept_run(1).fact->run;
  settle();
  pass_on(false);
  const auto after = accept_run(1).fact->run;
  settle();
  w.advance(milliseconds{5000});
  settle();
  EXPECT_EQ(w.current().actors->counters.waiting_runs.load(), 2U);
  EXPECT_EQ(w.current().actors->counters.queued_runs.load(), 0U);
  pass_on(true);
  const auto worker = attach(w.current());
  until([&] { return state_of(before).attempt == 1 && state_of(after).attempt == 1; },
        "both runs to begin");
}

// Goal: runs of a session that went elsewhere are not handed to their queue any more.
TEST_F(stories_queues_elsewhere, runs_that_left_are_forgotten) {
  begin_with_queue();
  pass_on(false);
  const auto got = accept_run(1);
  settle();
  const auto home_of_session =
      partition_of(stream_of(got.session), got.session.value, w.disk.partition_names()).value();
  bool done = false;
  w.release(w.current(), {home_of_session}, [&] { done = true; });
  until([&] { return done; }, "the partition of the sessions");
  pass_on(true);
  const auto worker = attach(w.current());
  w.advance(milliseconds{5000});
  settle();
  EXPECT_EQ(count(queue, "queue.lease_granted"), 0U);
}

// Goal: who releases a partition that was lost a moment ago hears of the end when its actors have
// ended, not before.
TEST_F(stories_queues_elsewhere, a_release_behind_a_loss_waits_for_it) {
  begin_with_queue();
  let(1, {});
  const auto got = accept_run(1);
  settle();
  auto& server = w.current();
  const auto mine =
      partition_of(stream_of(got.session), got.session.value, w.disk.partition_names()).value();
  server.port.hold(true);
  auto told = cancel(server, got.session);
  until([&] { return server.port.held() > 0; }, "the append");
  w.claim_elsewhere(mine);
  bool done = false;
  w.release(server, {mine}, [&] { done = true; });
  test::dice none{0};
  server.port.end_one(0, append_end::accepted, none); // Rejected: under the older claim.
  const auto directory = w.jobs(); // The directory came first; the gateway stands behind it.
  for (std::size_t i = 0; i < directory && server.actors->partitions.holds(mine); ++i)
    w.run_job(w.jobs() - 1);
  ASSERT_FALSE(server.actors->partitions.holds(mine));
  ASSERT_TRUE(told->nothing());
  w.run_job();
  EXPECT_FALSE(done) << "the session is still there";
  server.port.hold(false);
  until([&] { return done; }, "the release");
  EXPECT_FALSE(told->nothing());
}

} // namespace

} // namespace runledger::sim
