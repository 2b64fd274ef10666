#include "tests/crash/world.hpp"

#include "tests/support/shell.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <thread>

namespace runledger::crash {

namespace fs = std::filesystem;

namespace {

constexpr const char* steps_agent = R"py(
import time
import runledger_agent

def main(run):
    wanted = run.initial_state or {"steps": 2, "pause_ms": 1}
    def noted(run_key, attempt):
        with open("/effects/steps", "a") as effects:
            effects.write(f"{run_key} {attempt}\n")
        time.sleep(wanted["pause_ms"] / 1000)
        return attempt
    for n in range(1, wanted["steps"] + 1):
        run.step(f"s{n}", lambda: noted(run.idempotency_key(), run.step_attempt))
    run.message("done")
    return {"steps": wanted["steps"]}

runledger_agent.serve(main)
)py";

std::string source_file(const std::string& path) {
  return read_whole_file(std::string{RUNLEDGER_SOURCE_DIR "/"} + path);
}

std::string mount(const std::string& source, const std::string& target, const char* mode) {
  return R"({"source":)" + json_quoted(source) + R"(,"target":)" + json_quoted(target)
         + R"(,"mode":")" + mode + R"("})";
}

server_options options_of(const temp_folder& folder, const std::string& bench) {
  server_options out;
  out.binary = RUNLEDGER_BINARY;
  out.data = folder / "data";
  out.flags = {"--sandbox.mount-roots", folder.path() + "," + bench,
               "--log.level",           "info",
               "--runs.max-running",    "8"};
  return out;
}

std::string bench_folder() {
  return fs::path{RUNLEDGER_POOLED_HARNESS}.parent_path().string();
}

/// Every page of a list, one object a line.
std::string whole_list(http_client& client, const std::string& target,
                       std::vector<std::string>& problems, std::vector<std::string>* ids) {
  std::string out, next = target;
  while (!next.empty()) {
    const auto page = client.get(next);
    if (page.status != 200) {
      problems.push_back("GET " + next + ": " + std::to_string(page.status) + " " + page.body);
      return out;
    }
    for (const auto& each : json_elements(page.body)) {
      out += each + '\n';
      if (ids != nullptr)
        ids->push_back(json_at(each, "id"));
    }
    const auto link = page.header("link");
    const auto end = link.find(">; rel=\"next\"");
    next = end == std::string::npos ? std::string{} : link.substr(1, end - 1);
    if (const auto host = next.find("://"); host != std::string::npos)
      next.erase(0, next.find('/', host + 3));
  }
  return out;
}

std::string whole_timeline(http_client& client, const std::string& session,
                           std::vector<std::string>& problems) {
  std::string out;
  for (std::size_t seq = 0;;) {
    const auto page = client.get("/api/v1/sessions/" + session
                                 + "/events?limit=1000&since=" + std::to_string(seq));
    if (page.status != 200)
      problems.push_back("timeline of " + session + ": " + std::to_string(page.status));
    const auto items = json_elements(page.body);
    for (const auto& each : items) {
      if (json_at(each, "seq") != std::to_string(++seq))
        problems.push_back("timeline of " + session + " has no seq " + std::to_string(seq));
      out += each + '\n';
    }
    if (items.empty())
      return out;
  }
}

} // namespace

world::world() : server(options_of(folder, bench_folder())) {
  fs::create_directories(effects());
}

bool world::start() {
  const bool ready = server.start();
  EXPECT_TRUE(ready) << server.why();
  return ready;
}

http_client world::client() const {
  return http_client{server.port(), server.admin_key()};
}

std::string world::make_agent(const std::string& name, const std::string& recipe) const {
  auto asking = client();
  const auto made = asking.post("/api/v1/agents",
                                R"({"name":)" + json_quoted(name) + R"(,"recipe":)" + recipe + "}");
  EXPECT_EQ(made.status, 201) << made.body;
  return made.status == 201 ? made["id"] : std::string{};
}

http_answer world::run_to_end(const std::string& agent, const std::string& body,
                              int seconds) const {
  auto asking = client();
  asking.patience(std::chrono::seconds{seconds + 10});
  return asking.post("/api/v1/agents/" + agent + "/runs", body,
                     {{"Prefer", "wait=" + std::to_string(seconds)}});
}

http_answer world::await_end_of(const std::string& run, std::chrono::milliseconds at_most) const {
  auto asking = client();
  http_answer last;
  eventually(
      [&] {
        last = asking.get("/api/v1/runs/" + run);
        return last.status == 200 && !last["finished_at"].empty() && last["finished_at"] != "null";
      },
      at_most);
  return last;
}

