#include "events/digest.hpp"
#include "tests/integration/contract_world.hpp"

/// What a remote worker and the server say to each other, by plain requests; a WebSocket carries
/// the same messages (workers_test.cpp).
namespace runledger::contract {
namespace {

/// A worker that says only what its test tells it to.
class polled_worker {
public:
  polled_worker(const world& w, std::string queue,
                std::string token = world::unique("0123456789abcdef"))
      : asking(w.client(w.make_key(R"("worker")"))),
        queue_(std::move(queue)),
        path("/api/v1/workers/connections/" + std::move(token)) {}

  http_answer greet(const std::string& leases = "[]", int slots = 1) {
    batch_ = 0;
    last_ = "0";
    return asking.ask("PUT", path,
                      R"({"protocol":1,"queue":")" + queue_ + R"(","name":"told","slots":)"
                          + std::to_string(slots) + R"(,"leases":)" + leases + "}");
  }
  http_answer say(const std::string& messages) {
    return asking.ask("PUT", path + "/messages/" + std::to_string(++batch_),
                      R"({"messages":[)" + messages + "]}");
  }
  /// The last batch was not taken, and has to be said again.
  bool again() {
    --batch_;
    return true;
  }
  /// A frame of the run that was granted last.
  http_answer frame(const std::string& frame, const std::string& id) {
    return say(R"({"type":"frame","run":")" + run + R"(","lease":)" + lease + R"(,"id":")" + id
               + R"(","frame":)" + frame + "}");
  }
  /// Polls until a message of this type comes; empty: none came.
  std::string hear(const std::string& type) {
    std::string found;
    eventually([&] {
      const auto polled = asking.get(path + "/messages?wait=1&after=" + last_);
      EXPECT_EQ(polled.status, 200) << polled.body;
      last_ = polled.status == 200 ? polled["last"] : last_;
      for (const auto& each : json_elements(json_at(polled.body, "messages"))) {
        if (json_at(each, "type") == "lease.granted") {
          run = json_at(each, "run");
          lease = json_at(each, "lease");
        }
        if (json_at(each, "type") == type && found.empty())
          found = each;
      }
      return !found.empty() || polled.status != 200;
    });
    return found;
  }

  http_client asking;
  std::string run, lease;

private:
  std::string queue_;

public:
  std::string path;

private:
  int batch_ = 0;
  std::string last_ = "0";
};

/// An agent whose runs go to a queue of its own.
std::string queue_agent(const world& w) {
  const auto name = world::unique("queue");
  w.make_agent(name, R"({"harness":{"kind":"worker","queue":")" + name
                         + R"("},"retry":{"initial_backoff_ms":10,"jitter":0,"max_attempts":2}})");
  return name;
}

// Goal: a run is served from its start to its result by plain requests, with a step and an
// artifact.
TEST(contract_workers, a_run_is_served_by_plain_requests) {
  auto& w = shared_world();
  const auto queue = queue_agent(w);
  polled_worker worker{w, queue};
  const auto welcome = worker.greet();
  ASSERT_EQ(welcome.status, 200) << welcome.body;
  expect_id(welcome["worker"], "wrk_");
  EXPECT_EQ(welcome["lease_ms"], "30000");
  const auto run = w.begin("[]", queue)["id"];
  const auto start = worker.hear("run.start");
  EXPECT_EQ(json_at(start, "run"), run);
  EXPECT_EQ(worker.run, run);
  worker.frame(R"({"type":"step.start","key":"a"})", "f1");
  EXPECT_EQ(json_at(worker.hear("step.go"), "attempt"), "1");
  const std::string text = "made there", hex = to_hex(sha256(text));
  const auto stored = worker.asking.ask("PUT", "/api/v1/workers/blobs/" + hex, text,
                                        {{"Content-Type", "application/octet-stream"}});
  EXPECT_EQ(stored.status, 200) << stored.body;
  EXPECT_EQ(stored["size"], "10");
  worker.frame(R"({"type":"artifact","path":"a.txt","digest":"sha256:)" + hex + R"(","size":10})",
               "f2");
  worker.frame(R"({"type":"step.done","key":"a","output":1})", "f3");
  worker.frame(R"({"type":"result","output":{"n":1}})", "f4");
  EXPECT_EQ(json_at(worker.hear("lease.ended"), "reason"), "done");
  const auto ended = w.end_of(run);
  EXPECT_EQ(ended["status"], "succeeded") << ended.body;
  EXPECT_EQ(ended["result.n"], "1");
  auto asking = w.client();
  const auto artifacts = json_elements(asking.get("/api/v1/runs/" + run + "/artifacts").body);
  ASSERT_EQ(artifacts.size(), 1U);
  EXPECT_EQ(asking.get("/api/v1/artifacts/" + json_at(artifacts[0], "id")).body, text);
  EXPECT_EQ(worker.asking.ask("DELETE", worker.path).status, 204);
}

