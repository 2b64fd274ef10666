#include "tests/integration/contract_world.hpp"
#include "tests/support/fault_fs.hpp"

/// What runs leave behind: artifacts and raw logs.
namespace runledger::contract {

TEST(contract_artifacts, are_listed_and_downloaded) {
  auto& w = shared_world();
  auto asking = w.client();
  const auto run = w.finish(
      R"([["artifact","a.txt","hello world","text/plain"],["artifact","two words é.bin","xyz"]])");
  ASSERT_EQ(run["artifact_count"], "2") << run.body;
  const auto list = asking.get("/api/v1/runs/" + run["id"] + "/artifacts");
  ASSERT_EQ(json_elements(list.body).size(), 2U);
  const auto one = where(json_elements(list.body), "name", "a.txt").at(0);
  EXPECT_EQ(member_names(one), "id,run_id,name,media_type,size,digest,created_at");
  expect_id(json_at(one, "id"), "art_");
  expect_time(json_at(one, "created_at"));
  EXPECT_EQ(json_at(one, "run_id"), run["id"]);
  EXPECT_EQ(json_at(one, "media_type"), "text/plain");
  EXPECT_EQ(json_at(one, "size"), "11");
  const std::string digest = "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9";
  EXPECT_EQ(json_at(one, "digest"), "sha256:" + digest);
  const auto target = "/api/v1/artifacts/" + json_at(one, "id");
  const auto whole = asking.get(target);
  EXPECT_EQ(whole.status, 200);
  EXPECT_EQ(whole.body, "hello world");
  EXPECT_EQ(whole.header("Content-Type").substr(0, 10), "text/plain");
  EXPECT_EQ(whole.header("ETag"), json_quoted(json_at(one, "digest")));
  EXPECT_EQ(whole.header("Content-Disposition").substr(0, 10), "attachment");
  EXPECT_NE(whole.header("Content-Disposition").find("a.txt"), std::string::npos);
  const auto other = where(json_elements(list.body), "size", "3").at(0);
  const auto odd = asking.get("/api/v1/artifacts/" + json_at(other, "id"));
  EXPECT_EQ(odd.body, "xyz");
  EXPECT_NE(odd.header("Content-Disposition").find("two%20words%20%C3%A9.bin"), std::string::npos)
      << odd.header("Content-Disposition");
  expect_problem(asking.get("/api/v1/artifacts/art_none"), 404, "not_found");
  EXPECT_EQ(
      json_elements(asking.get("/api/v1/runs/" + run["id"] + "/artifacts?limit=1").body).size(),
      1U);
}

// Goal: an artifact for which the store has no room, or that it fails to write, waits for better
// times; it is no failure of the run.
TEST(contract_artifacts, wait_for_room) {
  world w;
  test::fault_fs blobs{w.folder / "faults", w.folder / "data/blobs"};
  w.server.options().environment = {{"LD_PRELOAD", RUNLEDGER_FAULT_FS_LIBRARY},
                                    {"RUNLEDGER_FAULT_FS", blobs.path()}};
  ASSERT_TRUE(w.start());
  auto asking = w.client();
  const auto publish = [&](const char* agent) {
    const auto before = blobs.writes();
    const auto run = w.begin(R"([["step","a"],["artifact","a.txt","hello world"]])", agent);
    EXPECT_TRUE(eventually([&] { return blobs.writes() > before; })) << "the store was never asked";
    return run["id"];
  };
  for (const char* agent : {"solo", "told"}) {
    blobs.disk_full();
    const auto run = publish(agent);
    const auto waiting = asking.get("/api/v1/runs/" + run);
    EXPECT_EQ(waiting["status"], "running") << waiting.body;
    blobs.disk_has_room();
    const auto ended = w.end_of(run);
    EXPECT_EQ(ended["status"], "succeeded") << ended.body;
    EXPECT_EQ(ended["attempt"], "1");
    EXPECT_EQ(ended["artifact_count"], "1");
  }
  blobs.fail_syncs(1);
  const auto failed = w.end_of(publish("solo"));
  EXPECT_EQ(failed["status"], "succeeded") << failed.body;
  EXPECT_EQ(failed["attempt"], "1");
}

TEST(contract_artifacts, have_ranges_and_conditions) {
  auto& w = shared_world();
  auto asking = w.client();
  const auto run = w.finish(R"([["artifact","a.txt","0123456789"]])");
  const auto target =
      "/api/v1/artifacts/" + asking.get("/api/v1/runs/" + run["id"] + "/artifacts")["0.id"];
  const auto etag = asking.get(target).header("ETag");
  ASSERT_FALSE(etag.empty());
  for (const auto& match : {etag, std::string{"*"}, "\"x\", " + etag, "W/" + etag}) {
    const auto same = asking.get(target, {{"If-None-Match", match}});
    EXPECT_EQ(same.status, 304) << match;
    EXPECT_EQ(same.body, "");
    EXPECT_EQ(same.header("ETag"), etag);
  }
  EXPECT_EQ(asking.get(target, {{"If-None-Match", "\"x\""}}).status, 200);
  for (const auto& [range, body, content] :
       std::vector<std::tuple<const char*, const char*, const char*>>{
           {"bytes=2-4", "234", "bytes 2-4/10"},
           {"bytes=7-", "789", "bytes 7-9/10"},
           {"bytes=-2", "89", "bytes 8-9/10"},
           {"bytes=8-99", "89", "bytes 8-9/10"}}) {
    const auto part = asking.get(target, {{"Range", range}});
    EXPECT_EQ(part.status, 206) << range;
    EXPECT_EQ(part.body, body) << range;
    EXPECT_EQ(part.header("Content-Range"), content);
  }
  const auto beyond = asking.get(target, {{"Range", "bytes=10-"}});
  EXPECT_EQ(beyond.status, 416);
  EXPECT_EQ(beyond.header("Content-Range"), "bytes */10");
  EXPECT_EQ(asking.get(target, {{"Range", "bytes=2-4"}, {"If-Range", "\"x\""}}).status, 200);
  EXPECT_EQ(asking.get(target, {{"Range", "lines=1-2"}}).status, 200);
  const auto head = asking.ask("HEAD", target);
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.body, "");
  EXPECT_EQ(head.header("Content-Length"), "10");
  EXPECT_EQ(head.header("ETag"), etag);
}