bool world::drained(std::chrono::milliseconds at_most) const {
  auto asking = client();
  const auto views_show_all = [&] {
    const auto end = std::to_string(end_of_ledger(data()));
    const auto views = json_elements(asking.get("/api/v1/admin/projections").body);
    return !views.empty() && std::ranges::all_of(views, [&](const std::string& each) {
      return json_at(each, "position") == end;
    });
  };
  return eventually([&] { return unfinished_streams(data()) == 0 && views_show_all(); }, at_most);
}

std::string pooled_recipe(const world& w) {
  return R"({"harness":{"kind":"process","command":["/harness/pooled_harness","--steps","3",)"
         R"("--effects","/effects/pooled"],"mounts":[)"
         + mount(bench_folder(), "/harness", "ro") + ',' + mount(w.effects(), "/effects", "rw")
         + R"(],"pool":{"max_processes":2,"max_runs_per_process":64},"drain_seconds":2},)"
           R"("retry":{"max_attempts":2,"initial_backoff_ms":20}})";
}

std::string steps_recipe(const world& w) {
  return R"({"harness":{"kind":"process","command":["python3","/agent/steps.py"],"files":{)"
         R"("steps.py":)"
         + json_quoted(steps_agent) + R"(,"runledger_agent.py":)"
         + json_quoted(source_file("examples/agents/python/runledger_agent.py")) + R"(},"mounts":[)"
         + mount(w.effects(), "/effects", "rw")
         + R"(],"drain_seconds":2},"retry":{"max_attempts":2,"initial_backoff_ms":20}})";
}

std::string rude_recipe(const std::vector<std::string>& arguments, const std::string& more,
                        const std::string& harness_more) {
  std::string command = R"(["python3","/agent/rude_harness.py")";
  for (const auto& each : arguments)
    command += ',' + json_quoted(each);
  return R"({"harness":{"kind":"process","command":)" + command + R"(],"files":{"rude_harness.py":)"
         + json_quoted(source_file("tests/support/rude_harness.py")) + "}" + harness_more + "}"
         + more + "}";
}

std::string example_agent(const std::string& name) {
  const auto command = "/usr/bin/python3 -B '" RUNLEDGER_SOURCE_DIR
                       "/examples/agents/make_recipe.py' '" RUNLEDGER_SOURCE_DIR "/examples/agents/"
                       + name + "'";
  return test::shell_apart(command).out;
}

std::string dump_answers(const world& w, std::vector<std::string>& problems) {
  auto asking = w.client();
  std::vector<std::string> sessions;
  std::string out = whole_list(asking, "/api/v1/agents?limit=200", problems, nullptr);
  out += whole_list(asking, "/api/v1/runs?limit=200", problems, nullptr);
  out += whole_list(asking, "/api/v1/sessions?limit=200", problems, &sessions);
  for (const auto& session : sessions)
    out += whole_timeline(asking, session, problems);
  const auto sums =
      asking.get("/api/v1/analytics/agents?start=2020-01-01T00:00:00Z&end=2100-01-01T00:00:00Z");
  if (sums.status != 200)
    problems.push_back("analytics: " + std::to_string(sums.status));
  return out + sums.body + '\n';
}

std::uint64_t seed_of_test() {
  const char* given = std::getenv("TEST_SEED");
  const auto seed = given != nullptr ? std::strtoull(given, nullptr, 10)
                                     : static_cast<unsigned long long>(std::random_device{}());
  std::printf("TEST_SEED=%llu\n", seed);
  std::fflush(stdout);
  return seed;
}

int kills_wanted(int otherwise) {
  for (const char* name : {"CRASH_KILLS", "TEST_KILLS"})
    if (const char* given = std::getenv(name); given != nullptr)
      return std::atoi(given);
  return otherwise;
}

std::string some_of(const std::vector<std::string>& lines) {
  std::string out = std::to_string(lines.size()) + " in all\n";
  for (std::size_t i = 0; i < lines.size() && i < 12; ++i)
    out += "  " + lines[i] + '\n';
  return out;
}

std::vector<std::string> files_with(const std::string& folder, const std::string& text) {
  std::vector<std::string> out;
  for (const auto& each : fs::recursive_directory_iterator{folder})
    if (each.path().string().find(text) != std::string::npos
        || (each.is_regular_file()
            && read_whole_file(each.path().string()).find(text) != std::string::npos))
      out.push_back(each.path().string());
  return out;
}

} // namespace runledger::crash
