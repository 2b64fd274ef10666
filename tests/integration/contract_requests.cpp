#include "tests/integration/contract_world.hpp"
#include "tests/support/event_stream.hpp"

/// What every request has in common: bodies, content types, errors, free JSON.
namespace runledger::contract {

namespace {

std::string nested(int depth) {
  const auto n = static_cast<std::size_t>(depth);
  return std::string(n, '[') + std::string(n, ']');
}

} // namespace

TEST(contract_requests, problems_have_their_members) {
  auto asking = shared_world().client();
  const auto missing = asking.get("/api/v1/runs/run_none");
  expect_problem(missing, 404, "not_found");
  EXPECT_EQ(member_names(missing.body), "type,title,status,detail,code,request_id");
  EXPECT_EQ(missing["request_id"], missing.header("Runledger-Request-Id"));
  EXPECT_NE(missing["request_id"], asking.get("/api/v1/runs/run_none")["request_id"]);
  expect_problem(asking.get("/api/v1/nothing"), 404, "not_found");
  expect_problem(asking.get("/"), 404, "not_found");
  const auto wrong = asking.ask("DELETE", "/api/v1/runs");
  expect_problem(wrong, 405, "method_not_allowed");
  EXPECT_NE(wrong.header("Allow").find("GET"), std::string::npos) << wrong.header("Allow");
  EXPECT_EQ(asking.ask("PUT", "/api/v1/agents", "{}").status, 405);
}

TEST(contract_requests, malformed_json_is_400) {
  auto asking = shared_world().client();
  for (const auto& [body, code] : std::vector<std::pair<std::string, std::string>>{
           {"{", "malformed_json"},
           {"{\"prompt\":\"x\",}", "malformed_json"},
           {"{\"prompt\":\"x\"} x", "malformed_json"},
           {"{'prompt':'x'}", "malformed_json"},
           {"prompt=x", "malformed_json"},
           {"{\"initial_state\":{\"a\":01}}", "malformed_json"},
           {"{\"initial_state\":{\"a\":NaN}}", "malformed_json"},
           {"{\"prompt\":\"\x01\"}", "malformed_json"},
           {"{\"prompt\":\"a\",\"prompt\":\"b\"}", "duplicate_member"},
           {"{\"prompt\":\"a\",\"pro\\u006dpt\":\"b\"}", "duplicate_member"},
           {"{\"initial_state\":{\"a\":{\"b\":1,\"b\":1}}}", "duplicate_member"},
           {"{\"prompt\":\"\xff\"}", "bad_utf8"},
           {"{\"prompt\":\"\xc0\xaf\"}", "bad_utf8"},
           {"{\"prompt\":\"\xed\xa0\x80\"}", "bad_utf8"},
           {"\xef\xbb\xbf{\"prompt\":\"a\"}", "byte_order_mark"},
           {"{\"initial_state\":{\"a\":" + nested(255) + "}}", "too_deep"},
           {nested(257), "too_deep"},
           {"{\"initial_state\":{\"a\":1e400}}", "number_out_of_range"},
           {"{\"initial_state\":{\"a\":-1e999999999999}}", "number_out_of_range"}}) {
    SCOPED_TRACE(body.substr(0, 60));
    expect_problem(asking.post(run_target, body), 400, code);
  }
  EXPECT_EQ(asking.post(run_target, "{\"initial_state\":{\"a\":" + nested(254) + "}}").status, 201)
      << "256 levels in all";
  EXPECT_EQ(asking.post(run_target, "{\"initial_state\":{\"a\":[1e308,1e-400]}}").status, 201);
}

TEST(contract_requests, every_body_is_read_so) {
  auto& w = shared_world();
  auto asking = w.client();
  const auto session = asking.post(run_target, R"({"prompt":"x"})")["session_id"];
  for (const auto& [method, target] : std::vector<std::pair<std::string, std::string>>{
           {"POST", "/agents"},
           {"POST", "/agents/told/versions"},
           {"PATCH", "/agents/told/versions/1"},
           {"POST", "/agents/told/runs"},
           {"POST", "/agents/told/versions/1/runs"},
           {"POST", "/sessions/" + session + "/messages"},
           {"POST", "/sessions/" + session + "/cancel"},
           {"POST", "/keys"},
           {"POST", "/workspaces"}}) {
    SCOPED_TRACE(target);
    const auto ask = [&, method = method, target = target](const char* body,
                                                           const header_list& more = {}) {
      return asking.ask(method, "/api/v1" + target, body, more);
    };
    expect_problem(ask("{"), 400, "malformed_json");
    expect_problem(ask(R"({"a":1,"a":2})"), 400, "duplicate_member");
    for (const char* no_object : {"[]", "null", "1", "\"text\"", "true", "[{}]"})
      expect_invalid(ask(no_object), R"(["body"])");
    expect_problem(ask("{}", {{"Content-Type", "text/plain"}}), 415, "unsupported_media_type");
  }
  EXPECT_EQ(asking.get("/api/v1/sessions/" + session)["status"], "active");
}

TEST(contract_requests, content_types) {
  auto asking = shared_world().client();
  const auto with = [&](const char* type) {
    return asking.post(run_target, R"({"prompt":"x"})", {{"Content-Type", type}}).status;
  };
  for (const char* good :
       {"application/json", "application/json; charset=utf-8", "Application/JSON",
        "application/vnd.anything+json", "application/x-www-form-urlencoded",
        "application/x-www-form-urlencoded; charset=utf-8"})
    EXPECT_EQ(with(good), 201) << good;
  for (const char* bad : {"text/plain", "application/xml", "multipart/form-data; boundary=x",
                          "application/jsonx", "application/octet-stream"})
    EXPECT_EQ(with(bad), 415) << bad;
}

TEST(contract_requests, a_body_over_the_limit_is_413) {
  world w{{"--http.body-limit", "64KiB"}};
  ASSERT_TRUE(w.start());
  auto asking = w.client();
  const auto of = [&](std::size_t size) {
    const std::string frame = R"({"prompt":"","x":""})";
    return R"({"prompt":"y","x":")" + std::string(size - frame.size() - 1, 'z') + "\"}";
  };
  ASSERT_EQ(of(65536).size(), 65536U);
  EXPECT_EQ(asking.post(run_target, of(65536)).status, 201);
  expect_problem(w.client().post(run_target, of(65537)), 413, "payload_too_large");
  EXPECT_EQ(json_elements(w.client().get("/api/v1/runs").body).size(), 1U);
}

