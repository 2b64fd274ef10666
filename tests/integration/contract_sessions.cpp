#include "tests/integration/contract_world.hpp"
#include "tests/support/event_stream.hpp"

/// Sessions: turns, messages, cancellation, the timeline and its streams.
namespace runledger::contract {

namespace {

using test::event_stream;

std::string events_target(const std::string& session) {
  return "/api/v1/sessions/" + session + "/events";
}

/// The ids of a stream's items up to its end or the first silence.
std::string ids_of(event_stream& from, std::size_t at_most = 1000) {
  std::string out;
  for (std::size_t n = 0; n < at_most;) {
    const auto item = from.next();
    if (!item)
      break;
    if (item->comment || item->id.empty()) // Such as the time after which to come again.
      continue;
    EXPECT_EQ(json_at(item->data, "seq"), item->id);
    out += (out.empty() ? "" : ",") + item->id;
    ++n;
  }
  return out;
}

std::string numbers(int from, int to) {
  std::string out;
  for (int n = from; n <= to; ++n)
    out += (out.empty() ? "" : ",") + std::to_string(n);
  return out;
}

const char* const every_kind =
    R"([["step","a",1],["flaky","b",1],["say","hi"],["log","info","told"],["log","debug","fine"],)"
    R"(["usage",0.01,1,2],["checkpoint",{"n":1}],["tool","a","search"],["artifact","f.txt","x"]])";

} // namespace

TEST(contract_sessions, a_session_has_its_members) {
  auto& w = shared_world();
  const auto run = w.finish("[]");
  const auto session = w.client().get("/api/v1/sessions/" + run["session_id"]);
  EXPECT_EQ(member_names(session.body),
            "id,agent_id,agent_version,status,runs,created_at,last_activity_at,terminated_at");
  EXPECT_EQ(member_names(session["runs.0"]), "id,run_id,status,created_at,finished_at");
  EXPECT_EQ(session["status"], "active");
  EXPECT_EQ(session["runs.0.status"], "succeeded");
  EXPECT_EQ(session["runs.0.finished_at"], run["finished_at"]);
  EXPECT_EQ(session["terminated_at"], "null");
}

TEST(contract_sessions, messages_queue_in_their_order) {
  auto& w = shared_world();
  auto asking = w.client();
  const auto gate = world::unique("order");
  const auto run = w.begin(R"([["wait",")" + gate + R"("]])");
  const auto target = "/api/v1/sessions/" + run["session_id"] + "/messages";
  std::string turns = run["id"];
  for (const char* body :
       {R"({"message":"one"})", R"({"content":"two"})", R"({"prompt":"three"})"}) {
    const auto turn = asking.post(target, body);
    ASSERT_EQ(turn.status, 202) << turn.body;
    EXPECT_EQ(member_names(turn.body),
              "id,agent_id,agent_version,status,runs,created_at,last_activity_at,terminated_at,"
              "run_id,events");
    EXPECT_EQ(json_elements(turn["events"]).size(), 1U);
    EXPECT_EQ(turn["events.0.type"], "user_message");
    EXPECT_EQ(turn["events.0.run_id"], turn["run_id"]);
    turns += ',' + turn["run_id"];
    EXPECT_EQ(asking.get("/api/v1/runs/" + turn["run_id"])["status"], "pending");
  }
  w.open_gate(gate);
  ASSERT_EQ(w.end_of(turns.substr(turns.rfind(',') + 1))["status"], "succeeded");
  EXPECT_EQ(
      column(json_elements(asking.get("/api/v1/sessions/" + run["session_id"])["runs"]), "id"),
      turns);
  const auto items = w.timeline(run["session_id"]);
  EXPECT_EQ(column(where(items, "type", "assistant_message"), "data.content"),
            "You said: one,You said: two,You said: three");
  EXPECT_EQ(column(where(where(items, "type", "run_status"), "data.status", "succeeded"), "run_id"),
            turns);
  EXPECT_EQ(column(items, "seq"), numbers(1, static_cast<int>(items.size())));
  expect_invalid(asking.post(target, "{}"), R"(["body","message"])");
  expect_invalid(asking.post(target, R"({"message":""})"), R"(["body","message"])");
  expect_invalid(asking.post(target, R"({"content":1})"), R"(["body","content"])");
  expect_problem(asking.post("/api/v1/sessions/sess_none/messages", R"({"message":"x"})"), 404,
                 "not_found");
}

TEST(contract_sessions, a_session_stays_with_its_version) {
  auto& w = shared_world();
  auto asking = w.client();
  const auto slug = world::unique("pinned");
  w.make_agent(slug, w.recipe());
  const auto run = w.finish("[]", slug);
  asking.post("/api/v1/agents/" + slug + "/versions", R"({"recipe":)" + w.recipe() + "}");
  asking.ask("PATCH", "/api/v1/agents/" + slug + "/versions/2", R"({"status":"active"})");
  asking.ask("PATCH", "/api/v1/agents/" + slug + "/versions/1", R"({"status":"archived"})");
  const auto turn = asking.post("/api/v1/sessions/" + run["session_id"] + "/messages",
                                R"({"message":"x"})", {{"Prefer", "wait=20"}});
  EXPECT_EQ(w.end_of(turn["run_id"])["agent_version"], "1");
  EXPECT_EQ(w.end_of(turn["run_id"])["status"], "succeeded");
}

TEST(contract_sessions, cancel_drains_the_step_in_flight) {
  auto& w = shared_world();
  auto asking = w.client();
  const auto gate = world::unique("drain");
  const auto run = w.begin(R"([["usage",0.25,1,1],["gated","a",")" + gate
                           + R"("],["usage",0.5,20,300],["step","b"],["say","no"]])");
  const auto session = "/api/v1/sessions/" + run["session_id"];
  const auto queued = asking.post(session + "/messages", R"({"message":"never"})")["run_id"];
  ASSERT_TRUE(eventually(
      [&] { return !where(w.timeline(run["session_id"]), "type", "step_started").empty(); }));
  const auto cancelled = asking.post(session + "/cancel", "");
  EXPECT_EQ(cancelled.status, 202);
  EXPECT_EQ(member_names(cancelled.body),
            "id,agent_id,agent_version,status,runs,created_at,last_activity_at,terminated_at");
  EXPECT_EQ(cancelled["status"], "cancelling");
  expect_problem(asking.post(session + "/messages", R"({"message":"x"})"), 409,
                 "session_terminated");
  EXPECT_EQ(asking.post(session + "/cancel", "").status, 202) << "idempotent";
  EXPECT_EQ(asking.get("/api/v1/runs/" + run["id"])["status"], "running") << "it drains";
  w.open_gate(gate);
  const auto ended = w.end_of(run["id"]);
  EXPECT_EQ(ended["status"], "cancelled");
  EXPECT_EQ(ended["steps_completed"], "1") << "the step in flight was finished, no other begun";
  EXPECT_EQ(ended["cost_usd"], "0.75") << "what the drain cost is settled too";
  EXPECT_EQ(ended["tokens_in"], "21");
  EXPECT_EQ(ended["tokens_out"], "301");
  EXPECT_EQ(ended["error"], "null");
  EXPECT_EQ(w.end_of(queued)["status"], "cancelled");
  EXPECT_EQ(w.end_of(queued)["started_at"], "null");
  ASSERT_TRUE(eventually([&] { return asking.get(session)["status"] == "terminated"; }));
  expect_time(asking.get(session)["terminated_at"]);
  const auto items = w.timeline(run["session_id"]);
  EXPECT_EQ(json_at(items.back(), "type"), "session_terminated");
  EXPECT_FALSE(json_at(items.back(), "data.reason").empty());
  EXPECT_EQ(where(where(items, "type", "run_status"), "data.status", "cancelled").size(), 2U);
  const auto again = asking.post(session + "/cancel", "");
  EXPECT_EQ(again.status, 202);
  EXPECT_EQ(again["status"], "terminated");
  EXPECT_EQ(w.timeline(run["session_id"]).size(), items.size()) << "a no-op";
  expect_problem(asking.post(session + "/messages", R"({"message":"x"})"), 409,
                 "session_terminated");
  expect_problem(asking.post("/api/v1/sessions/sess_none/cancel", ""), 404, "not_found");
}

