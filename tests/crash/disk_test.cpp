// Goal: a disk that is full, that fails, or that brings back something else than was written never
// makes the server promise what is not so.

#include "tests/crash/world.hpp"
#include "tests/support/fault_fs.hpp"

#include <gtest/gtest.h>

#include <sqlite3.h>

#include <memory>

namespace runledger::crash {

namespace {

class disk : public testing::Test {
protected:
  disk() {
    world_.server.options().environment = {{"LD_PRELOAD", RUNLEDGER_FAULT_FS_LIBRARY},
                                           {"RUNLEDGER_FAULT_FS", faults_.path()}};
  }

  std::string route() const { return "/api/v1/agents/" + agent_ + "/runs"; }

  [[nodiscard]] bool set_up() {
    if (!world_.start())
      return false;
    agent_ = world_.make_agent("pooled", pooled_recipe(world_));
    steps_ = world_.make_agent("steps", steps_recipe(world_));
    return world_.run_to_end(agent_, R"({"prompt":"2"})")["status"] == "succeeded";
  }

  world world_;
  fault_fs faults_{world_.folder / "faults", world_.data()};
  std::string agent_, steps_;
};

// Goal: without room writes are refused, explicitly, and no read is wrong; with room everything
// goes on, also the run that was under way.
TEST_F(disk, full_refuses_and_heals) {
  ASSERT_TRUE(set_up());
  auto asking = world_.client();
  const auto known = asking.post(route(), R"({"prompt":"1"})", {{"Prefer", "wait=10"}});
  const auto slow = asking.post("/api/v1/agents/" + steps_ + "/runs",
                                R"({"initial_state":{"steps":4,"pause_ms":150}})");
  ASSERT_EQ(slow.status, 201) << slow.body;
  ASSERT_TRUE(eventually(
      [&] { return asking.get("/api/v1/runs/" + slow["id"])["steps_completed"] == "1"; }));
  faults_.disk_full();
  std::vector<std::string> refused;
  for (int i = 0; i < 5; ++i) {
    refused.push_back("full-" + std::to_string(i));
    const auto answer =
        asking.post(route(), R"({"prompt":"1"})", {{"Idempotency-Key", refused.back()}});
    EXPECT_EQ(answer.status, 503) << answer.body;
    EXPECT_EQ(answer["code"], "ledger_unavailable") << answer.body;
    EXPECT_FALSE(answer.header("retry-after").empty());
    // The views cannot be written either: a read that would miss an event is refused, not wrong.
    if (const auto seen = asking.get("/api/v1/runs/" + known["id"]); seen.status != 503) {
      EXPECT_EQ(seen["status"], "succeeded") << seen.body;
    }
  }
  EXPECT_TRUE(world_.server.running());
  faults_.disk_has_room();
  for (const auto& key : refused) {
    http_answer again;
    EXPECT_TRUE(eventually([&] {
      again = asking.post(route(), R"({"prompt":"1"})", {{"Idempotency-Key", key}});
      return again.status == 201;
    })) << again.body;
    EXPECT_EQ(again.header("idempotent-replayed"), "") << "a refused call had an effect";
    EXPECT_EQ(world_.await_end_of(again["id"])["status"], "succeeded");
  }
  EXPECT_EQ(world_.await_end_of(slow["id"])["status"], "succeeded");
  ASSERT_TRUE(world_.drained());
  const auto ledger = read_ledger(world_.data());
  EXPECT_TRUE(ledger.problems.empty()) << some_of(ledger.problems);
  for (const char* file : {"/pooled", "/steps"}) {
    const auto wrong = check_effects(world_.effects() + file, ledger,
                                     std::string{file} == "/pooled" ? agent_ : steps_);
    EXPECT_TRUE(wrong.empty()) << some_of(wrong);
  }
}

// Goal: the disk fills at any byte, while runs are under way: what was acknowledged before, during
// and after is there, what was refused is not, and no restart is needed.
TEST_F(disk, full_at_any_byte_tears_nothing) {
  std::mt19937_64 random{seed_of_test()};
  ASSERT_TRUE(set_up());
  auto asking = world_.client();
  std::set<std::string> acknowledged, refused;
  for (int round = 0; round < 8; ++round) {
    faults_.disk_full(static_cast<std::int64_t>(random() % 60'000));
    http_answer last;
    for (int i = 0; i < 60 && last.status != 503; ++i) {
      const auto key = std::to_string(round) + '-' + std::to_string(i);
      last = asking.post(route(), R"({"prompt":"3"})", {{"Idempotency-Key", key}});
      ASSERT_TRUE(last.status == 201 || last.status == 503) << last.status << ' ' << last.body;
      (last.status == 201 ? acknowledged : refused).insert(key);
    }
    EXPECT_EQ(last.status, 503) << "the disk was never full";
    faults_.disk_has_room();
    EXPECT_TRUE(eventually([&] { return asking.post(route(), R"({"prompt":"1"})").status == 201; }))
        << "no room again after round " << round;
  }
  ASSERT_TRUE(world_.drained());
  world_.server.kill();
  ASSERT_TRUE(world_.start());
  const auto ledger = read_ledger(world_.data());
  auto wrong = check_effects(world_.effects() + "/pooled", ledger, agent_);
  wrong.insert(wrong.end(), ledger.problems.begin(), ledger.problems.end());
  for (const auto& key : acknowledged)
    if (!ledger.runs_of_key.contains(key))
      wrong.push_back("acknowledged and lost: " + key);
  for (const auto& key : refused)
    if (ledger.runs_of_key.contains(key))
      wrong.push_back("refused and done: " + key);
  for (const auto& [run, story] : ledger.runs)
    if (story.terminals != 1 || story.types.back() != "succeeded")
      wrong.push_back(run + " ended " + std::to_string(story.terminals) + " times");
  EXPECT_TRUE(wrong.empty()) << some_of(wrong);
  std::printf("%zu acknowledged, %zu refused\n", acknowledged.size(), refused.size());
}

// Goal: after a sync that failed nothing is promised any more: the server ends with code 1 and says
// why, and what it had acknowledged is there.
TEST_F(disk, failing_sync_ends_the_server) {
  ASSERT_TRUE(set_up());
  std::vector<http_answer> acknowledged;
  auto asking = world_.client();
  for (int i = 0; i < 5; ++i)
    acknowledged.push_back(asking.post(route(), R"({"prompt":"1"})",
                                       {{"Idempotency-Key", "before-" + std::to_string(i)}}));
  faults_.fail_syncs(-1);
  const auto broken = asking.post(route(), R"({"prompt":"1"})", {{"Idempotency-Key", "broken"}});
  EXPECT_TRUE(broken.status == 503 || broken.status == 0) << broken.status << ' ' << broken.body;
  const auto end = world_.server.await_end(std::chrono::seconds{30});
  ASSERT_TRUE(end) << world_.server.why();
  EXPECT_EQ(end->code, 1) << world_.server.why();
  EXPECT_NE(world_.server.printed_now().find("stopping: "), std::string::npos)
      << world_.server.printed_now();
  faults_.fail_syncs(0);
  ASSERT_TRUE(world_.start());
  auto again = world_.client();
  for (std::size_t i = 0; i < acknowledged.size(); ++i) {
    const auto same = again.post(route(), R"({"prompt":"1"})",
                                 {{"Idempotency-Key", "before-" + std::to_string(i)}});
    EXPECT_EQ(same["id"], acknowledged[i]["id"]);
    EXPECT_EQ(same.header("idempotent-replayed"), "true");
  }
  EXPECT_EQ(again.post(route(), R"({"prompt":"1"})", {{"Idempotency-Key", "broken"}}).status, 201);
  ASSERT_TRUE(world_.drained());
  const auto ledger = read_ledger(world_.data());
  EXPECT_TRUE(ledger.problems.empty()) << some_of(ledger.problems);
  EXPECT_EQ(ledger.runs_of_key.at("broken").size(), 1u);
}

/// Changes one event behind the server's back; its offset.
std::int64_t damage(const std::string& data, const std::string& stream, int seq) {
  sqlite3* db = nullptr;
  std::int64_t offset = -1;
  if (::sqlite3_open((data + "/ledger.db").c_str(), &db) == SQLITE_OK) {
    const auto where = " WHERE stream = '" + stream + "' AND seq = " + std::to_string(seq);
    ::sqlite3_exec(db, ("UPDATE events SET data = replace(data, '{', '{ ')" + where).c_str(),
                   nullptr, nullptr, nullptr);
    ::sqlite3_exec(
        db, ("SELECT \"offset\" FROM events" + where).c_str(),
        [](void* to, int, char** values, char**) {
          *static_cast<std::int64_t*>(to) = std::atoll(values[0]);
          return 0;
        },
        &offset, nullptr);
  }
  ::sqlite3_close(db);
  return offset;
}

// Goal: a row that is not what was written is refused with its place, and only what needs it; also
// an entity whose work is unfinished does not keep the others from going on.
TEST_F(disk, corrupt_rows_are_named) {
  ASSERT_TRUE(set_up());
  const auto finished = world_.run_to_end(agent_, R"({"prompt":"3"})");
  const auto sound = world_.run_to_end(agent_, R"({"prompt":"3"})");
  auto asking = world_.client();
  const std::string slow_body = R"({"initial_state":{"steps":3,"pause_ms":200}})";
  const auto slow = asking.post("/api/v1/agents/" + steps_ + "/runs", slow_body);
  const auto parked = asking.post("/api/v1/agents/" + steps_ + "/runs", slow_body);
  for (const auto* run : {&slow, &parked})
    ASSERT_TRUE(eventually(
        [&] { return asking.get("/api/v1/runs/" + (*run)["id"])["steps_completed"] != "0"; }));
  world_.server.kill();
  const auto offset = damage(world_.data(), finished["id"], 3);
  ASSERT_GT(offset, 0);
  ASSERT_GT(damage(world_.data(), parked["id"], 2), 0);
  for (const char* name : {"/views.db", "/views.db-wal", "/views.db-shm"})
    ::unlink((world_.data() + name).c_str());
  ASSERT_TRUE(world_.start());
  auto again = world_.client();
  const auto refused = again.get("/api/v1/runs/" + finished["id"]);
  EXPECT_EQ(refused.status, 500) << refused.body;
  EXPECT_EQ(refused["code"], "ledger_corrupt");
  EXPECT_EQ(refused["stream"], finished["id"]);
  EXPECT_EQ(refused["seq"], "3");
  EXPECT_EQ(refused["offset"], std::to_string(offset));
  EXPECT_EQ(again.get("/api/v1/runs/" + parked["id"]).status, 500);
  EXPECT_EQ(again.get("/api/v1/runs/" + sound["id"])["status"], "succeeded");
  EXPECT_NE(again.get("/api/v1/sessions/" + finished["session_id"] + "/events")
                .body.find("\"unreadable\""),
            std::string::npos);
  EXPECT_EQ(world_.await_end_of(slow["id"])["status"], "succeeded");
  EXPECT_EQ(world_.run_to_end(agent_, R"({"prompt":"2"})")["status"], "succeeded");
  EXPECT_NE(again.get("/api/v1/admin/projections").body.find(finished["id"]), std::string::npos);
}

} // namespace

} // namespace runledger::crash