TEST(contract_requests, a_head_over_the_limit_is_431) {
  auto asking = shared_world().client();
  expect_problem(asking.get("/api/v1/runs", {{"X-Long", std::string(17000, 'a')}}), 431,
                 "headers_too_large");
  header_list many;
  for (int i = 0; i < 110; ++i)
    many.emplace_back("X-" + std::to_string(i), "1");
  EXPECT_EQ(shared_world().client().get("/api/v1/runs", many).status, 431);
}

TEST(contract_requests, unknown_members_are_ignored) {
  auto& w = shared_world();
  auto asking = w.client();
  const std::string extra = R"("no_such_member":{"a":[1]},"n":null)";
  const auto made = asking.post("/api/v1/agents", R"({"name":"Extra",)" + extra + R"(,"slug":")"
                                                      + world::unique("extra") + R"("})");
  EXPECT_EQ(made.status, 201) << made.body;
  const auto run = asking.post(run_target, R"({"prompt":"x",)" + extra + "}");
  ASSERT_EQ(run.status, 201) << run.body;
  const auto turn = asking.post("/api/v1/sessions/" + run["session_id"] + "/messages",
                                R"({"message":"x",)" + extra + "}");
  EXPECT_EQ(turn.status, 202) << turn.body;
  EXPECT_EQ(
      asking.post("/api/v1/sessions/" + run["session_id"] + "/cancel", "{" + extra + "}").status,
      202);
  EXPECT_EQ(asking.post("/api/v1/workspaces", R"({"name":"x",)" + extra + "}").status, 201);
  EXPECT_EQ(asking.post("/api/v1/keys", R"({"name":"x","scopes":["read"],)" + extra + "}").status,
            201);
  EXPECT_EQ(asking
                .post("/api/v1/agents/" + made["id"] + "/versions",
                      R"({"recipe":)" + w.recipe("," + extra) + "," + extra + "}")
                .status,
            201);
}