TEST(contract_sessions, cancel_kills_what_does_not_drain) {
  auto& w = shared_world();
  const auto slug = world::unique("deaf");
  auto recipe = w.recipe();
  recipe.replace(recipe.find("\"drain_seconds\":20"), 18, "\"drain_seconds\":1");
  w.make_agent(slug, recipe);
  auto asking = w.client();
  const auto run = w.begin(R"([["gated","a","never"]])", slug);
  // From here on it hears nothing but its gate.
  ASSERT_TRUE(eventually(
      [&] { return !where(w.timeline(run["session_id"]), "type", "step_started").empty(); }));
  asking.post("/api/v1/sessions/" + run["session_id"] + "/cancel", "");
  const auto ended = w.end_of(run["id"]);
  EXPECT_EQ(ended["status"], "cancelled");
  EXPECT_EQ(ended["steps_completed"], "0");
}

TEST(contract_sessions, an_idle_session_is_cancelled_at_once) {
  auto& w = shared_world();
  const auto run = w.finish("[]");
  const auto session = "/api/v1/sessions/" + run["session_id"];
  EXPECT_EQ(w.client().post(session + "/cancel", "").status, 202);
  ASSERT_TRUE(eventually([&] { return w.client().get(session)["status"] == "terminated"; }));
  EXPECT_EQ(w.end_of(run["id"])["status"], "succeeded") << "terminal is terminal";
}