TEST(contract_artifacts, a_file_that_is_none_fails_the_attempt) {
  auto& w = shared_world();
  w.make_agent("linker",
               R"({"harness":{"kind":"process","command":["python3","/agent/a.py"],"files":)"
               R"({"a.py":"import os,sys\nprint('{\"type\":\"ready\",\"protocol\":1}',)"
               R"(flush=True)\nsys.stdin.readline();sys.stdin.readline()\nos.symlink('/etc/)"
               R"(passwd','x')\nprint('{\"type\":\"artifact\",\"path\":\"x\"}',flush=True)\n)"
               R"(sys.stdin.readline()\n"}},"retry":{"max_attempts":1}})");
  const auto run = w.finish("[]", "linker");
  EXPECT_EQ(run["status"], "failed");
  EXPECT_EQ(run["error.code"], "artifact_refused") << run.body;
  EXPECT_EQ(run["artifact_count"], "0");
}

TEST(contract_artifacts, the_raw_log_has_a_signed_url) {
  auto& w = shared_world();
  auto asking = w.client();
  const auto gate = world::unique("log");
  const auto run = w.begin(
      R"([["stderr","first line"],["wait",")" + gate + R"("],["stderr","last line"]])", "solo");
  const auto target = "/api/v1/runs/" + run["id"] + "/log";
  expect_problem(asking.get(target), 404, "not_found");
  w.open_gate(gate);
  ASSERT_EQ(w.end_of(run["id"])["status"], "succeeded");
  const auto link = asking.get(target);
  ASSERT_EQ(link.status, 200) << link.body;
  EXPECT_EQ(member_names(link.body), "url,expires_in_seconds");
  const auto url = link["url"];
  const auto path = url.substr(url.find('/', url.find("://") + 3));
  http_client nobody{w.server.port()};
  EXPECT_EQ(nobody.get(path).status, 200);
  EXPECT_EQ(nobody.get(path).body, "first line\nlast line\n");
  const auto expires = path.find("expires=") + 8;
  auto expired = path, tampered = path, other = path;
  expired.replace(expires, path.find('&', expires) - expires, "1000000000");
  EXPECT_EQ(nobody.get(expired).status, 403);
  tampered.back() = tampered.back() == '0' ? '1' : '0';
  EXPECT_EQ(nobody.get(tampered).status, 403);
  const auto second = w.finish("[]", "solo");
  other.replace(other.find(run["id"]), run["id"].size(), second["id"]);
  EXPECT_EQ(nobody.get(other).status, 403) << "a signature is for one path";
  EXPECT_EQ(nobody.get(path.substr(0, path.find('?'))).status, 403);
}

} // namespace runledger::contract