TEST(contract_requests, free_json_stays_as_it_was_written) {
  auto& w = shared_world();
  auto asking = w.client();
  const std::string state =
      R"({"zz":123456789012345678901234567890,"aa":0.1000,"m":[1.0,-0,1E+2,1e-7,-0.0],)"
      R"("do":[["step","s",{"b":0.10,"a":99999999999999999999.5,"t":"\u00e9\ud83d\ude00\/"}],)"
      R"(["checkpoint",[1.50,{"y":1,"x":12345678901234567890}]]],"":{"k":null},"t":"\u0041é\n"})";
  const auto run =
      asking.post(run_target, R"({"initial_state": )" + state + " }", {{"Prefer", "wait=30"}});
  ASSERT_EQ(run.status, 201) << run.body;
  ASSERT_EQ(run["status"], "succeeded") << run.body;
  const auto shown = asking.get("/api/v1/runs/" + run["id"]);
  for (const auto* object : {&run, &shown}) {
    EXPECT_EQ((*object)["initial_state"], state);
    EXPECT_EQ((*object)["result"], state) << "what the harness got and gave back";
  }
  const auto items = w.timeline(run["session_id"]);
  EXPECT_EQ(json_at(items.front(), "data.initial_state"), state);
  EXPECT_EQ(json_at(items.back(), "data.result"), state);
  EXPECT_EQ(column(where(items, "type", "step_completed"), "data.output"),
            R"({"b":0.10,"a":99999999999999999999.5,"t":"\u00e9\ud83d\ude00\/"})");
  EXPECT_EQ(column(where(items, "type", "checkpoint"), "data.state"),
            R"([1.50,{"y":1,"x":12345678901234567890}])");
  const auto listed = asking.get("/api/v1/runs?session_id=" + run["session_id"]);
  EXPECT_EQ(listed["0.initial_state"], state);
  const auto log = asking.get("/api/v1/runs/" + run["id"] + "/log/events?limit=1000");
  EXPECT_EQ(json_at(json_elements(log.body).back(), "data.result"), state);
}

TEST(contract_requests, free_json_keeps_its_white_space_outside_of_lines) {
  auto& w = shared_world();
  const std::string state = "{ \"do\" : [ ] ,\t\"a\" : [ 1 , 2 ] }";
  const auto run =
      w.client().post(run_target, R"({"initial_state":)" + state + "}", {{"Prefer", "wait=30"}});
  EXPECT_EQ(run["status"], "succeeded") << run.body;
  EXPECT_EQ(run["initial_state"], state);
}