TEST(contract_sessions, the_timeline_has_every_type) {
  auto& w = shared_world();
  const auto run = w.finish(every_kind);
  ASSERT_EQ(run["status"], "succeeded") << run.body;
  EXPECT_EQ(run["artifact_count"], "1");
  const auto items = w.timeline(run["session_id"]);
  EXPECT_EQ(column(items, "type"),
            "user_message,run_status,step_started,step_completed,step_started,step_retrying,"
            "step_started,step_completed,assistant_message,log,log,usage,checkpoint,tool_call,"
            "tool_result,artifact_published,run_status");
  EXPECT_EQ(column(items, "seq"), numbers(1, static_cast<int>(items.size())));
  for (const auto& each : items) {
    EXPECT_EQ(member_names(each), "id,seq,type,run_id,time,data");
    EXPECT_EQ(json_at(each, "run_id"), run["id"]);
    EXPECT_EQ(w.events_of("", json_at(each, "id").substr(0, json_at(each, "id").find(':'))) > 0,
              true);
    expect_time(json_at(each, "time"));
  }
  EXPECT_EQ(json_at(items[0], "id"), run["session_id"] + ":1");
  EXPECT_EQ(json_at(items[1], "id"), run["id"] + ":1");
  const auto data = [&](std::size_t at) { return json_at(items[at], "data"); };
  EXPECT_EQ(data(1), R"({"status":"running","from":"pending","attempt":1})");
  EXPECT_EQ(data(2), R"({"key":"a","name":"step a","kind":"test","attempt":1})");
  EXPECT_EQ(member_names(data(3)), "key,attempt,output,duration_ms");
  EXPECT_EQ(member_names(data(5)), "key,attempt,error,next_attempt,delay_ms");
  EXPECT_EQ(data(8), R"({"role":"assistant","content":"hi"})");
  EXPECT_EQ(data(9), R"({"level":"info","message":"told","fields":{"n": 1}})");
  EXPECT_EQ(data(11),
            R"({"tokens_in":1,"tokens_out":2,"cost_usd":0.01,"model":"m","category":"c"})");
  EXPECT_EQ(data(12), R"({"state":{"n":1}})");
  EXPECT_EQ(data(13), R"({"key":"a","tool":"search","args":{"a": 1}})");
  EXPECT_EQ(data(14), R"({"key":"a","tool":"search","output":{"b": 2}})");
  EXPECT_EQ(member_names(data(15)), "artifact_id,name,media_type,size,digest");
  EXPECT_EQ(member_names(data(16)), "status,from,attempt,result");
}

