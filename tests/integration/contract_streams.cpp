// Goal: streams and downloads that end by themselves come whole, and as they are described: the
// client holds every item against openapi.json.

#include "tests/integration/contract_world.hpp"

namespace runledger::contract {

namespace {

const header_list as_stream = {{"Accept", "text/event-stream"}};

int items_in(const http_answer& stream) {
  int count = 0;
  for (std::size_t at = 0; (at = stream.body.find("\ndata: ", at)) != std::string::npos; ++at)
    ++count;
  return count;
}

} // namespace

TEST(contract_streams, a_run_and_a_session_end_their_streams) {
  auto& w = shared_world();
  auto asking = w.client();
  const auto run = w.finish(R"([["step","a",1],["flaky","b",1],["say","hi"],["tool","a","hammer"],)"
                            R"(["usage",0.5,1,2],["checkpoint",{"s":1}],["log","info","x"]])");
  const auto signals = asking.get("/api/v1/runs/" + run["id"] + "/log/events", as_stream);
  EXPECT_EQ(signals.status, 200);
  EXPECT_GE(items_in(signals), 8) << signals.body;
  EXPECT_NE(signals.body.find(R"("status":"succeeded")"), std::string::npos);

  const auto session = "/api/v1/sessions/" + run["session_id"];
  ASSERT_EQ(asking.post(session + "/cancel", "").status, 202);
  const auto all = asking.get(session + "/events", as_stream);
  EXPECT_EQ(all.status, 200);
  EXPECT_GT(items_in(all), items_in(signals));
  EXPECT_NE(all.body.find("session_terminated"), std::string::npos);
}

TEST(contract_streams, a_part_of_the_raw_log) {
  auto& w = shared_world();
  auto asking = w.client();
  const auto run = w.finish(R"([["stderr","0123456789"]])", "solo");
  auto url = asking.get("/api/v1/runs/" + run["id"] + "/log")["url"];
  url.erase(0, url.find("/api/"));
  const auto whole = asking.get(url);
  EXPECT_EQ(whole.status, 200);
  EXPECT_NE(whole.body.find("0123456789\n"), std::string::npos);
  const auto part = asking.get(url, {{"Range", "bytes=2-4"}});
  EXPECT_EQ(part.status, 206);
  EXPECT_EQ(part.body, whole.body.substr(2, 3));
}

} // namespace runledger::contract
