#include "tests/integration/contract_world.hpp"

#include "events/json.hpp"

#include <fmt/format.h>
#include <sqlite3.h>

#include <atomic>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace runledger::contract {

namespace {

std::vector<std::string> with_mounts(std::vector<std::string> flags, const std::string& folder) {
  flags.insert(flags.end(), {"--sandbox.mount-roots", folder, "--log.level", "warn"});
  return flags;
}

} // namespace

world::world(std::vector<std::string> flags)
    : server(
        {RUNLEDGER_BINARY, folder / "data", with_mounts(std::move(flags), folder.path()), {}}) {
  std::filesystem::create_directory(folder / "gates");
}

bool world::start() {
  const bool again = !key.empty();
  if (!server.start()) {
    ADD_FAILURE() << server.why();
    return false;
  }
  if (again)
    return true;
  key = server.admin_key();
  make_agent("told", recipe({}, true));
  make_agent("solo", recipe());
  auto asking = client();
  EXPECT_EQ(asking.post("/api/v1/agents", R"({"name":"idle"})").status, 201);
  return asking.post("/api/v1/agents/idle/versions", R"({"recipe":)" + recipe() + "}").status
         == 201;
}

void world::open_gate(const std::string& name) const {
  std::ofstream{folder / ("gates/" + name)}.put('x');
}

std::string world::unique(const std::string& stem) {
  static std::atomic<int> count = 0;
  return stem + '-' + std::to_string(++count);
}

std::string world::make_agent(const std::string& slug, const std::string& with_recipe) const {
  auto asking = client();
  const auto made =
      asking.post("/api/v1/agents", R"({"name":)" + json_quoted(slug) + R"(,"slug":)"
                                        + json_quoted(slug) + R"(,"recipe":)" + with_recipe + "}");
  EXPECT_EQ(made.status, 201) << made.body;
  return made["id"];
}

std::string world::make_key(const std::string& scopes, const std::string& workspace) const {
  auto asking = client();
  auto body = R"({"name":"test","scopes":[)" + scopes + "]";
  if (!workspace.empty())
    body += R"(,"workspace":)" + json_quoted(workspace);
  const auto made = asking.post("/api/v1/keys", body + "}");
  EXPECT_EQ(made.status, 201) << made.body;
  return made["key"];
}

std::string world::make_workspace() const {
  auto asking = client();
  const auto made = asking.post("/api/v1/workspaces", R"({"name":"another"})");
  EXPECT_EQ(made.status, 201) << made.body;
  return made["id"];
}

std::string world::recipe(const std::string& more, bool pooled) const {
  const auto agent = test::read_whole_file(RUNLEDGER_SOURCE_DIR "/tests/support/contract_agent.py");
  const std::string_view command =
      pooled ? R"(["python3","/agent/agent.py","--runs","64"],"pool":{"max_processes":1,)"
               R"("max_runs_per_process":64})"
             : R"(["python3","/agent/agent.py"])";
  return R"({"harness":{"kind":"process","drain_seconds":20,"files":{"agent.py":)"
         + json_quoted(agent) + R"(},"mounts":[{"source":)" + json_quoted(folder / "gates")
         + R"(,"target":"/gates","mode":"ro"}],"command":)" + std::string{command}
         + R"(},"retry":{"initial_backoff_ms":10,"jitter":0})" + more + "}";
}

http_answer world::begin(const std::string& script, const std::string& agent) const {
  auto asking = client();
  auto started = asking.post("/api/v1/agents/" + agent + "/runs", script_body(script));
  EXPECT_EQ(started.status, 201) << started.body;
  return started;
}

http_answer world::finish(const std::string& script, const std::string& agent) const {
  return end_of(begin(script, agent)["id"]);
}

http_answer world::end_of(const std::string& run) const {
  auto asking = client();
  http_answer last;
  const bool ended = eventually([&] {
    last = asking.get("/api/v1/runs/" + run);
    return last.status == 200 && last["finished_at"] != "null";
  });
  EXPECT_TRUE(ended) << run << ": " << last.body;
  return last;
}

std::vector<std::string> world::timeline(const std::string& session) const {
  auto asking = client();
  std::vector<std::string> out;
  for (;;) {
    const auto page = asking.get("/api/v1/sessions/" + session
                                 + "/events?limit=1000&since=" + std::to_string(out.size()));
    EXPECT_EQ(page.status, 200) << page.body;
    auto items = json_elements(page.body);
    if (items.empty())
      return out;
    for (auto& each : items)
      out.push_back(std::move(each));
  }
}

int world::events_of(const std::string& type, const std::string& stream) const {
  sqlite3* file = nullptr;
  sqlite3_stmt* counting = nullptr;
  int count = -1;
  if (sqlite3_open_v2((folder / "data/ledger.db").c_str(), &file, SQLITE_OPEN_READONLY, nullptr)
          == SQLITE_OK
      && sqlite3_prepare_v2(
             file, "SELECT count(*) FROM events WHERE type LIKE ?1 AND (?2='' OR stream=?2)", -1,
             &counting, nullptr)
             == SQLITE_OK) {
    const auto pattern = '%' + type + '%';
    sqlite3_bind_text(counting, 1, pattern.c_str(), -1, SQLITE_TRANSIENT);
    sqlite3_bind_text(counting, 2, stream.c_str(), -1, SQLITE_TRANSIENT);
    if (sqlite3_step(counting) == SQLITE_ROW)
      count = sqlite3_column_int(counting, 0);
  }
  sqlite3_finalize(counting);
  sqlite3_close(file);
  return count;
}

