#include "events/codec.hpp"
#include "events/log/sqlite_log.hpp"
#include "tests/integration/contract_world.hpp"

#include <csignal>
#include <filesystem>
#include <fstream>

/// Refused calls are events of an audit stream, without a secret and without end.
namespace runledger::contract {

namespace {

struct recorded {
  std::string principal, request;
  audit::call_refused call;
};

/// What an audit stream holds, read beside the server.
struct audit_stream {
  std::vector<recorded> refused;
  std::vector<audit::calls_suppressed> suppressed;
};

audit_stream read_audit(const world& w, const std::string& workspace) {
  audit_stream out;
  sqlite_log_options options;
  options.folder = w.folder / "data";
  options.read_only = true;
  auto log = sqlite_log::open(options);
  if (!log) {
    ADD_FAILURE() << log.error();
    return out;
  }
  auto records = (*log)->read_stream(audit_stream_of(workspace_id{workspace}), 1, 100'000);
  EXPECT_TRUE(records);
  for (const auto& r : *records) {
    auto fact = decode<audit::event>(r->event);
    if (!fact)
      ADD_FAILURE() << r->event.id();
    else if (auto* call = std::get_if<audit::call_refused>(&*fact))
      out.refused.push_back({r->event.principal, r->event.correlation_id, std::move(*call)});
    else
      out.suppressed.push_back(std::get<audit::calls_suppressed>(*fact));
  }
  return out;
}

/// The record of this answer's request, once it is there.
std::optional<recorded> record_of(const world& w, const std::string& workspace,
                                  const http_answer& answer) {
  const auto request = answer.header("runledger-request-id");
  std::optional<recorded> found;
  eventually([&] {
    for (auto& each : read_audit(w, workspace).refused)
      if (each.request == request)
        found = std::move(each);
    return found.has_value();
  });
  return found;
}

void expect_recorded(const world& w, const std::string& workspace, const http_answer& answer,
                     int status, const std::string& principal, const audit::call_refused& call) {
  EXPECT_EQ(answer.status, status) << answer.body;
  const auto found = record_of(w, workspace, answer);
  ASSERT_TRUE(found) << call.path << ": not recorded";
  EXPECT_EQ(found->principal, principal) << call.path;
  EXPECT_EQ(found->call.method, call.method) << call.path;
  EXPECT_EQ(found->call.route, call.route);
  EXPECT_EQ(found->call.path, call.path);
  EXPECT_EQ(found->call.targets, call.targets) << call.path;
  EXPECT_EQ(found->call.status, status) << call.path;
  EXPECT_EQ(found->call.code, answer["code"]);
}

/// Whether any file of the data folder holds the text.
bool stored_anywhere(const world& w, const std::string& text) {
  for (const auto& file : std::filesystem::recursive_directory_iterator{w.folder / "data"})
    if (file.is_regular_file() && file.path().filename() != "admin.key"
        && test::read_whole_file(file.path()).find(text) != std::string::npos)
      return true;
  return false;
}

} // namespace

TEST(contract_audit, refused_calls_are_recorded) {
  world w;
  ASSERT_TRUE(w.start());
  auto asking = w.client();
  const auto made = asking.post("/api/v1/keys", R"({"name":"reader","scopes":["read"]})");
  const auto admin =
      json_at(where(json_elements(asking.get("/api/v1/keys").body), "name", "admin").at(0), "id");
  auto reading = w.client(made["key"]);
  expect_recorded(
      w, "default", reading.post("/api/v1/agents/told/runs", R"({"prompt":"x"})"), 403, made["id"],
      {"POST", "/api/v1/agents/{agent}/runs", "/api/v1/agents/told/runs", {"told"}, 0, {}});
  auto unknown = w.client("rlk_wrong");
  expect_recorded(w, "system", unknown.post("/api/v1/agents", "{}"), 401, "anonymous",
                  {"POST", "/api/v1/agents", "/api/v1/agents", {}, 0, {}});
  expect_recorded(
      w, "default", asking.post("/api/v1/agents/none/runs", R"({"prompt":"x"})"), 404, admin,
      {"POST", "/api/v1/agents/{agent}/runs", "/api/v1/agents/none/runs", {"none"}, 0, {}});
  expect_recorded(
      w, "default", asking.post("/api/v1/agents/idle/runs", R"({"prompt":"x"})"), 409, admin,
      {"POST", "/api/v1/agents/{agent}/runs", "/api/v1/agents/idle/runs", {"idle"}, 0, {}});
  expect_recorded(
      w, "default", asking.post("/api/v1/agents/told/runs", "{}"), 422, admin,
      {"POST", "/api/v1/agents/{agent}/runs", "/api/v1/agents/told/runs", {"told"}, 0, {}});
  expect_recorded(w, "default",
                  asking.ask("PATCH", "/api/v1/agents/told/versions/1", R"({"status":"active"})"),
                  409, admin,
                  {"PATCH",
                   "/api/v1/agents/{agent}/versions/{version}",
                   "/api/v1/agents/told/versions/1",
                   {"told", "1"},
                   0,
                   {}});
  const std::string ghost = "key_01ARZ3NDEKTSV4RRFFQ69G5FAV";
  expect_recorded(w, "default", asking.ask("DELETE", "/api/v1/keys/" + ghost), 404, admin,
                  {"DELETE", "/api/v1/keys/{key}", "/api/v1/keys/" + ghost, {ghost}, 0, {}});
  expect_recorded(
      w, "default", asking.post("/api/v1/agents/told/runs", "{"), 400, admin,
      {"POST", "/api/v1/agents/{agent}/runs", "/api/v1/agents/told/runs", {"told"}, 0, {}});
  const auto before = w.events_of("audit.");
  EXPECT_EQ(asking.get("/api/v1/runs/nope").status, 404);
  EXPECT_EQ(reading.get("/api/v1/keys").status, 403);
  EXPECT_EQ(unknown.get("/api/v1/runs").status, 401);
  EXPECT_EQ(asking.post("/api/v1/nowhere", "{}").status, 404);
  EXPECT_EQ(asking.ask("PUT", "/api/v1/agents", "{}").status, 405);
  EXPECT_EQ(asking.post("/api/v1/agents/told/runs", R"({"prompt":"x"})").status, 201);
  // One more refusal comes after what those could have left.
  ASSERT_TRUE(record_of(w, "default", asking.post("/api/v1/agents/told/runs", "{}")));
  ASSERT_TRUE(record_of(w, "system", unknown.post("/api/v1/agents", "{}")));
  EXPECT_EQ(w.events_of("audit."), before + 2) << "reads and successes leave none";
}

TEST(contract_audit, nothing_secret_is_kept) {
  world w;
  ASSERT_TRUE(w.start());
  auto asking = w.client();
  const auto made = asking.post("/api/v1/keys", R"({"name":"k","scopes":["read"]})");
  const auto key = made["key"];
  const auto sent = asking.ask("DELETE", "/api/v1/keys/" + key + "?key=" + key);
  EXPECT_EQ(sent.status, 404);
  const auto found = record_of(w, "default", sent);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->call.path, "/api/v1/keys/*");
  EXPECT_TRUE(found->call.targets.empty());
  const auto body = asking.post("/api/v1/agents", R"({"nam":"a-secret-in-a-body"})");
  ASSERT_TRUE(record_of(w, "default", body));
  const auto bad = w.client("rlk_a-bad-key-in-a-header").post("/api/v1/agents", "{}");
  ASSERT_TRUE(record_of(w, "system", bad));
  w.server.stop();
  for (const auto& secret :
       {key, std::string{"a-secret-in-a-body"}, std::string{"rlk_a-bad-key-in-a-header"}})
    EXPECT_FALSE(stored_anywhere(w, secret)) << secret;
}

TEST(contract_audit, a_flood_is_bounded_and_its_rest_is_counted) {
  world w{{"--audit.refused-per-minute", "3"}};
  ASSERT_TRUE(w.start());
  constexpr int calls = 2'000;
  auto asking = w.client(), unknown = w.client("rlk_wrong");
  for (int i = 0; i < calls; ++i) {
    EXPECT_EQ(asking.post("/api/v1/agents/told/runs", "{}").status, 422);
    EXPECT_EQ(unknown.post("/api/v1/agents", "{}").status, 401);
  }
  EXPECT_GT(metric(asking, "runledger_audit_suppressed_calls_total"), calls);
  EXPECT_EQ(metric(asking, "runledger_audit_lost_calls_total"), 0);
  w.server.stop();
  for (const auto& [workspace, burst] : {std::pair{"default", 15}, std::pair{"system", 5}}) {
    const auto kept = read_audit(w, workspace);
    std::int64_t counted = static_cast<std::int64_t>(kept.refused.size());
    for (const auto& each : kept.suppressed)
      counted += each.count;
    EXPECT_EQ(counted, calls) << workspace;
    EXPECT_GE(kept.refused.size(), static_cast<std::size_t>(burst));
    EXPECT_LT(kept.refused.size() + kept.suppressed.size(), 100U) << workspace;
    EXPECT_GE(kept.suppressed.size(), 1U);
  }
}

TEST(contract_audit, goes_on_after_a_restart) {
  world w;
  ASSERT_TRUE(w.start());
  auto asking = w.client();
  ASSERT_TRUE(record_of(w, "default", asking.post("/api/v1/agents", "{}")));
  w.server.kill();
  ASSERT_TRUE(w.start());
  auto again = w.client();
  ASSERT_TRUE(record_of(w, "default", again.post("/api/v1/agents", "{}")));
  EXPECT_EQ(read_audit(w, "default").refused.size(), 2U);
}

} // namespace runledger::contract