TEST(contract_requests, line_feeds_between_tokens_end_no_frame) {
  auto& w = shared_world();
  auto asking = w.client();
  const std::string state = "{\n  \"do\": [],\r\n  \"a\": 1\n}";
  const auto run =
      asking.post(run_target, R"({"initial_state":)" + state + "}", {{"Prefer", "wait=30"}});
  EXPECT_EQ(run["status"], "succeeded") << run.body;
  EXPECT_EQ(run["initial_state"], state);
  asking.post("/api/v1/sessions/" + run["session_id"] + "/messages", R"({"message":"x"})",
              {{"Prefer", "wait=30"}});
  EXPECT_EQ(asking.get("/api/v1/sessions/" + run["session_id"])["runs.1.status"], "succeeded")
      << "its history holds the line feeds too";
  asking.post("/api/v1/sessions/" + run["session_id"] + "/cancel", "");
  test::event_stream stream{w.server.port(), w.key,
                            "/api/v1/sessions/" + run["session_id"] + "/events"};
  const auto items = w.timeline(run["session_id"]);
  for (std::size_t n = 0; n < items.size();) {
    const auto item = stream.next();
    ASSERT_TRUE(item) << n;
    if (item->id.empty())
      continue;
    EXPECT_EQ(json_at(item->data, "id"), json_at(items[n], "id"));
    ++n;
  }
}

TEST(contract_requests, prompts_are_any_text) {
  auto& w = shared_world();
  const std::string text = "\"quotes\" \\ \n\t\x7f é 😀 \u2028 </script>";
  const auto run = w.client().post(run_target, R"({"prompt":)" + json_quoted(text) + "}",
                                   {{"Prefer", "wait=30"}});
  ASSERT_EQ(run.status, 201);
  EXPECT_EQ(run["prompt"], text);
  EXPECT_EQ(run["result"], text);
  const auto items = w.timeline(run["session_id"]);
  EXPECT_EQ(column(where(items, "type", "assistant_message"), "data.content"), "You said: " + text);
}

TEST(contract_requests, a_large_member_comes_back_whole) {
  auto& w = shared_world();
  auto asking = w.client();
  const std::string text(400 * 1024, 'L');
  const auto run =
      asking.post(run_target, R"({"prompt":")" + text + R"("})", {{"Prefer", "wait=30"}});
  ASSERT_EQ(run.status, 201);
  EXPECT_EQ(run["status"], "succeeded") << run["error"];
  EXPECT_EQ(run["prompt"], text);
  EXPECT_EQ(run["result"], text);
  EXPECT_EQ(asking.get("/api/v1/runs/" + run["id"])["prompt"], text);
  EXPECT_EQ(json_at(w.timeline(run["session_id"]).front(), "data.content"), text);
}

TEST(contract_requests, a_caller_s_json_is_never_taken_for_a_reference) {
  auto& w = shared_world();
  const std::string state =
      R"({"do":[],"blobs":{"/initial_state":{"digest":"00","size":3}},"$ref":"x"})";
  const auto run =
      w.client().post(run_target, R"({"initial_state":)" + state + "}", {{"Prefer", "wait=30"}});
  EXPECT_EQ(run["result"], state) << run.body;
}

TEST(contract_requests, a_refusal_changes_nothing) {
  auto& w = shared_world();
  auto asking = w.client();
  asking.post(run_target, R"({"prompt":"x"})", {{"Prefer", "wait=30"}});
  const auto count = [&] { // Refused calls have streams of their own.
    return w.events_of("") - w.events_of("audit.");
  };
  ASSERT_TRUE(eventually([&] { // Until what is under way has been written.
    return w.events_of("session.turn_ended") == w.events_of("session.turn_accepted");
  }));
  const auto before = count();
  EXPECT_EQ(asking.post(run_target, "{}").status, 422);
  EXPECT_EQ(asking.post("/api/v1/agents/none/runs", R"({"prompt":"x"})").status, 404);
  EXPECT_EQ(asking.post("/api/v1/agents/idle/runs", R"({"prompt":"x"})").status, 409);
  EXPECT_EQ(asking.post("/api/v1/agents", R"({"name":"told"})").status, 409);
  EXPECT_EQ(asking.post("/api/v1/agents/told/versions", "{}").status, 422);
  EXPECT_EQ(asking.ask("PATCH", "/api/v1/agents/told/versions/1", R"({"status":"active"})").status,
            409);
  EXPECT_EQ(asking.post("/api/v1/sessions/sess_none/messages", R"({"message":"x"})").status, 404);
  EXPECT_EQ(asking.post("/api/v1/sessions/sess_none/cancel", "").status, 404);
  EXPECT_EQ(asking.post("/api/v1/workspaces", R"({"name":"x","id":"default"})").status, 409);
  EXPECT_EQ(
      asking.post("/api/v1/keys", R"({"name":"x","scopes":["read"],"workspace":"none"})").status,
      422);
  // A refusal that is recorded between the two counts makes one of them wrong for a moment.
  EXPECT_TRUE(eventually([&] { return count() == before; })) << count();
}

