#include "events/digest.hpp"
#include "tests/integration/contract_world.hpp"

#include <algorithm>
#include <filesystem>
#include <sstream>

/// What the server sends to a harness: a session's history, in frames, and what is too large for
/// one, in files. The agent publishes the frames that came to it.
namespace runledger::contract {

namespace {

constexpr std::size_t frame_max = 1U << 20;

/// The run's `received.jsonl`: `{"bytes","frame","files"}` for each frame.
std::vector<std::string> received_by(const std::string& run) {
  auto asking = shared_world().client();
  const auto target = "/api/v1/runs/" + run + "/artifacts";
  const auto published = where(json_elements(asking.get(target).body), "name", "received.jsonl");
  EXPECT_EQ(published.size(), 1U) << asking.get("/api/v1/runs/" + run).body;
  std::vector<std::string> out;
  if (published.empty())
    return out;
  std::istringstream lines{asking.get("/api/v1/artifacts/" + json_at(published[0], "id")).body};
  for (std::string line; std::getline(lines, line);)
    out.push_back(line);
  return out;
}

/// All items of the frames, in their order.
std::vector<std::string> history_in(const std::vector<std::string>& frames) {
  std::vector<std::string> out;
  for (const auto& each : frames)
    for (const char* member : {"frame.history", "frame.items"})
      if (const auto items = json_at(each, member); !items.empty())
        for (auto& item : json_elements(items))
          out.push_back(std::move(item));
  return out;
}

/// What the history of this attempt has to be: the session's timeline up to the attempt's start,
/// without signals and without what the run itself did before its latest checkpoint.
std::vector<std::string> history_for(const std::string& session, const std::string& run,
                                     const std::string& attempt) {
  std::vector<std::string> out;
  for (const auto& item : shared_world().timeline(session)) {
    const auto type = json_at(item, "type");
    const bool own = json_at(item, "run_id") == run;
    if (own && type == "checkpoint")
      std::erase_if(out, [&](const std::string& one) { return json_at(one, "run_id") == run; });
    if (type != "log" && type != "usage")
      out.push_back(item);
    if (own && type == "run_status" && json_at(item, "data.attempt") == attempt
        && json_at(item, "data.status") == "running" && json_at(item, "data.error").empty())
      return out;
  }
  ADD_FAILURE() << "attempt " << attempt << " of " << run << " never began";
  return out;
}

/// The next turn of the session with this script, as it ended.
http_answer next_turn(const std::string& session, const std::string& script) {
  auto& w = shared_world();
  auto asking = w.client();
  const auto turn = asking.post("/api/v1/sessions/" + session + "/messages",
                                R"({"message":)" + json_quoted("do " + script) + "}");
  EXPECT_EQ(turn.status, 202) << turn.body;
  auto ended = w.end_of(turn["run_id"]);
  EXPECT_EQ(ended["status"], "succeeded") << ended["error"];
  return ended;
}

/// Expects that the frame names a file for `pointer` with this content instead of the member.
void expect_file(const std::string& frame, const std::string& pointer, const std::string& content,
                 const std::string& media_type) {
  const auto size = std::to_string(content.size()), hex = to_hex(sha256(content));
  const auto blob = json_at(frame, "frame.blobs." + pointer);
  EXPECT_EQ(json_at(blob, "digest"), "sha256:" + hex) << pointer;
  EXPECT_EQ(json_at(blob, "size"), size) << pointer;
  EXPECT_EQ(json_at(blob, "media_type"), media_type) << pointer;
  EXPECT_FALSE(json_at(blob, "path").empty() || json_at(blob, "path").front() == '/') << pointer;
  const auto file = json_at(frame, "files." + pointer);
  EXPECT_EQ(json_at(file, "sha256"), hex) << pointer;
  EXPECT_EQ(json_at(file, "size"), size) << pointer;
  auto member = "frame" + pointer;
  std::ranges::replace(member, '/', '.');
  EXPECT_EQ(json_at(frame, member), "") << "the member itself is left out";
}

/// Where the frame's item of this type stands: `/history/3`.
std::string place_of_item(const std::string& frame, const std::string& type) {
  const auto items = json_elements(json_at(frame, "frame.history"));
  for (std::size_t i = 0; i < items.size(); ++i)
    if (json_at(items[i], "type") == type)
      return "/history/" + std::to_string(i);
  return "/none";
}

const char* const every_item =
    R"([["step","a",{"n": 1}],["flaky","b",1],["say","hi"],["log","info","told"],)"
    R"(["usage",0.01,1,2],["checkpoint",{"n":1}],["tool","a","search"],)"
    R"(["artifact","f.txt","x"],["say","later"]])";

} // namespace

TEST(contract_history, a_first_attempt_gets_its_own_beginning) {
  auto& w = shared_world();
  const auto run = w.finish(R"([["received"]])");
  const auto frames = received_by(run["id"]);
  ASSERT_EQ(frames.size(), 1U);
  EXPECT_EQ(json_at(frames[0], "frame.type"), "run.start");
  EXPECT_EQ(json_at(frames[0], "frame.history_more"), "false");
  EXPECT_EQ(json_at(frames[0], "frame.blobs"), "");
  EXPECT_EQ(history_in(frames), history_for(run["session_id"], run["id"], "1"));
  EXPECT_EQ(column(history_in(frames), "type"), "user_message,run_status");
}

TEST(contract_history, earlier_turns_are_there_in_order_and_signals_are_not) {
  auto& w = shared_world();
  const auto first = w.finish(every_item);
  const auto second = next_turn(first["session_id"], every_item);
  const auto third = next_turn(first["session_id"], R"([["received"]])");
  const auto items = history_in(received_by(third["id"]));
  EXPECT_EQ(items, history_for(first["session_id"], third["id"], "1"));
  EXPECT_EQ(column(where(items, "type", "assistant_message"), "data.content"), "hi,later,hi,later")
      << "a checkpoint of another run leaves nothing out";
  EXPECT_EQ(column(where(items, "type", "user_message"), "run_id"),
            first["id"] + ',' + second["id"] + ',' + third["id"]);
  for (const char* type : {"log", "usage"}) {
    EXPECT_FALSE(where(w.timeline(first["session_id"]), "type", type).empty());
    EXPECT_TRUE(where(items, "type", type).empty()) << type;
  }
}

TEST(contract_history, a_later_attempt_gets_what_came_since_its_latest_checkpoint) {
  auto& w = shared_world();
  const auto first = w.finish(every_item, "solo");
  const auto run = next_turn(
      first["session_id"],
      R"([["say","before"],["step","a",{"n": 1}],["checkpoint",1],["say","between"],)"
      R"(["checkpoint",{"n":2}],["log","info","told"],["say","since"],["usage",0.01,1,2],)"
      R"(["step","b",2],["exit",1,1],["received"]])");
  EXPECT_EQ(run["attempt"], "2");
  const auto frames = received_by(run["id"]);
  const auto items = history_in(frames);
  EXPECT_EQ(items, history_for(first["session_id"], run["id"], "2"));
  EXPECT_EQ(column(where(items, "type", "assistant_message"), "data.content"), "hi,later,since");
  const auto own = where(items, "run_id", run["id"]);
  EXPECT_EQ(column(own, "type"),
            "checkpoint,assistant_message,step_started,step_completed,run_status,run_status");
  EXPECT_EQ(json_at(own.at(0), "data.state"), R"({"n":2})");
  EXPECT_EQ(json_at(own.at(4), "data.error.code"), "harness_exited");
  ASSERT_EQ(frames.size(), 3U);
  EXPECT_EQ(json_at(frames[1], "frame.type"), "step.cached") << "though history left it out";
  EXPECT_EQ(json_at(frames[1], "frame.key"), "a");
  EXPECT_EQ(json_at(frames[1], "frame.output"), R"({"n": 1})");
  EXPECT_EQ(json_at(frames[2], "frame.key"), "b");
}

TEST(contract_history, without_a_checkpoint_the_attempts_before_are_there_whole) {
  auto& w = shared_world();
  const auto run = w.finish(R"([["say","told"],["exit",1,2],["received"]])", "solo");
  EXPECT_EQ(run["attempt"], "3") << run.body;
  const auto items = history_in(received_by(run["id"]));
  EXPECT_EQ(items, history_for(run["session_id"], run["id"], "3"));
  EXPECT_EQ(column(items, "type"),
            "user_message,run_status,assistant_message,run_status,run_status,assistant_message,"
            "run_status,run_status");
}

TEST(contract_history, a_long_one_takes_further_frames) {
  auto& w = shared_world();
  const auto first = w.finish(R"([["repeat",15,["say","{} ",80000]],["say","large",90000]])");
  const auto run = next_turn(first["session_id"], R"([["received"]])");
  const auto frames = received_by(run["id"]);
  ASSERT_GE(frames.size(), 3U);
  for (std::size_t i = 0; i < frames.size(); ++i) {
    EXPECT_EQ(json_at(frames[i], "frame.type"), i == 0 ? "run.start" : "history");
    EXPECT_EQ(json_at(frames[i], "frame.run"), run["id"]);
    EXPECT_EQ(json_at(frames[i], i == 0 ? "frame.history_more" : "frame.more"),
              i + 1 < frames.size() ? "true" : "false");
    EXPECT_LE(std::stoul(json_at(frames[i], "bytes")), frame_max);
  }
  const auto expected = history_for(first["session_id"], run["id"], "1");
  const auto items = history_in(frames);
  EXPECT_EQ(column(items, "seq"), column(expected, "seq"));
  const auto said = where(items, "type", "assistant_message");
  ASSERT_EQ(said.size(), 16U);
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (items[i] != said.back()) {
      EXPECT_EQ(items[i], expected.at(i)) << i;
    }
  }
  EXPECT_EQ(json_at(said.back(), "data.content"), "");
  const auto place = json_elements(json_at(frames.back(), "frame.items"));
  const auto at = static_cast<std::size_t>(std::ranges::find(place, said.back()) - place.begin());
  std::string content;
  for (int i = 0; i < 90000; ++i)
    content += "large";
  expect_file(frames.back(), "/items/" + std::to_string(at) + "/data/content", content,
              "text/plain");
}