// Goal: batches are numbered, and one that comes again has no second effect.
TEST(contract_workers, a_batch_that_comes_again_is_taken_once) {
  auto& w = shared_world();
  polled_worker worker{w, queue_agent(w)};
  ASSERT_EQ(worker.greet().status, 200);
  EXPECT_EQ(worker.say("").status, 204);
  const auto again =
      worker.asking.ask("PUT", worker.path + "/messages/1", R"({"messages":[{"type":"x"}]})");
  EXPECT_EQ(again.status, 204) << "batch 1 was taken: nobody reads this one";
  expect_problem(worker.asking.ask("PUT", worker.path + "/messages/7", R"({"messages":[]})"), 409,
                 "out_of_order");
  expect_problem(worker.asking.ask("PUT", worker.path + "/messages/0", R"({"messages":[]})"), 404,
                 "not_found");
  expect_invalid(worker.asking.ask("PUT", worker.path + "/messages/2", "{}"),
                 R"(["body","messages"])");
  EXPECT_EQ(worker.say("").status, 204);
}

// Goal: what is said under a lease that is over counts for nothing, and the worker is told so.
TEST(contract_workers, results_of_an_old_lease_are_refused) {
  auto& w = shared_world();
  const auto queue = queue_agent(w);
  polled_worker first{w, queue}, second{w, queue};
  ASSERT_EQ(first.greet().status, 200);
  const auto run = w.begin("[]", queue)["id"];
  ASSERT_NE(first.hear("run.start"), "");
  // The worker comes back and knows nothing of the run: it is given to another.
  ASSERT_EQ(first.greet("[]", 0).status, 200);
  ASSERT_EQ(second.greet().status, 200);
  ASSERT_NE(second.hear("run.start"), "");
  EXPECT_EQ(second.run, run);
  EXPECT_NE(second.lease, first.lease);
  first.frame(R"({"type":"result","output":"late"})", "f1");
  EXPECT_EQ(json_at(first.hear("lease.ended"), "reason"), "lost");
  second.frame(R"({"type":"result","output":"good"})", "f1");
  EXPECT_EQ(w.end_of(run)["result"], "good");
  EXPECT_EQ(w.end_of(run)["attempt"], "2");
}

// Goal: after a new connection everything may be said again, on both sides, with one effect.
TEST(contract_workers, a_frame_that_comes_again_takes_effect_once) {
  auto& w = shared_world();
  const auto queue = queue_agent(w);
  polled_worker worker{w, queue};
  ASSERT_EQ(worker.greet().status, 200);
  const auto run = w.begin("[]", queue)["id"];
  ASSERT_NE(worker.hear("run.start"), "");
  const std::string message = R"({"type":"message","role":"assistant","content":"once"})";
  worker.frame(message, "m1");
  ASSERT_NE(worker.hear("ack"), "");
  worker.frame(R"({"type":"step.start","key":"a"})", "s1");
  ASSERT_NE(worker.hear("step.go"), "");
  const auto held = R"([{"run":")" + run + R"(","lease":)" + worker.lease + "}]";
  ASSERT_EQ(worker.greet(held).status, 200);
  EXPECT_EQ(json_at(worker.hear("step.go"), "key"), "a") << "it may have been lost";
  worker.frame(message, "m1");
  worker.frame(R"({"type":"step.start","key":"a"})", "s1");
  worker.frame(R"({"type":"step.done","key":"a","output":1})", "d1");
  worker.frame(R"({"type":"result","output":1})", "r1");
  EXPECT_EQ(w.end_of(run)["status"], "succeeded");
  EXPECT_EQ(w.events_of("run.message_emitted", run), 1);
  EXPECT_EQ(w.events_of("run.step_started", run), 1);
}