TEST(contract_sessions, the_array_pages_by_since_and_limit) {
  auto& w = shared_world();
  auto asking = w.client();
  const auto target = events_target(w.finish(every_kind)["session_id"]);
  const auto seqs = [&](const char* query) {
    return column(json_elements(asking.get(target + query).body), "seq");
  };
  EXPECT_EQ(seqs(""), numbers(1, 17));
  EXPECT_EQ(seqs("?since=5&limit=3"), "6,7,8");
  EXPECT_EQ(seqs("?since=17"), "");
  EXPECT_EQ(seqs("?limit=1000"), numbers(1, 17));
  for (const char* bad : {"?limit=0", "?limit=1001", "?limit=x"})
    expect_invalid(asking.get(target + bad), R"(["query","limit"])");
  expect_invalid(asking.get(target + "?since=-1"), R"(["query","since"])");
  const auto many = w.finish(R"([["repeat",120,["log","info","{}"]]])");
  EXPECT_EQ(json_elements(asking.get(events_target(many["session_id"])).body).size(), 100U);
}

TEST(contract_sessions, a_stream_resumes_at_every_place) {
  auto& w = shared_world();
  const auto run = w.finish(every_kind);
  w.client().post("/api/v1/sessions/" + run["session_id"] + "/cancel", "");
  const auto target = events_target(run["session_id"]);
  for (int at = 0; at <= 18; ++at) {
    const auto place = std::to_string(at);
    event_stream by_query{w.server.port(), w.key, target + "?after=" + place};
    EXPECT_EQ(ids_of(by_query), numbers(at + 1, 18));
    EXPECT_TRUE(by_query.ended()) << "after session_terminated";
    event_stream by_header{w.server.port(), w.key, target + "?after=1",
                           "Last-Event-ID: " + place + "\r\n"};
    EXPECT_EQ(ids_of(by_header), numbers(at + 1, 18)) << "the header wins";
  }
  event_stream wrong{w.server.port(), w.key, target, "Last-Event-ID: x\r\n"};
  EXPECT_EQ(wrong.status(), 422);
}

TEST(contract_sessions, a_stream_follows_what_happens) {
  auto& w = shared_world();
  auto asking = w.client();
  const auto gate = world::unique("live");
  const auto run = w.begin(R"([["wait",")" + gate + R"("],["repeat",200,["log","info","{}"]]])");
  event_stream live{w.server.port(), w.key, events_target(run["session_id"])};
  event_stream log{w.server.port(), w.key, "/api/v1/runs/" + run["id"] + "/log/events"};
  EXPECT_EQ(ids_of(live, 2), "1,2");
  w.open_gate(gate);
  EXPECT_EQ(ids_of(live, 201), numbers(3, 203));
  EXPECT_EQ(ids_of(log), numbers(2, 203)) << "without the conversation";
  EXPECT_TRUE(log.ended()) << "after the terminal run_status";
  asking.post("/api/v1/sessions/" + run["session_id"] + "/messages", R"({"message":"x"})");
  EXPECT_EQ(ids_of(live, 1), "204") << "it stays open";
  asking.post("/api/v1/sessions/" + run["session_id"] + "/cancel", "");
  const auto rest = ids_of(live);
  EXPECT_TRUE(live.ended());
  const auto all = w.timeline(run["session_id"]);
  EXPECT_EQ(rest, numbers(205, static_cast<int>(all.size())));
}