TEST(contract_history, large_members_are_files) {
  auto& w = shared_world();
  auto asking = w.client();
  const std::string state = "{\"s\" : \"" + std::string(300 * 1024, 'S') + "\\n\"}";
  const std::string prompt = R"(do [["checkpoint",)" + state
                             + R"(],["say","é\"",60000],["large","a",400000],["exit",1,1],)"
                               R"(["received"]])";
  const auto run = w.end_of(
      asking.post("/api/v1/agents/solo/runs", R"({"prompt":)" + json_quoted(prompt) + "}")["id"]);
  ASSERT_EQ(run["status"], "succeeded") << run["error"];
  std::string said;
  for (int i = 0; i < 60000; ++i)
    said += "é\"";
  const auto frames = received_by(run["id"]);
  ASSERT_EQ(frames.size(), 2U);
  const auto& start = frames[0];
  expect_file(start, "/input/prompt", prompt, "text/plain");
  expect_file(start, place_of_item(start, "checkpoint") + "/data/state", state, "application/json");
  expect_file(start, place_of_item(start, "assistant_message") + "/data/content", said,
              "text/plain");
  const std::string output(400000, 'L');
  expect_file(start, place_of_item(start, "step_completed") + "/data/output", output, "text/plain");
  EXPECT_EQ(json_at(frames[1], "frame.type"), "step.cached");
  expect_file(frames[1], "/output", output, "text/plain");

  const auto next = received_by(next_turn(run["session_id"], R"([["received"]])")["id"]);
  ASSERT_EQ(next.size(), 1U);
  EXPECT_EQ(json_at(next[0], "frame.blobs./input/prompt"), "");
  expect_file(next[0], place_of_item(next[0], "user_message") + "/data/content", prompt,
              "text/plain");
  const auto history = history_in(next);
  std::size_t end = 0;
  while (end < history.size() && json_at(history[end], "data.status") != "succeeded")
    ++end;
  expect_file(next[0], "/history/" + std::to_string(end) + "/data/result", prompt, "text/plain");
}