// Goal: an id of another kind, or none at all, names nothing, on every route that takes one, and no
// actor is made for it.
TEST(contract_requests, ids_of_the_wrong_kind_name_nothing) {
  world w;
  ASSERT_TRUE(w.start());
  auto asking = w.client();
  const auto run = w.finish("[]");
  const std::string ulid = run["id"].substr(4);
  ASSERT_TRUE(eventually([&] { return metric(asking, "runledger_queued_runs") == 0; }));
  const std::vector<std::string> ids{
      run["id"],       run["agent_id"], run["session_id"],  "key_x",
      "sess_",         "sess_1",        "wrk_" + ulid,      "default",
      "part_ledger_0", "RUN_" + ulid,   "run_" + ulid + "0"};
  struct route {
    const char* method;
    std::string target, own; // The one id that it knows.
  };
  const std::vector<route> routes{{"POST", "/api/v1/sessions/{}/messages", run["session_id"]},
                                  {"POST", "/api/v1/sessions/{}/cancel", run["session_id"]},
                                  {"DELETE", "/api/v1/keys/{}", ""},
                                  {"POST", "/api/v1/runs/{}/fork", run["id"]},
                                  {"GET", "/api/v1/runs/{}", run["id"]},
                                  {"GET", "/api/v1/runs/{}/explain", run["id"]},
                                  {"GET", "/api/v1/runs/{}/log", run["id"]},
                                  {"GET", "/api/v1/runs/{}/log/events", run["id"]},
                                  {"GET", "/api/v1/runs/{}/artifacts", run["id"]},
                                  {"GET", "/api/v1/artifacts/{}", ""},
                                  {"GET", "/api/v1/sessions/{}", run["session_id"]},
                                  {"GET", "/api/v1/sessions/{}/events", run["session_id"]},
                                  {"GET", "/api/v1/agents/{}", run["agent_id"]},
                                  {"GET", "/api/v1/agents/{}/runs", run["agent_id"]},
                                  {"GET", "/api/v1/agents/{}/versions", run["agent_id"]},
                                  {"POST", "/api/v1/agents/{}/runs", run["agent_id"]}};
  // Refused calls are recorded by an actor of the workspace's own.
  EXPECT_EQ(asking.post("/api/v1/sessions/x/cancel", "").status, 404);
  ASSERT_TRUE(eventually([&] { return w.events_of("audit.call_refused") == 1; }));
  const auto actors = metric(asking, "runledger_live_actors");
  for (const auto& [method, route, own] : routes)
    for (const auto& id : ids) {
      if (id == own)
        continue;
      auto target = route;
      target.replace(target.find("{}"), 2, id);
      const auto body = std::string{method} == "POST" ? R"({"prompt":"x","at":"x"})" : "";
      const auto answer = asking.ask(method, target, body);
      EXPECT_EQ(answer.status, 404) << method << ' ' << target << ": " << answer.body;
    }
  // The stream that records what is refused may have got one.
  EXPECT_LE(metric(asking, "runledger_live_actors"), actors + 1);
  for (const char* workspace : {"default/names", "x/y", "../default"})
    EXPECT_EQ(asking
                  .post("/api/v1/keys", R"({"name":"x","scopes":["read"],"workspace":")"
                                            + std::string{workspace} + "\"}")
                  .status,
              422)
        << workspace;
}

} // namespace runledger::contract
