// Goal: prove that every request gets exactly one answer, whatever its handler does, and that files
// are sent as asked for.

#include "tests/http/edge_fixture.hpp"

#include <cstdio>
#include <fstream>
#include <thread>
#include <unistd.h>

namespace edge_test {
namespace {

class edge_reply : public edge_fixture {
protected:
  /// Finishes the first waiting reply on the HTTP thread.
  void finish(std::string text = "{}") {
    on_edge([&] {
      toy_.waiting.front().json(status::ok, text);
      toy_.waiting.erase(toy_.waiting.begin());
    });
  }
};

TEST_F(edge_reply, AnswersLater) {
  start();
  auto client = connect();
  client.send(get("/later"));
  ASSERT_TRUE(reaches(&toy::arrived, 1));
  EXPECT_TRUE(on_edge([&] { return toy_.waiting[0].is_open(); }));
  finish("{\"late\":true}");
  EXPECT_EQ(client.read().body, "{\"late\":true}");
  EXPECT_EQ(client.ask(get("/open")).status, 200);
}

TEST_F(edge_reply, FinishedThroughItsExecutor) {
  start();
  auto client = connect();
  client.send(get("/later"));
  ASSERT_TRUE(reaches(&toy::arrived, 1));
  auto kept = std::make_shared<reply>(on_edge([&] { return std::move(toy_.waiting[0]); }));
  std::thread other{[&] {
    auto executor = kept->executor();
    net::post(executor, [kept = std::move(kept)] { kept->json(status::created, "{}"); });
  }};
  other.join();
  EXPECT_EQ(client.read().status, 201);
}

TEST_F(edge_reply, HoldsPipelinedRequestsUntilTheAnswer) {
  start();
  auto client = connect();
  client.send(get("/later") + get("/open"));
  ASSERT_TRUE(reaches(&toy::arrived, 1));
  EXPECT_FALSE(client.readable_within(std::chrono::milliseconds{20}));
  client.send(get("/open?second"));
  finish();
  EXPECT_EQ(client.read().body, "{}");
  EXPECT_EQ(client.read().status, 200);
  EXPECT_NE(client.read().body.find("second"), std::string::npos);
}

TEST_F(edge_reply, MoreEarlyRequestsThanTheBufferHoldsAreServedLater) {
  start();
  auto client = connect();
  client.send(get("/later"));
  ASSERT_TRUE(reaches(&toy::arrived, 1));
  std::string many;
  for (int i = 0; i < 400; ++i)
    many += get("/echo/n" + std::to_string(i));
  client.send(many);
  finish();
  EXPECT_EQ(client.read().body, "{}");
  for (int i = 0; i < 400; ++i)
    ASSERT_NE(client.read().body.find("\"n" + std::to_string(i) + "\""), std::string::npos) << i;
}

TEST_F(edge_reply, DroppedUnfinishedIs500) {
  start();
  auto client = connect();
  const auto got = client.ask(get("/dropped"));
  EXPECT_EQ(got.status, 500);
  EXPECT_NE(got.body.find("\"code\":\"internal\""), std::string::npos);
  EXPECT_EQ(client.ask(get("/open")).status, 200);
  EXPECT_EQ(on_edge([&] { return server_->figures().dropped; }), 1u);
  EXPECT_EQ(on_edge([&] { return complaints_.size(); }), 1u);
}

TEST_F(edge_reply, DroppedOnAnotherThreadIs500) {
  start();
  auto client = connect();
  client.send(get("/later"));
  ASSERT_TRUE(reaches(&toy::arrived, 1));
  auto taken = on_edge([&] { return std::move(toy_.waiting[0]); });
  std::thread{[taken = std::move(taken)] {}}.join();
  EXPECT_EQ(client.read().status, 500);
}

TEST_F(edge_reply, AThrowingHandlerIs500) {
  start();
  auto client = connect();
  EXPECT_EQ(client.ask(get("/throws")).status, 500);
  EXPECT_EQ(client.ask(get("/open")).status, 200);
}

TEST_F(edge_reply, DeadlineOfAReadIsTimeout) {
  start({.request_timeout = std::chrono::milliseconds{50}});
  auto client = connect();
  const auto got = client.ask(get("/later"));
  EXPECT_EQ(got.status, 503);
  EXPECT_NE(got.body.find("\"code\":\"timeout\""), std::string::npos);
  // The late answer goes nowhere, least of all to the next request.
  client.send(get("/later"));
  ASSERT_TRUE(reaches(&toy::arrived, 2));
  on_edge([&] { toy_.waiting[0].json(status::ok, "{\"stale\":true}"); });
  on_edge([&] { toy_.waiting[1].json(status::ok, "{\"fresh\":true}"); });
  EXPECT_EQ(client.read().body, "{\"fresh\":true}");
}

TEST_F(edge_reply, DeadlineOfAWriteIsOutcomeUnknown) {
  start({.request_timeout = std::chrono::milliseconds{50}});
  const auto got = once(post("/later", "{}"));
  EXPECT_EQ(got.status, 503);
  EXPECT_NE(got.body.find("\"code\":\"outcome_unknown\""), std::string::npos);
  EXPECT_EQ(got.header("Retry-After"), "1");
}

TEST_F(edge_reply, AHandlerMayExtendItsDeadline) {
  toy_.extend = std::chrono::seconds{60};
  start({.request_timeout = std::chrono::milliseconds{50}});
  auto client = connect();
  client.send(get("/later"));
  ASSERT_TRUE(reaches(&toy::arrived, 1));
  EXPECT_FALSE(client.readable_within(std::chrono::milliseconds{150}));
  finish();
  EXPECT_EQ(client.read().status, 200);
}

TEST_F(edge_reply, TellsWhenTheClientLeaves) {
  start();
  auto client = connect();
  client.send(get("/later"));
  ASSERT_TRUE(reaches(&toy::arrived, 1));
  client.close();
  ASSERT_TRUE(reaches(&toy::told, 1));
  EXPECT_FALSE(on_edge([&] { return toy_.waiting[0].is_open(); }));
  finish(); // Into the void.
  EXPECT_TRUE(eventually([&] { return server_->figures().connections_open == 0; }));
  EXPECT_EQ(on_edge([&] { return server_->figures().abandoned; }), 1u);
}

TEST_F(edge_reply, OutlivesTheServer) {
  start();
  auto client = connect();
  client.send(get("/later"));
  ASSERT_TRUE(reaches(&toy::arrived, 1));
  on_edge([&] {
    server_.reset();
    EXPECT_FALSE(toy_.waiting[0].is_open());
    toy_.waiting[0].json(status::ok, "{}");
  });
  EXPECT_TRUE(client.ends());
}

TEST_F(edge_reply, HeaderValuesCannotBreakOut) {
  start();
  const auto got = once(get("/injection"));
  EXPECT_EQ(got.header("X-Toy"), "one  X-Evil: two");
  EXPECT_EQ(got.header("X-Evil"), "");
}

TEST_F(edge_reply, NoContentHasNoLength) {
  start();
  const auto got = once("DELETE /shape/1 HTTP/1.1\r\nHost: toy\r\nX-API-Key: writer\r\n\r\n");
  EXPECT_EQ(got.status, 204);
  EXPECT_EQ(got.header("Content-Length"), "");
}

TEST_F(edge_reply, ALargeAnswerArrivesWhole) {
  start();
  auto client = connect();
  EXPECT_EQ(client.ask(get("/large")).body.size(), 4u * 1024 * 1024);
  EXPECT_EQ(client.ask(get("/open")).status, 200);
}

TEST_F(edge_reply, AClientThatDoesNotReadIsClosed) {
  start({.write_timeout = std::chrono::milliseconds{100}});
  auto client = connect();
  client.send(get("/large") + get("/large") + get("/large") + get("/large"));
  EXPECT_TRUE(eventually([&] {
    return server_->figures().connections_accepted == 1 && server_->figures().connections_open == 0;
  }));
}

/// A file of 200,000 bytes, position i holding 'a' + i % 26.
class edge_file : public edge_reply {
protected:
  edge_file() {
    toy_.file = testing::TempDir() + "edge_file_" + std::to_string(::getpid());
    for (std::size_t i = 0; i < 200'000; ++i)
      content_ += static_cast<char>('a' + i % 26);
    std::ofstream{toy_.file} << content_;
    start();
  }
  ~edge_file() override { std::remove(toy_.file.c_str()); }

  std::string content_;
};

TEST_F(edge_file, IsSentWhole) {
  auto client = connect();
  const auto got = client.ask(get("/file"));
  EXPECT_EQ(got.status, 200);
  EXPECT_EQ(got.body, content_);
  EXPECT_EQ(got.header("ETag"), "\"sha256:abc\"");
  EXPECT_EQ(got.header("Accept-Ranges"), "bytes");
  EXPECT_EQ(got.header("Content-Type"), "text/plain");
  EXPECT_EQ(got.header("Content-Disposition"),
            "attachment; filename=\"r__port_.txt\"; filename*=UTF-8''r%C3%A9port%22.txt");
  EXPECT_EQ(client.ask(get("/open")).status, 200);
}

// Goal: a stored media type cannot add header fields to the answer.
TEST_F(edge_file, MediaTypesStayOnTheirLine) {
  for (const char* type : {"text/plain\r\nX-Evil: 1", "text", "/", "te\xc3\xa4t/plain", ""}) {
    toy_.media_type = type;
    const auto got = once(get("/file"));
    EXPECT_EQ(got.header("Content-Type"), "application/octet-stream") << type;
    EXPECT_EQ(got.header("X-Evil"), "") << type;
    EXPECT_EQ(got.body, content_);
  }
}

TEST_F(edge_file, HonoursRanges) {
  struct row {
    const char* range;
    int status;
    std::size_t first, size;
  };
  const row rows[] = {
      {"bytes=0-0", 206, 0, 1},
      {"bytes=10-29", 206, 10, 20},
      {"bytes=199990-", 206, 199990, 10},
      {"bytes=-10", 206, 199990, 10},
      {"bytes=-999999", 206, 0, 200'000},
      {"bytes=199999-999999999", 206, 199999, 1},
      {"BYTES=1-2", 206, 1, 2},
      {"bytes=200000-", 416, 0, 0},
      {"bytes=-0", 416, 0, 0},
      // Not understood: the whole file.
      {"bytes=5-4", 200, 0, 200'000},
      {"bytes=0-1,4-5", 200, 0, 200'000},
      {"bytes=a-b", 200, 0, 200'000},
      {"bytes=-", 200, 0, 200'000},
      {"lines=1-2", 200, 0, 200'000},
      {"bytes=99999999999999999999999-", 200, 0, 200'000},
  };
  auto client = connect();
  for (const row& each : rows) {
    const auto got = client.ask(get("/file", std::string{"Range: "} + each.range + "\r\n"));
    EXPECT_EQ(got.status, each.status) << each.range;
    if (each.status == 416) {
      EXPECT_EQ(got.header("Content-Range"), "bytes */200000");
      continue;
    }
    EXPECT_EQ(got.body, content_.substr(each.first, each.size)) << each.range;
    if (each.status == 206) {
      EXPECT_EQ(got.header("Content-Range"), "bytes " + std::to_string(each.first) + "-"
                                                 + std::to_string(each.first + each.size - 1)
                                                 + "/200000");
    }
  }
}

TEST_F(edge_file, HonoursConditions) {
  auto client = connect();
  auto with = [&](const char* lines) { return client.ask(get("/file", lines)); };
  EXPECT_EQ(with("If-None-Match: \"sha256:abc\"\r\n").status, 304);
  EXPECT_EQ(with("If-None-Match: \"x\", W/\"sha256:abc\"\r\n").status, 304);
  EXPECT_EQ(with("If-None-Match: *\r\n").status, 304);
  EXPECT_EQ(with("If-None-Match: \"sha256:ab\"\r\n").status, 200);
  EXPECT_EQ(with("Range: bytes=0-1\r\nIf-Range: \"sha256:abc\"\r\n").status, 206);
  EXPECT_EQ(with("Range: bytes=0-1\r\nIf-Range: \"other\"\r\n").status, 200);
  EXPECT_EQ(with("Range: bytes=0-1\r\nIf-Range: W/\"sha256:abc\"\r\n").status, 200);
}

TEST_F(edge_file, HeadGivesTheSizeOnly) {
  auto client = connect();
  client.send("HEAD /file HTTP/1.1\r\nHost: toy\r\nX-API-Key: reader\r\n\r\n");
  const auto got = client.read(true);
  EXPECT_EQ(got.header("Content-Length"), "200000");
  EXPECT_EQ(client.ask(get("/open")).status, 200);
}

TEST_F(edge_file, OfNoLengthIsFine) {
  std::ofstream{toy_.file, std::ios::trunc};
  auto client = connect();
  const auto got = client.ask(get("/file"));
  EXPECT_EQ(got.status, 200);
  EXPECT_EQ(got.header("Content-Length"), "0");
  EXPECT_EQ(client.ask(get("/file", "Range: bytes=0-\r\n")).status, 416);
  EXPECT_EQ(client.ask(get("/file", "Range: bytes=-5\r\n")).status, 416);
}

TEST_F(edge_file, ThatShrinksBreaksTheAnswerOff) {
  std::ofstream{toy_.file, std::ios::app} << std::string(30'000'000, 'x');
  auto client = connect();
  client.send(get("/file"));
  ASSERT_TRUE(client.read_until("\r\n\r\n"));
  std::ofstream{toy_.file, std::ios::trunc};
  EXPECT_FALSE(client.read().complete);
  EXPECT_TRUE(client.ends());
}

} // namespace
} // namespace edge_test