TEST(contract_history, a_large_initial_state_is_a_file_as_it_was_written) {
  auto& w = shared_world();
  const std::string state =
      "{ \"do\" : [[\"received\"]],\n\t\"pad\":\"" + std::string(300 * 1024, 'p') + "\\u00e9\" }";
  const auto run = w.end_of(
      w.client().post("/api/v1/agents/told/runs", R"({"initial_state":)" + state + "}")["id"]);
  ASSERT_EQ(run["status"], "succeeded") << run["error"];
  const auto frames = received_by(run["id"]);
  ASSERT_EQ(frames.size(), 1U);
  expect_file(frames[0], "/input/initial_state", state, "application/json");
  expect_file(frames[0], place_of_item(frames[0], "user_message") + "/data/initial_state", state,
              "application/json");
}

TEST(contract_history, what_is_lost_is_not_passed_over) {
  auto& w = shared_world();
  const auto run = w.finish(R"([["say","unique text",40000]])", "solo");
  std::string said = "\"";
  for (int i = 0; i < 40000; ++i)
    said += "unique text";
  const auto hex = to_hex(sha256(said + '"'));
  int removed = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator{w.folder / "data/blobs"})
    if (entry.is_regular_file() && entry.path().string().find(hex.substr(4)) != std::string::npos)
      removed += std::filesystem::remove(entry.path()) ? 1 : 0;
  ASSERT_EQ(removed, 1);
  const auto turn =
      w.client().post("/api/v1/sessions/" + run["session_id"] + "/messages", R"({"message":"x"})");
  const auto end = w.end_of(turn["run_id"]);
  EXPECT_EQ(end["status"], "failed");
  EXPECT_EQ(end["error.code"], "ledger_corrupt") << end.body;
  EXPECT_NE(end["error.message"].find(hex), std::string::npos) << end.body;
}

} // namespace runledger::contract