TEST(contract_sessions, a_silent_stream_is_kept_alive) {
  auto& w = shared_world();
  const auto run = w.finish("[]");
  event_stream live{w.server.port(), w.key, events_target(run["session_id"])};
  ids_of(live, 3);
  const auto item = live.next(std::chrono::seconds{13});
  ASSERT_TRUE(item) << "within ten seconds";
  EXPECT_TRUE(item->comment);
}

TEST(contract_sessions, a_slow_reader_is_disconnected) {
  auto& w = shared_world();
  const auto text = std::string(200'000, 'x');
  const auto gate = world::unique("slow");
  const auto run =
      w.begin(R"([["wait",")" + gate + R"("],["repeat",150,["say",")" + text + R"("]]])");
  event_stream slow{w.server.port(), w.key, events_target(run["session_id"])};
  ASSERT_EQ(slow.status(), 200);
  w.open_gate(gate);
  EXPECT_EQ(w.end_of(run["id"])["status"], "succeeded") << "it slows no writer";
  auto asking = w.client();
  EXPECT_TRUE(eventually([&] { return metric(asking, "runledger_event_streams") == 0; },
                         std::chrono::seconds{60}));
  const auto got = ids_of(slow);
  EXPECT_TRUE(slow.closed());
  const auto last = std::stoi(got.substr(got.rfind(',') + 1));
  EXPECT_EQ(got, numbers(1, last));
  EXPECT_LT(last, 153);
  event_stream resumed{w.server.port(), w.key, events_target(run["session_id"]),
                       "Last-Event-ID: " + std::to_string(last) + "\r\n"};
  EXPECT_EQ(ids_of(resumed, static_cast<std::size_t>(153 - last)), numbers(last + 1, 153));
}

TEST(contract_sessions, the_log_is_the_signal) {
  auto& w = shared_world();
  auto asking = w.client();
  const auto run = w.finish(every_kind);
  const auto target = "/api/v1/runs/" + run["id"] + "/log/events";
  const auto items = json_elements(asking.get(target).body);
  EXPECT_EQ(column(items, "type"),
            "run_status,step_started,step_completed,step_started,step_retrying,step_started,"
            "step_completed,log,usage,tool_call,tool_result,artifact_published,run_status");
  EXPECT_EQ(column(items, "seq"), "2,3,4,5,6,7,8,10,12,14,15,16,17") << "the session's numbers";
  EXPECT_EQ(column(json_elements(asking.get(target + "?since=8&limit=2").body), "seq"), "10,12");
  event_stream after{w.server.port(), w.key, target + "?after=8"};
  EXPECT_EQ(ids_of(after), "10,12,14,15,16,17");
  EXPECT_TRUE(after.ended());
}

TEST(contract_sessions, sessions_are_listed) {
  auto& w = shared_world();
  auto asking = w.client();
  const auto slug = world::unique("listed");
  const auto agent = w.make_agent(slug, w.recipe({}, true));
  const auto one = w.finish("[]", slug)["session_id"], two = w.finish("[]", slug)["session_id"];
  const auto list = "/api/v1/sessions?agent_id=" + agent;
  EXPECT_EQ(column(json_elements(asking.get(list).body), "id"), two + ',' + one);
  asking.post("/api/v1/sessions/" + one + "/cancel", "");
  ASSERT_TRUE(eventually([&] {
    return column(json_elements(asking.get(list + "&status=terminated").body), "id") == one;
  }));
  EXPECT_EQ(column(json_elements(asking.get(list + "&status=active").body), "id"), two);
  expect_invalid(asking.get("/api/v1/sessions?status=x"), R"(["query","status"])");
  EXPECT_EQ(all_pages(asking, list + "&limit=1").size(), 2U);
}

} // namespace runledger::contract
