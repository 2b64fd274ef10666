#include "http/key_ring.hpp"
#include "tests/support/fault_fs.hpp"
#include "tests/support/http_client.hpp"
#include "tests/support/server_process.hpp"
#include "tests/support/temp_folder.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>
#include <fmt/format.h>
#include <future>

namespace runledger::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

/// An agent of one step that waits for a file to appear, whatever it is told meanwhile.
constexpr const char* patient_agent = R"py(
import json, os, sys, time
print(json.dumps({"type": "ready", "protocol": 1}), flush=True)
for line in sys.stdin:
    frame = json.loads(line)
    if frame["type"] == "run.start":
        print(json.dumps({"type": "step.start", "key": "wait"}), flush=True)
    elif frame["type"] == "step.go":
        while not os.path.exists("/gate/open"):
            time.sleep(0.02)
        done = {"type": "step.done", "key": "wait", "output": frame["attempt"]}
        print(json.dumps(done), flush=True)
        print(json.dumps({"type": "result", "output": "through"}), flush=True)
        break
)py";

/// The real binary from its start to its end.
class serve_process : public ::testing::Test {
protected:
  server_options options() const {
    return {
        RUNLEDGER_BINARY, data, {"--runs.drain-seconds", "1", "--sandbox.mount-roots", gate}, {}};
  }
  void SetUp() override { std::filesystem::create_directory(gate); }

  /// Makes the agent `patient`.
  void make_agent(http_client& client) const {
    const auto recipe = fmt::format(
        R"({{"harness":{{"kind":"process","command":["python3","/agent/a.py"],"files":{{"a.py":{}}},
           "mounts":[{{"source":{},"target":"/gate","mode":"ro"}}]}}}})",
        json_quoted(patient_agent), json_quoted(gate));
    const auto made =
        client.post("/api/v1/agents", R"({"name":"patient","recipe":)" + recipe + "}");
    ASSERT_EQ(made.status, 201) << made.body;
  }
  void open_gate() const { std::fclose(std::fopen((gate + "/open").c_str(), "w")); }

  /// Starts a run and waits until its step executes; its id.
  static std::string start_step(http_client& client) {
    const auto run = client.post("/api/v1/agents/patient/runs", R"({"prompt":"go"})")["id"];
    EXPECT_TRUE(eventually([&] {
      return client.get("/api/v1/runs/" + run + "/log/events").body.find("step_started")
             != std::string::npos;
    }));
    return run;
  }

  temp_folder folder;
  const std::string data = folder.path() + "/data", gate = folder.path() + "/gate";
};

bool occurs_below(const std::string& folder, const std::string& text) {
  for (const auto& entry : std::filesystem::recursive_directory_iterator{folder})
    if (entry.is_regular_file()
        && read_whole_file(entry.path().string()).find(text) != std::string::npos)
      return true;
  return false;
}