std::vector<std::string> world::streams_with(const std::string& type) const {
  sqlite3* file = nullptr;
  sqlite3_stmt* reading = nullptr;
  std::vector<std::string> out;
  if (sqlite3_open_v2((folder / "data/ledger.db").c_str(), &file, SQLITE_OPEN_READONLY, nullptr)
          == SQLITE_OK
      && sqlite3_prepare_v2(file, "SELECT stream FROM events WHERE type LIKE ?1 ORDER BY offset",
                            -1, &reading, nullptr)
             == SQLITE_OK) {
    const auto pattern = '%' + type + '%';
    sqlite3_bind_text(reading, 1, pattern.c_str(), -1, SQLITE_TRANSIENT);
    while (sqlite3_step(reading) == SQLITE_ROW)
      out.emplace_back(reinterpret_cast<const char*>(sqlite3_column_text(reading, 0)));
  }
  sqlite3_finalize(reading);
  sqlite3_close(file);
  return out;
}

world& shared_world() {
  static world one;
  static const bool up = one.start();
  if (!up)
    std::abort(); // Every test of the process would fail with less to say.
  return one;
}

test::spoken say(const std::string& words) {
  return test::shell(fmt::format("'{}' {}", RUNLEDGER_BINARY, words));
}

std::string script_body(const std::string& script) {
  return R"({"initial_state":{"do":)" + script + "}}";
}

std::string member_names(std::string_view text) {
  std::string out;
  if (const auto parsed = json::parse(text); parsed && parsed->root().is_object())
    for (const auto each : parsed->root().children())
      out += (out.empty() ? "" : ",") + std::string{each.name()};
  return out;
}

std::vector<std::string> where(const std::vector<std::string>& items, std::string_view path,
                               std::string_view value) {
  std::vector<std::string> out;
  for (const auto& each : items)
    if (json_at(each, path) == value)
      out.push_back(each);
  return out;
}

std::string column(const std::vector<std::string>& items, std::string_view path) {
  std::string out;
  for (const auto& each : items)
    out += (out.empty() ? "" : ",") + json_at(each, path);
  return out;
}

std::string next_page(const http_answer& page) {
  const auto link = page.header("Link");
  const auto end = link.find(">; rel=\"next\"");
  return link.empty() || end == std::string::npos ? std::string{} : link.substr(1, end - 1);
}

std::vector<std::string> all_pages(http_client& client, std::string target) {
  std::vector<std::string> out;
  while (!target.empty()) {
    const auto page = client.get(target);
    EXPECT_EQ(page.status, 200) << target << ": " << page.body;
    for (auto& each : json_elements(page.body))
      out.push_back(std::move(each));
    target = next_page(page);
  }
  return out;
}

double metric(http_client& client, const std::string& name) {
  const auto all = '\n' + client.get("/metrics").body;
  const auto at = all.find('\n' + name + ' ');
  return at == std::string::npos ? -1 : std::strtod(all.c_str() + at + name.size() + 2, nullptr);
}

void expect_problem(const http_answer& answer, int status, const std::string& code) {
  EXPECT_EQ(answer.status, status) << answer.body;
  EXPECT_EQ(answer.header("Content-Type"), "application/problem+json") << answer.body;
  EXPECT_EQ(answer["code"], code) << answer.body;
  EXPECT_EQ(answer["status"], std::to_string(status)) << answer.body;
  for (const char* name : {"type", "title", "detail", "request_id"})
    EXPECT_FALSE(answer[name].empty()) << name << " of " << answer.body;
}

void expect_invalid(const http_answer& answer, const std::string& loc) {
  EXPECT_EQ(answer.status, 422) << answer.body;
  EXPECT_EQ(answer.header("Content-Type"), "application/problem+json") << answer.body;
  const auto errors = json_elements(answer["errors"]);
  EXPECT_FALSE(where(errors, "loc", loc).empty()) << "no error at " << loc << ": " << answer.body;
  for (const auto& each : errors)
    EXPECT_EQ(member_names(each), "loc,msg,type") << answer.body;
}

void expect_id(const std::string& id, const std::string& prefix) {
  EXPECT_EQ(id.size(), prefix.size() + 26) << id;
  EXPECT_EQ(id.substr(0, prefix.size()), prefix) << id;
  EXPECT_EQ(id.find_first_not_of("0123456789ABCDEFGHJKMNPQRSTVWXYZ", prefix.size()),
            std::string::npos)
      << id;
}

void expect_time(const std::string& text) {
  const std::string shape = "0000-00-00T00:00:00.000Z";
  bool fits = text.size() == shape.size();
  for (std::size_t i = 0; fits && i < shape.size(); ++i)
    fits = shape[i] == '0' ? std::isdigit(static_cast<unsigned char>(text[i])) != 0
                           : text[i] == shape[i];
  EXPECT_TRUE(fits) << text;
}

} // namespace runledger::contract
