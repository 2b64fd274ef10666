// Goal: prove that the edge tells of every refused call that would have changed something, with who
// asked, however late the refusal comes, and of nothing else.

#include "tests/http/edge_fixture.hpp"

namespace edge_test {
namespace {

class edge_refusal : public edge_fixture {
protected:
  struct told {
    std::string method, pattern, path, by, request, code;
    int status;
  };

  void start_listening() {
    start();
    on_edge([this] {
      server_->on_refusal([this](const refused_call& call) {
        told_.push_back({std::string{name_of(call.method)}, std::string{call.pattern},
                         std::string{call.path}, call.by ? call.by->key_id : "nobody",
                         std::string{call.request_id}, std::string{call.code},
                         static_cast<int>(call.status)});
      });
    });
  }
  std::vector<told> all() {
    return on_edge([this] { return told_; });
  }
  std::string last() {
    const auto now = all();
    if (now.empty())
      return "nothing";
    const auto& t = now.back();
    return t.method + ' ' + t.pattern + ' ' + t.path + ' ' + t.by + ' ' + std::to_string(t.status)
           + ' ' + t.code;
  }
  static std::string ask(const std::string& line, const std::string& key,
                         const std::string& more = {}) {
    return line + " HTTP/1.1\r\nHost: toy\r\n" + (key.empty() ? "" : "X-API-Key: " + key + "\r\n")
           + more + "\r\n";
  }

private:
  std::vector<told> told_; // HTTP thread only.
};

TEST_F(edge_refusal, IsToldOfCallsThatWouldChangeSomething) {
  start_listening();
  auto client = connect();
  EXPECT_EQ(client.ask(ask("DELETE /shape/7", "")).status, 401);
  EXPECT_EQ(last(), "DELETE /shape/{id} /shape/7 nobody 401 unauthorized");
  EXPECT_EQ(client.ask(ask("DELETE /shape/7", "nonsense")).status, 401);
  EXPECT_EQ(last(), "DELETE /shape/{id} /shape/7 nobody 401 unauthorized");
  const auto forbidden = client.ask(ask("DELETE /shape/7?q=secret", "reader"));
  EXPECT_EQ(forbidden.status, 403);
  EXPECT_EQ(last(), "DELETE /shape/{id} /shape/7 reader 403 forbidden");
  EXPECT_EQ(all().back().request, forbidden.header("runledger-request-id"));
  EXPECT_EQ(client.ask(post("/echo", "{}", "Content-Type: text/plain\r\n")).status, 415);
  EXPECT_EQ(last(), "POST /echo /echo writer 415 unsupported_media_type");
  EXPECT_EQ(all().size(), 4U);
}

TEST_F(edge_refusal, IsNotToldOfAnythingElse) {
  start_listening();
  auto client = connect();
  EXPECT_EQ(client.ask(post("/echo", "{}")).status, 200);
  EXPECT_EQ(client.ask(ask("DELETE /shape/7", "writer")).status, 204);
  EXPECT_EQ(client.ask(get("/admin")).status, 403);
  EXPECT_EQ(client.ask(ask("GET /admin", "")).status, 401);
  EXPECT_EQ(client.ask(get("/nowhere")).status, 404);
  EXPECT_EQ(client.ask(post("/nowhere", "{}")).status, 404);
  EXPECT_EQ(client.ask(post("/admin", "{}")).status, 405);
  EXPECT_EQ(once("POST /echo HTTP/1.1\r\nbroken\r\n\r\n").status, 400);
  EXPECT_EQ(last(), "nothing");
}

TEST_F(edge_refusal, IsToldWhenTheRefusalComesLate) {
  start_listening();
  auto client = connect();
  client.send(post("/later?x=1", "{\"a\":1}"));
  ASSERT_TRUE(reaches(&toy::arrived, 1));
  client.send(post("/size", "123")); // Comes into the buffer where the first one stood.
  on_edge([this] {
    toy_.waiting.front().problem(fault::conflict);
    toy_.waiting.clear();
  });
  EXPECT_EQ(client.read().status, 409);
  EXPECT_EQ(client.read().status, 200);
  EXPECT_EQ(last(), "POST /later /later writer 409 conflict");
  client.send(post("/later", "{}"));
  ASSERT_TRUE(reaches(&toy::arrived, 2));
  on_edge([this] { toy_.waiting.clear(); }); // Dropped: 500.
  EXPECT_EQ(client.read().status, 500);
  EXPECT_EQ(last(), "POST /later /later writer 500 internal");
  EXPECT_EQ(all().size(), 2U);
}

} // namespace
} // namespace edge_test