// Goal: the first start leaves a key for the operator, readable by nobody else and never printed.
TEST_F(serve_process, makes_an_admin_key_at_the_first_start) {
  server_process server{options()};
  ASSERT_TRUE(server.start()) << server.why();
  const auto key = server.admin_key();
  EXPECT_TRUE(http::is_key_text(key));
  struct stat about {};
  ASSERT_EQ(::stat((data + "/admin.key").c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 0777, 0600u);
  EXPECT_THAT(server.printed(), HasSubstr(data + "/admin.key"));
  EXPECT_THAT(server.printed(), Not(HasSubstr(key)));
  EXPECT_THAT(server.printed(), HasSubstr(fmt::format("http://127.0.0.1:{}", server.port())));
  http_client client{server.port(), key};
  EXPECT_EQ(client.get("/api/v1/workspaces")["0.id"], "default");
  ASSERT_TRUE(server.stop());
  ASSERT_TRUE(server.start()) << server.why();
  EXPECT_EQ(server.admin_key(), key); // Once.
}

// Goal: a key from the environment opens, is stored as its hash only, and takes the file's place.
TEST_F(serve_process, takes_a_bootstrap_key) {
  const std::string key = "correct-horse-battery-staple";
  auto with = options();
  with.environment = {{"RUNLEDGER_BOOTSTRAP_KEY", key}};
  server_process server{with};
  ASSERT_TRUE(server.start()) << server.why();
  {
    http_client client{server.port(), key};
    EXPECT_EQ(client.get("/api/v1/keys")["0.scopes.0"], "admin");
  }
  ASSERT_TRUE(server.stop());
  EXPECT_FALSE(std::filesystem::exists(data + "/admin.key"));
  EXPECT_FALSE(occurs_below(data, key));
  ASSERT_TRUE(server.start()) << server.why(); // Again: no second key.
  http_client client{server.port(), key};
  EXPECT_EQ(json_elements(client.get("/api/v1/keys").body).size(), 1u);
}

// Goal: an operator who has lost every admin key gets one at the next start.
TEST_F(serve_process, makes_another_admin_key_when_none_is_left) {
  server_process server{options()};
  ASSERT_TRUE(server.start()) << server.why();
  const auto lost = server.admin_key();
  {
    http_client client{server.port(), lost};
    const auto id = client.get("/api/v1/keys")["0.id"];
    EXPECT_EQ(client.ask("DELETE", "/api/v1/keys/" + id).status, 204);
    EXPECT_EQ(client.get("/api/v1/keys").status, 401);
  }
  ASSERT_TRUE(server.stop());
  ASSERT_TRUE(server.start()) << server.why();
  EXPECT_NE(server.admin_key(), lost);
  http_client client{server.port(), server.admin_key()};
  EXPECT_EQ(client.get("/api/v1/keys").status, 200);
}

// Goal: a start that cannot be is refused with a sentence and exit code 2.
TEST_F(serve_process, says_why_it_cannot_start) {
  server_process server{options()};
  ASSERT_TRUE(server.start()) << server.why();
  const auto refusal = [](const server_options& with) {
    server_process other{with};
    other.launch();
    const auto end = other.await_end(std::chrono::seconds{20});
    EXPECT_TRUE(end && end->code == 2) << other.printed();
    return other.printed();
  };
  EXPECT_THAT(refusal(options()), HasSubstr(fmt::format("pid {}", server.pid())));
  auto busy = options();
  busy.data = folder.path() + "/other";
  busy.flags.insert(busy.flags.end(), {"--listen", fmt::format("127.0.0.1:{}", server.port())});
  EXPECT_THAT(refusal(busy), HasSubstr("Address already in use"));
  auto bad_key = options();
  bad_key.data = folder.path() + "/other";
  bad_key.environment = {{"RUNLEDGER_BOOTSTRAP_KEY", "short"}};
  EXPECT_THAT(refusal(bad_key), HasSubstr("RUNLEDGER_BOOTSTRAP_KEY"));
}

// Goal: SIGTERM answers who waits, ends streams and harnesses, and loses no attempt; the next start
// finishes the work.
TEST_F(serve_process, drains_and_goes_on) {
  server_process server{options()};
  ASSERT_TRUE(server.start()) << server.why();
  http_client client{server.port(), server.admin_key()};
  make_agent(client);
  const auto run = start_step(client);
  const auto session = client.get("/api/v1/runs/" + run)["session_id"];
  auto waiting =
      std::async(std::launch::async, [&, port = server.port(), key = server.admin_key()] {
        http_client other{port, key};
        return other.post("/api/v1/sessions/" + session + "/messages", R"({"message":"next"})",
                          {{"Prefer", "wait=60"}});
      });
  auto stream = std::async(std::launch::async, [&, port = server.port(), key = server.admin_key()] {
    http_client other{port, key};
    return other.get("/api/v1/sessions/" + session + "/events", {{"Accept", "text/event-stream"}});
  });
  ASSERT_TRUE(eventually([&] {
    return json_elements(client.get("/api/v1/sessions/" + session)["runs"]).size() == 2
           && client.get("/metrics").body.find("\nrunledger_event_streams 1") != std::string::npos;
  }));
  const auto end = server.stop(std::chrono::seconds{20});
  ASSERT_TRUE(end) << server.why();
  EXPECT_EQ(end->code, 0) << server.why();
  const auto answer = waiting.get();
  EXPECT_EQ(answer.status, 202) << answer.body;
  EXPECT_EQ(answer["runs.1.status"], "pending");
  EXPECT_EQ(stream.get().status, 200);

  open_gate();
  ASSERT_TRUE(server.start()) << server.why();
  client.move_to(server.port());
  EXPECT_TRUE(eventually([&] {
    return client.get("/api/v1/sessions/" + session)["runs.1.status"] == "succeeded";
  })) << client.get("/api/v1/sessions/" + session).body;
  EXPECT_EQ(client.get("/api/v1/runs/" + run)["result"], "through");
}

// Goal: while harnesses drain, a connection that was there learns from /readyz that this server
// goes, and has its last answer; there are no new ones. Then the server ends.
TEST_F(serve_process, says_that_it_drains) {
  auto with = options();
  with.flags.insert(with.flags.end(), {"--runs.drain-seconds", "60"});
  server_process server{with};
  ASSERT_TRUE(server.start()) << server.why();
  http_client client{server.port(), server.admin_key()};
  make_agent(client);
  const auto run = start_step(client);
  http_client probe{server.port()}, reader{server.port(), server.admin_key()};
  EXPECT_EQ(probe.get("/readyz").status, 200);
  EXPECT_EQ(probe.get("/readyz").header("Connection"), "") << "it keeps its connection";
  EXPECT_EQ(reader.get("/livez").status, 200);
  server.signal(SIGTERM);
  ASSERT_TRUE(eventually(
      [&] { return server.printed_now().find("SIGTERM: draining") != std::string::npos; }));
  const auto gone = probe.get("/readyz");
  EXPECT_EQ(gone.status, 503) << gone.body;
  EXPECT_EQ(gone["code"], "not_ready");
  EXPECT_EQ(gone.header("Connection"), "close");
  const auto last = reader.get("/api/v1/runs/" + run);
  EXPECT_EQ(last["status"], "running") << last.body;
  EXPECT_EQ(last.header("Connection"), "close");
  EXPECT_EQ(probe.get("/readyz").status, 0) << "the listener is closed";
  open_gate();
  const auto end = server.await_end(std::chrono::seconds{20});
  ASSERT_TRUE(end) << server.why();
  EXPECT_EQ(end->code, 0) << server.why();
}

// Goal: while it drains, a second signal does not wait for anything.
TEST_F(serve_process, ends_at_once_on_a_second_signal) {
  auto with = options();
  with.flags.insert(with.flags.end(), {"--runs.drain-seconds", "60"});
  server_process server{with};
  ASSERT_TRUE(server.start()) << server.why();
  http_client client{server.port(), server.admin_key()};
  make_agent(client);
  start_step(client);
  server.signal(SIGTERM);
  ASSERT_TRUE(eventually(
      [&] { return server.printed_now().find("SIGTERM: draining") != std::string::npos; }));
  server.signal(SIGTERM);
  const auto end = server.await_end(std::chrono::seconds{5});
  ASSERT_TRUE(end);
  EXPECT_EQ(end->code, 1);
}

// Goal: a ledger that cannot sync is dead: the server says so and ends, and what it had
// acknowledged is there at the next start.
TEST_F(serve_process, ends_when_the_ledger_is_dead) {
  std::filesystem::create_directory(data);
  fault_fs faults{folder.path() + "/faults", data};
  auto with = options();
  with.environment = {{"LD_PRELOAD", RUNLEDGER_FAULT_FS_LIBRARY},
                      {"RUNLEDGER_FAULT_FS", faults.path()}};
  server_process server{with};
  ASSERT_TRUE(server.start()) << server.why();
  http_client client{server.port(), server.admin_key()};
  ASSERT_EQ(client.post("/api/v1/agents", R"({"name":"first"})").status, 201);
  faults.only("ledger.db-wal");
  faults.fail_syncs(-1);
  const auto refused = client.post("/api/v1/agents", R"({"name":"second"})");
  EXPECT_EQ(refused.status, 503) << refused.body;
  const auto end = server.await_end(std::chrono::seconds{20});
  ASSERT_TRUE(end) << server.why();
  EXPECT_EQ(end->code, 1);
  EXPECT_THAT(server.printed_now(), HasSubstr("stopping"));
  faults.fail_syncs(0);
  ASSERT_TRUE(server.start()) << server.why();
  client.move_to(server.port());
  EXPECT_EQ(client.get("/api/v1/agents/first").status, 200);
}

// Goal: a link to a raw log works without a key, for its path alone, also after a restart.
TEST_F(serve_process, signs_links_to_raw_logs) {
  server_process server{options()};
  ASSERT_TRUE(server.start()) << server.why();
  http_client client{server.port(), server.admin_key()};
  make_agent(client);
  open_gate();
  const auto run =
      client.post("/api/v1/agents/patient/runs", R"({"prompt":"go"})", {{"Prefer", "wait=20"}});
  ASSERT_EQ(run["status"], "succeeded") << run.body;
  const auto link = client.get("/api/v1/runs/" + run["id"] + "/log");
  EXPECT_EQ(link["expires_in_seconds"], "900");
  const auto target = link["url"].substr(link["url"].find("/api/"));
  ASSERT_TRUE(server.stop());
  ASSERT_TRUE(server.start()) << server.why();
  http_client nobody{server.port()};
  EXPECT_EQ(nobody.get(target).status, 200);
  EXPECT_EQ(nobody.get(target + "0").status, 403);
  EXPECT_EQ(nobody.get(target.substr(0, target.find('?'))).status, 403);
  EXPECT_EQ(nobody.get("/api/v1/runs/" + run["id"] + "/log").status, 401);
}

} // namespace
} // namespace runledger::test