// Goal: a worker's garbage ends its connection; a harness's bad frame fails its attempt alone.
TEST(contract_workers, garbage_costs_the_connection_and_bad_frames_the_attempt) {
  auto& w = shared_world();
  const auto queue = queue_agent(w);
  polled_worker worker{w, queue};
  ASSERT_EQ(worker.greet().status, 200);
  const auto run = w.begin("[]", queue)["id"];
  ASSERT_NE(worker.hear("run.start"), "");
  worker.frame(R"({"type":"step.start"})", "f1");
  ASSERT_NE(worker.hear("run.start"), "") << "the second attempt";
  worker.frame(R"({"type":"dance"})", "f2");
  const auto ended = w.end_of(run);
  EXPECT_EQ(ended["status"], "failed");
  EXPECT_EQ(ended["error.code"], "protocol_error");
  EXPECT_EQ(worker.say(R"({"type":"worker.dance"})").status, 204);
  expect_problem(worker.asking.get(worker.path + "/messages?wait=0"), 404, "connection_gone");
  expect_problem(worker.greet("[]", 20'000), 409, "protocol_error");
  polled_worker nobody{w, "no/name"};
  expect_problem(nobody.greet(), 409, "protocol_error");
}

// Goal: what a worker kept while it was away comes back at once, and is no flood.
TEST(contract_workers, what_is_said_again_is_no_flood) {
  auto& w = shared_world();
  const auto queue = queue_agent(w);
  polled_worker worker{w, queue};
  ASSERT_EQ(worker.greet().status, 200);
  const auto run = w.begin("[]", queue)["id"];
  ASSERT_NE(worker.hear("run.start"), "");
  const auto held = R"([{"run":")" + run + R"(","lease":)" + worker.lease + "}]";
  ASSERT_EQ(worker.greet(held).status, 200);
  int number = 0;
  for (int batch = 0; batch < 12; ++batch) {
    std::string messages;
    for (int i = 0; i < 1000; ++i)
      messages += R"({"type":"frame","run":")" + run + R"(","lease":)" + worker.lease
                  + R"(,"id":"w1.)" + std::to_string(++number)
                  + R"(","frame":{"type":"usage","tokens_in":1,"tokens_out":0,"cost_usd":0}},)";
    messages.pop_back();
    ASSERT_TRUE(eventually([&] { return worker.say(messages).status == 204 || !worker.again(); }));
  }
  worker.frame(R"({"type":"result","output":1})", "end");
  const auto ended = w.end_of(run);
  EXPECT_EQ(ended["status"], "succeeded") << ended.body;
  EXPECT_EQ(ended["attempt"], "1");
  EXPECT_EQ(ended["tokens_in"], "12000") << ended.body;
}

// Goal: a run that says more than it may fails its attempt, and its worker serves on.
TEST(contract_workers, a_flood_fails_its_attempt_alone) {
  auto& w = shared_world();
  const auto queue = queue_agent(w);
  polled_worker worker{w, queue};
  ASSERT_EQ(worker.greet().status, 200);
  const auto run = w.begin("[]", queue)["id"];
  ASSERT_NE(worker.hear("run.start"), "");
  const auto lease = worker.lease;
  std::string thousand;
  for (int i = 0; i < 1000; ++i)
    thousand += std::string{i == 0 ? "" : ","} + R"({"type":"frame","run":")" + run
                + R"(","lease":)" + lease
                + R"(,"frame":{"type":"log","level":"debug","message":"m"}})";
  EXPECT_TRUE(eventually([&] {
    worker.say(thousand);
    return w.events_of("run.attempt_failed", run) > 0;
  }));
  ASSERT_NE(worker.hear("run.start"), "") << "the next attempt";
  worker.frame(R"({"type":"result","output":1})", "r1");
  EXPECT_EQ(w.end_of(run)["status"], "succeeded");
}

// Goal: the endpoint of WebSockets speaks RFC 6455, and says what is missing to who does not.
TEST(contract_workers, a_websocket_is_one) {
  auto& w = shared_world();
  auto worker = w.client(w.make_key(R"("worker")"));
  expect_problem(worker.get("/api/v1/workers/connect"), 400, "bad_request");
  auto upgraded = w.client(w.make_key(R"("worker")"));
  const auto answer =
      upgraded.get("/api/v1/workers/connect", {{"Upgrade", "websocket"},
                                               {"Connection", "Upgrade"},
                                               {"Sec-WebSocket-Version", "13"},
                                               {"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}});
  EXPECT_EQ(answer.status, 101);
  EXPECT_EQ(answer.header("Sec-WebSocket-Accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

// Goal: nothing is stored under another digest than its own.
TEST(contract_workers, a_content_has_its_own_digest) {
  auto& w = shared_world();
  auto worker = w.client(w.make_key(R"("worker")"));
  const header_list bytes{{"Content-Type", "application/octet-stream"}};
  const auto zeros = std::string(64, '0');
  expect_invalid(worker.ask("PUT", "/api/v1/workers/blobs/" + zeros, "x", bytes),
                 R"(["path","digest"])");
  expect_problem(worker.ask("PUT", "/api/v1/workers/blobs/x", "x", bytes), 404, "not_found");
}

// Goal: the scope `worker` opens these endpoints and nothing else.
TEST(contract_workers, only_workers_may) {
  auto& w = shared_world();
  auto writer = w.client(w.make_key(R"("write")"));
  const std::string path = "/api/v1/workers/connections/0123456789abcdef";
  expect_problem(writer.ask("PUT", path, R"({"protocol":1,"queue":"q"})"), 403, "forbidden");
  expect_problem(writer.get(path + "/messages"), 403, "forbidden");
  expect_problem(writer.get("/api/v1/workers/connect"), 403, "forbidden");
  auto worker = w.client(w.make_key(R"("worker")"));
  expect_problem(worker.get(path + "/messages"), 404, "connection_gone");
  expect_problem(worker.get("/api/v1/workers"), 403, "forbidden");
}

} // namespace
} // namespace runledger::contract
